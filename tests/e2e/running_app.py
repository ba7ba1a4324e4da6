"""The real application in a process of its own, with its own data folder, seen from outside."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.screen import Screen, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
SETTLE_S = 0.5


class RunningApp:
    """`python -m app` on a virtual screen."""

    def __init__(self, screen: Screen, data: Path, *arguments: str, size_px: tuple[int, int] = (1280, 800)) -> None:
        self.screen = screen
        self.data = data
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app", "--data-dir", str(data), *arguments],
            cwd=ROOT,
            env=screen.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.window = ""
        try:
            self._take_the_screen(size_px)
        except BaseException:
            self.end()
            raise

    def _take_the_screen(self, size_px: tuple[int, int]) -> None:
        screen = self.screen
        wait_for(self._find_window, "the window", 30)
        screen.xdotool("windowmove", self.window, 0, 0)
        screen.xdotool("windowsize", "--sync", self.window, *size_px)
        screen.xdotool("windowfocus", "--sync", self.window)
        time.sleep(SETTLE_S)  # the focus reaches Qt by another event

    def _find_window(self) -> bool:
        assert self.process.poll() is None, self.errors()
        command = ["search", "--onlyvisible", "--pid", str(self.process.pid), "--name", "Hearth"]
        try:
            found = self.screen.xdotool(*command).split()
        except subprocess.CalledProcessError:
            return False
        self.window = found[-1] if found else ""
        return bool(self.window)

    @property
    def title(self) -> str:
        """What the window calls itself."""
        return self.screen.xdotool("getwindowname", self.window)

    def engine(self) -> psutil.Process | None:
        """The engine child."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                if "--engine" in child.cmdline():
                    return child
        return None

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Read from the database as another program would."""
        path = self.data / "hearth.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            try:
                return connection.execute(statement, values).fetchall()
            except sqlite3.OperationalError:  # not migrated yet
                return []

    def messages(self) -> list[tuple[str, str, str]]:
        """Role, state and text of all messages, oldest first."""
        rows = self.query("SELECT role, state, parts FROM messages ORDER BY conversation_id, position")
        return [(role, state, _text(parts)) for role, state, parts in rows]

    def wait_for_answers(self, count: int, timeout_s: float = 30) -> list[tuple[str, str, str]]:
        """Wait until so many answers are complete; all messages."""

        def answered() -> bool:
            return sum(role == "assistant" and state == "complete" for role, state, _ in self.messages()) >= count

        wait_for(answered, f"{count} complete answers", timeout_s)
        return self.messages()

    def quit(self) -> None:
        """Close the window as a person does, and check that the process ends well."""
        self.screen.key("ctrl+q")
        self.process.wait(15)
        errors = self.errors()
        assert self.process.returncode == 0, errors
        assert not errors.strip(), errors

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def errors(self) -> str:
        """What the ended process printed on standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode("utf-8", "replace")

    def end(self) -> None:
        """Make sure that it is gone, whatever the test did."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        if self.process.stderr is not None:
            self.process.stderr.close()


def _text(parts: str) -> str:
    return "".join(part.get("text", "") for part in json.loads(parts) if part.get("kind") == "text")
