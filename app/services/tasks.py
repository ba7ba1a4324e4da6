"""Work in the background: the network, files and keyrings may take their time, the window may not."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QObject, Qt, Signal

from app.core.errors import ErrorKind, UserError

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_THREADS = 8


@dataclass(slots=True)
class _Job:
    """What a worker thread sees of a task: never its callbacks, which belong to widgets that die on the main thread."""

    number: int
    work: Callable[[], Any] | None
    is_cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a job."""

    number: int
    result: Any = None
    error: UserError | None = None


class Task(Generic[T]):
    """One piece of work. Made by `Tasks.run`; main thread only."""

    def __init__(
        self, job: _Job, on_done: Callable[[T], None] | None, on_failed: Callable[[UserError], None] | None
    ) -> None:
        self._job = job
        self._on_done = on_done
        self._on_failed = on_failed

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants the result any more."""
        return self._job.is_cancelled.is_set()

    def cancel(self) -> None:
        """Neither `on_done` nor `on_failed` will be called. Work that has not begun is not done at all."""
        self._job.is_cancelled.set()

    def settle(self, result: T, error: UserError | None) -> None:
        """Tell whoever waits; for `Tasks`."""
        if self.is_cancelled:
            return
        if error is None:
            if self._on_done is not None:
                self._on_done(result)
        elif self._on_failed is not None:
            self._on_failed(error)
        else:
            log.error("nobody waits for this failure: %s", error.kind.value)


class Tasks(QObject):
    """A few daemon threads that are started as they are needed. `run` is called on the main thread.

    Daemons, because some calls cannot be hurried (a locked keyring, a dead network drive) and the window must be able
    to close all the same. All but the first are started by one another, so that one is always free: whoever starts a
    thread waits until it runs, and beside a thread that imports a large library that was over 100 ms.
    """

    _ended = Signal(object)  # _Outcome

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._tasks: dict[int, Task[Any]] = {}
        self._numbers = itertools.count()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._free = 0  # threads that wait for work
        self._is_shut_down = False
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        work: Callable[[], T],
        on_done: Callable[[T], None] | None = None,
        on_failed: Callable[[UserError], None] | None = None,
    ) -> Task[T]:
        """Do `work` in another thread, then call `on_done` or, after a UserError, `on_failed` on the main thread.

        Any other exception is a bug: it reaches the crash window, and `on_failed` as UNEXPECTED, so that nobody waits
        for ever. After `shut_down` the task is cancelled from the start.
        """
        job = _Job(next(self._numbers), work)
        task = Task(job, on_done, on_failed)
        if self._is_shut_down:
            task.cancel()
            return task
        self._tasks[job.number] = task
        if not self._threads:
            self._start_thread()
        self._waiting.put(job)
        return task

    def shut_down(self, patience_s: float = 0.5) -> None:
        """Call nobody back any more and end the threads; one that hangs is left behind after `patience_s`, in all."""
        if self._is_shut_down:
            return
        with self._lock:
            self._is_shut_down = True
        self._tasks.clear()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(patience_s / len(self._threads))

    def _start_thread(self) -> None:
        with self._lock:
            if self._is_shut_down:
                return
            thread = threading.Thread(target=self._serve, name=f"hearth-task-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            self._free += 1
            thread.start()

    def _serve(self) -> None:
        """The life of one thread."""
        while (job := self._waiting.get()) is not None:
            with self._lock:
                self._free -= 1
                needs_more = self._free == 0 and len(self._threads) < MAX_THREADS
            if needs_more:
                self._start_thread()
            outcome = _Outcome(job.number) if self._is_shut_down else _carry_out(job)
            with self._lock:
                self._free += 1
            try:
                if not self._is_shut_down:
                    self._ended.emit(outcome)
            except RuntimeError:  # a thread that was left behind outlived the window
                log.info("the result of a task came after the end")

    def _on_ended(self, outcome: _Outcome) -> None:
        task = self._tasks.pop(outcome.number, None)
        if task is not None:
            task.settle(outcome.result, outcome.error)


def _carry_out(job: _Job) -> _Outcome:
    work, job.work = job.work, None
    if work is None or job.is_cancelled.is_set():
        return _Outcome(job.number)
    try:
        return _Outcome(job.number, work())
    except UserError as error:
        return _Outcome(job.number, error=error)
    except Exception as error:
        report_bug(error)
        return _Outcome(job.number, error=UserError(ErrorKind.UNEXPECTED, reason=type(error).__name__))


def report_bug(error: Exception) -> None:
    """Hand a bug to whoever reports those of threads, without ending the thread. Any thread."""
    thread = threading.current_thread()
    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))
