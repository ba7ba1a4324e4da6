"""Waiting for a call that cannot be interrupted, only as long as its result is wanted."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_LOOK_S = 0.1


class StoppedError(Exception):
    """The person, or the end of the program, has stopped the download."""


def run_interruptible(work: Callable[[], T], stop: threading.Event) -> T:
    """The result of `work`, done in a daemon thread. Raises what it raises, and StoppedError when `stop` comes first.

    A thread that is left behind ends with its own time limits.
    """
    outcome: queue.SimpleQueue[tuple[list[T], Exception | None]] = queue.SimpleQueue()

    def carry_out() -> None:
        try:
            outcome.put(([work()], None))
        except Exception as problem:
            outcome.put(([], problem))

    threading.Thread(target=carry_out, name="hearth-download-request", daemon=True).start()
    while not stop.is_set():
        try:
            result, problem = outcome.get(timeout=_LOOK_S)
        except queue.Empty:
            continue
        if problem is not None:
            raise problem
        return result[0]
    raise StoppedError
