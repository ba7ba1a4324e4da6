"""Gives memory back to the system that is free but still counted as the window's."""

from __future__ import annotations

import ctypes
import linecache
import sys
from functools import cache

from PySide6.QtCore import QObject, QTimer

_DELAY_MS = 1_500
_M_ARENA_MAX = -8  # malloc.h


class MemoryRelease(QObject):
    """Called for after work that leaves much behind; acts once the window has come to rest."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY_MS)
        self._timer.timeout.connect(self.give_back)

    def give_back_soon(self) -> None:
        """Give back when nothing asked for it for a while."""
        self._timer.start()

    def give_back(self) -> None:
        """Give back what is free: 2 ms with 5,000 messages open.

        PySide reads the source of every imported module through linecache, which keeps it; glibc keeps free parts of
        its heap (https://man7.org/linux/man-pages/man3/malloc_trim.3.html). Other allocators need no asking.
        """
        linecache.clearcache()
        if (libc := _glibc()) is not None:
            libc.malloc_trim(0)


@cache
def keep_one_heap() -> None:
    """Let all threads share one heap, before there are any: none of the window's threads allocates much at a time.

    glibc gives each thread a heap of its own, and what is free in one is of no use to the others: 2 MB with 5,000
    messages open (https://man7.org/linux/man-pages/man3/mallopt.3.html).
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_M_ARENA_MAX, 1)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None  # musl has none
