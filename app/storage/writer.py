"""The one thread that talks to the database, so that no window ever waits for a disk."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class StoreThread:
    """Runs jobs one after the other in the order they came, from whichever thread. Started by its first job."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hearth-store")

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Queue a job; its result or exception is in the future. Raises RuntimeError after `close`."""
        return self._executor.submit(job)

    def close(self) -> None:
        """Finish everything that is queued, then end the thread. Further calls do nothing."""
        self._executor.shutdown(wait=True)
