"""Work in the background: the network, files and keyrings may take their time, the window may not."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QObject, Qt, Signal

from app.core.errors import ErrorKind, UserError

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_THREADS = 8


class Task(Generic[T]):
    """One piece of work. Made by `Tasks.run`; used on the main thread."""

    def __init__(
        self,
        work: Callable[[], T],
        on_done: Callable[[T], None] | None,
        on_failed: Callable[[UserError], None] | None,
    ) -> None:
        self._work: Callable[[], T] | None = work
        self._on_done = on_done
        self._on_failed = on_failed
        self._cancelled = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody wants the result any more; long work may look at it. Any thread."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Neither `on_done` nor `on_failed` will be called. Work that has not begun is not done at all."""
        self._cancelled.set()

    def carry_out(self) -> Callable[[], None] | None:
        """Do the work, on a worker thread; what is to be called on the main thread then, if anything."""
        work, self._work = self._work, None
        if work is None or self.is_cancelled:
            return None
        try:
            result = work()
        except UserError as error:
            failure = error
        except Exception as error:
            report_bug(error)
            failure = UserError(ErrorKind.UNEXPECTED, reason=type(error).__name__)
        else:
            return lambda: self._finish(result)
        return lambda: self._fail(failure)

    def _finish(self, result: T) -> None:
        if self._on_done is not None and not self.is_cancelled:
            self._on_done(result)

    def _fail(self, error: UserError) -> None:
        if self.is_cancelled:
            return
        if self._on_failed is None:
            log.error("nobody waits for this failure: %s", error.kind.value)
        else:
            self._on_failed(error)


class Tasks(QObject):
    """A few daemon threads that are started as they are needed. `run` is called on the main thread.

    Daemons, because some calls cannot be hurried (a locked keyring, a dead network drive) and the window must be able
    to close all the same.
    """

    _delivered = Signal(object)  # a call to make on the main thread

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: queue.SimpleQueue[Task[Any] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._idle = 0  # threads that wait for work, less the tasks that wait for a thread
        self._is_shut_down = False
        self._delivered.connect(self._on_delivered, Qt.ConnectionType.QueuedConnection)

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
        task = Task(work, on_done, on_failed)
        if self._is_shut_down:
            task.cancel()
            return task
        with self._lock:
            self._idle -= 1
            needs_thread = self._idle < 0 and len(self._threads) < MAX_THREADS
            if needs_thread:
                self._idle += 1
        if needs_thread:
            thread = threading.Thread(target=self._serve, name=f"hearth-task-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._waiting.put(task)
        return task

    def shut_down(self, patience_s: float = 0.5) -> None:
        """Call nobody back any more and end the threads; one that hangs is left behind after `patience_s`, in all."""
        if self._is_shut_down:
            return
        self._is_shut_down = True
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(patience_s / len(self._threads))

    def _serve(self) -> None:
        """The life of one thread."""
        while (task := self._waiting.get()) is not None:
            call = None if self._is_shut_down else task.carry_out()
            with self._lock:
                self._idle += 1
            if call is not None and not self._is_shut_down:
                self._deliver(call)

    def _deliver(self, call: Callable[[], None]) -> None:
        try:
            self._delivered.emit(call)
        except RuntimeError:  # a thread that was left behind outlived the window
            log.info("the result of a task came after the end")

    def _on_delivered(self, call: Callable[[], None]) -> None:
        if not self._is_shut_down:
            call()


def report_bug(error: Exception) -> None:
    """Hand a bug to whoever reports those of threads, without ending the thread. Any thread."""
    thread = threading.current_thread()
    threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))
