"""Finds out when code under app/ keeps the main thread from drawing.

A sampling thread looks at the main thread's stack. As long as the outermost frame of our code is the same one, the main
thread has not been back to its event loop. Time that the thread spent waiting for a processor (other programs run on
this machine too) does not count; Linux says how much that was.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

APP = str(Path(__file__).resolve().parent.parent / "app")
ALLOWED = {"shut_down", "shutdown", "close", "main", "run_window"}  # tearing down may wait


class Watchdog:
    """Use as a context manager around a test; `blocks` then tells every block over `limit_ms`."""

    def __init__(self, limit_ms: float = 100, interval_ms: float = 10) -> None:
        self.blocks: list[str] = []
        self._limit_s = limit_ms / 1000
        self._interval_s = interval_ms / 1000
        self._main = threading.main_thread()
        self._end = threading.Event()
        self._paused = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Not watching: while a window is made nobody waits for it to react."""
        self._paused = True
        yield
        self._paused = False

    def _watch(self) -> None:
        since = 0.0
        reported = False
        while not self._end.wait(self._interval_s):
            state = None if self._paused else self._sample()
            if not isinstance(state, str):
                since, reported = self._own_time(), False
            elif not reported and self._own_time() - since > self._limit_s:
                reported = True
                self.blocks.append(f"{state}: over {self._limit_s * 1000:.0f} ms")

    def _sample(self) -> str | None:
        """Where the main thread is if our outermost frame is the one of the sample before.

        No frame is held between samples: its locals, widgets among them, would then be destroyed in this thread, which
        crashes. The frame is marked instead, by an attribute that matters only to tracers of opcodes.
        """
        innermost = sys._current_frames().get(self._main.ident or 0)
        frame = _outermost_app_frame(innermost)
        if frame is None:
            return None
        if not frame.f_trace_opcodes:
            frame.f_trace_opcodes = True
            return None
        return f"{_place(frame)} … {_place(innermost)}"

    def _own_time(self) -> float:
        """Seconds on the clock less those in which the main thread could run but no processor was free."""
        return time.perf_counter() - _waiting_s(self._main.native_id)


def _waiting_s(thread_id: int | None) -> float:
    try:
        return int(Path(f"/proc/self/task/{thread_id}/schedstat").read_text("ascii").split()[1]) / 1e9
    except OSError:
        return 0.0


def _outermost_app_frame(frame: FrameType | None) -> FrameType | None:
    found = None
    while frame is not None:
        if frame.f_code.co_filename.startswith(APP):
            if frame.f_code.co_name in ALLOWED:
                return None
            found = frame
        frame = frame.f_back
    return found


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "?"
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
