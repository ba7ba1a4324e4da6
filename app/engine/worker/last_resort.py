"""Ends the process when it stands still inside one step of the interpreter.

Such a step (the text of a list that holds one list twice, which holds one list twice, forty times) keeps the
interpreter's lock: no other thread of Python gets a turn, no signal is handled, and the parent cannot tell it from
hard work. faulthandler's timer is a thread of C, which needs no lock.
"""

from __future__ import annotations

import faulthandler
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class LastResort:
    """Ends this process by force `limit_s` after the start of a piece of work that is not over yet. Thread-safe.

    faulthandler has one timer for the process, so there must not be two of these.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._lock = threading.Lock()  # guards the count, and with it the timer
        self._pieces = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For the time of one piece of work; another one that begins meanwhile gives all of them as long again."""
        with self._lock:
            self._pieces += 1
            if sys.__stderr__ is not None:
                faulthandler.dump_traceback_later(self._limit_s, exit=True, file=sys.__stderr__)
        try:
            yield
        finally:
            with self._lock:
                self._pieces -= 1
                if not self._pieces:
                    faulthandler.cancel_dump_traceback_later()
