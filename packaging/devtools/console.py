"""Progress in plain words, and other programs run quietly with their output in a log file."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

POLL_S = 0.2
REMINDER_S = 30.0  # how often a log without a terminal hears that a long step goes on
TAIL_BYTES = 4000
BUILD_PROGRESS = re.compile(rb"\[(\d+)/(\d+)\]|\[ *(\d+)%\]")
PIP_PROGRESS = re.compile(rb"Downloading ([\w.]+)-\d\S* \(([\d.]+ [kMG]B)\)|(Installing collected packages)")


class SetupError(Exception):
    """Set-up cannot go on. The text says what happened and what to do."""


class Terminated(KeyboardInterrupt):
    """Set-up was asked to end by a signal to this process alone, not by Ctrl+C, which reaches its children too."""


class ToolError(SetupError):
    """A program that set-up started has failed; `output` holds what it printed."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


def spell_duration(seconds: float) -> str:
    """Seconds as a person says them: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s"


def describe_progress(output: bytes) -> str:
    """What a tool is at, from the end of its output; empty if it does not tell.

    Understands ninja (`[12/140]`), cmake's other generators (`[ 8%]`) and pip.
    """
    builds, downloads = list(BUILD_PROGRESS.finditer(output)), list(PIP_PROGRESS.finditer(output))
    if builds:
        done, of, percent = builds[-1].groups()
        return f"{int(percent) if percent else 100 * int(done) // max(1, int(of))} %"
    if downloads:
        name, size, installing = downloads[-1].groups()
        return "writing files" if installing else f"fetching {name.decode()}, {size.decode()}"
    return ""


class Console:
    """Writes the steps of a set-up to the terminal and the output of its tools to a log."""

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self.inherited_locks: list[int] = []
        """Descriptors that tools keep open, so that a lock outlives a killed set-up."""
        self._terminal = sys.stdout.isatty()
        self._title = ""
        self._started = 0.0
        self._reminded = 0.0
        self._width = 0

    def say(self, text: str) -> None:
        """Prints a line of its own."""
        print(text, flush=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announces a piece of work and, when it is done, how long it took; there may be others in it."""
        whole = self._title, self._started
        self._title, self._started = title, time.monotonic()
        self._reminded = self._started
        if self._terminal:
            self._repaint(f"  {title} …")
        else:
            self.say(f"  {title} …")
        try:
            yield
        except BaseException:
            if self._terminal:
                self.say("")
            raise
        took = f"  {title}: done in {spell_duration(time.monotonic() - self._started)}"
        if self._terminal:
            self._repaint(took)
            took = ""
            self._width = 0
        self.say(took)
        self._title, self._started = whole

    def run(
        self,
        arguments: Sequence[str | os.PathLike[str]],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Runs a program to its end inside the current step; raises ToolError if it fails."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            log.write(("\n$ " + " ".join(map(str, arguments)) + "\n").encode(errors="backslashreplace"))
            log.flush()
            begin = log.tell()
            code = self._run_to_end(arguments, log, begin, environment, folder)
        if code != 0:
            output = self._output_since(begin).decode(errors="replace")
            raise ToolError(f"{Path(arguments[0]).name} ended with code {code}.", output)

    def _run_to_end(
        self,
        arguments: Sequence[str | os.PathLike[str]],
        log: BinaryIO,
        begin: int,
        environment: Mapping[str, str] | None,
        folder: Path | None,
    ) -> int:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
                pass_fds=self.inherited_locks if os.name == "posix" else (),
                # A group of its own: stopping set-up stops the tool and what it started.
                process_group=0 if os.name == "posix" else None,
            )
        except OSError as error:
            raise SetupError(f"{arguments[0]} could not be started: {error.strerror}.") from error
        try:
            while True:
                try:
                    return process.wait(timeout=POLL_S)
                except subprocess.TimeoutExpired:
                    self._show_progress(begin)
        except BaseException:
            self._end(process)
            raise

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        try:
            if sys.platform != "win32":
                os.killpg(process.pid, signal.SIGTERM)
            else:
                process.terminate()
            process.wait(timeout=10)
        except (ProcessLookupError, PermissionError):
            process.wait()  # it has just ended, or runs as root (apt by sudo) and is better not cut off
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _output_since(self, begin: int) -> bytes:
        with self.log_path.open("rb") as log:
            log.seek(begin)
            return log.read()

    def _show_progress(self, begin: int) -> None:
        now = time.monotonic()
        if not self._terminal and now - self._reminded < REMINDER_S:
            return
        self._reminded = now
        doing = describe_progress(self._output_since(begin)[-TAIL_BYTES:])
        detail = ", ".join(filter(None, [spell_duration(now - self._started), doing]))
        if self._terminal:
            self._repaint(f"  {self._title} … {detail}")
        else:
            self.say(f"    still at it: {detail}")

    def _repaint(self, line: str) -> None:
        """Writes over the current line, with spaces where the last one was longer."""
        line = line[: shutil.get_terminal_size().columns - 1]  # a wrapped line could not be written over
        print("\r" + line.ljust(self._width), end="", flush=True)
        self._width = len(line)
