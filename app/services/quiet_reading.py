"""Reading a large file that nobody waits for: slowly, and only while nobody needs the computer."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from app.hub.file_moves import CancelledError, hash_file
from app.hub.move_journal import Stamp

_LONGEST_REST_S = 0.5  # after a block of 4 MiB; a computer that slept took long for one


class QuietReading:
    """One file, read in one thread, held and stopped by another.

    It rests for as long as it works. Its thread has no lower priority: one that others keep from running while it has
    the interpreter's lock would hold up the window.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self._stopped = threading.Event()
        self._began_s = 0.0

    def hold(self, is_held: bool) -> None:
        """Stand still after the block that is being read, or go on."""
        if is_held and not self._stopped.is_set():
            self._may_go_on.clear()
        else:
            self._may_go_on.set()

    def stop(self) -> None:
        """End after the block that is being read; the file is closed then."""
        self._stopped.set()
        self._may_go_on.set()

    def compute_hash(self) -> str:
        """The SHA-256 of the file; empty after `stop`, or when it has changed meanwhile. Raises UserError."""
        file = Path(os.path.realpath(self.path))
        before = Stamp.of(file)
        self._began_s = time.monotonic()
        try:
            sha256 = hash_file(file, _tell_nobody, self._rest)
        except CancelledError:
            return ""
        return sha256 if Stamp.of(file) == before else ""

    def _rest(self) -> bool:
        """Called after each block; whether it was the last."""
        self._stopped.wait(min(time.monotonic() - self._began_s, _LONGEST_REST_S))
        self._may_go_on.wait()
        self._began_s = time.monotonic()
        return self._stopped.is_set()


def _tell_nobody(_fraction: float) -> None:
    """Nobody waits for it."""
