"""Progress in plain words, and other programs run quietly with their output in a log file."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

POLL_S = 0.2
REMINDER_S = 30.0  # how often a log without a terminal hears that a long step goes on
NINJA_PROGRESS = re.compile(rb"\[(\d+)/(\d+)\]|\[ *(\d+)%\]")


class SetupError(Exception):
    """Set-up cannot go on. The text says what happened and what to do."""


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


def percent_done(output: bytes) -> int | None:
    """How far a build is, from the last `[12/140]` or `[ 8%]` in its output."""
    last: int | None = None
    for match in NINJA_PROGRESS.finditer(output):
        done, of, percent = match.groups()
        last = int(percent) if percent else 100 * int(done) // max(1, int(of))
    return last


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

    def say(self, text: str) -> None:
        """Prints a line of its own."""
        print(text, flush=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announces a piece of work and, when it is done, how long it took."""
        self._title, self._started = title, time.monotonic()
        self._reminded = self._started
        if self._terminal:
            self._repaint("")
        else:
            self.say(f"  {title} …")
        try:
            yield
        except BaseException:
            if self._terminal:
                print(flush=True)
            raise
        took = spell_duration(time.monotonic() - self._started)
        if self._terminal:
            self._repaint(" done\n")
        else:
            self.say(f"  {title}: done in {took}")

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
            log.write(("\n$ " + " ".join(map(str, arguments)) + "\n").encode())
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
        with suppress(ProcessLookupError):
            if sys.platform != "win32":
                os.killpg(process.pid, signal.SIGTERM)
            else:
                process.terminate()
        try:
            process.wait(timeout=10)
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
        percent = percent_done(self._output_since(begin)[-4000:])
        detail = "" if percent is None else f" {percent} %,"
        if self._terminal:
            self._repaint(detail)
        else:
            self.say(f"    still at it:{detail} {spell_duration(now - self._started)}")

    def _repaint(self, detail: str) -> None:
        elapsed = spell_duration(time.monotonic() - self._started)
        end = "\n" if detail.endswith("\n") else ""
        print(f"\r\x1b[K  {self._title} …{detail.rstrip()} {elapsed}", end=end, flush=True)
