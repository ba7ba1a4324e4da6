"""Long work on the main thread, cut into slices so that no frame waits for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator

from PySide6.QtCore import QObject, QTimer

SLICE_MS = 4.0
"""How long the jobs of one turn of the event loop may take together."""

Job = Generator[int, None, None]
"""A job does a little and yields how many milliseconds it would like to wait before going on, mostly 0."""


class SliceQueue(QObject):
    """Runs jobs in turn, at most `SLICE_MS` per turn of the event loop. Main thread only."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._jobs: deque[tuple[QObject, Job]] = deque()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_timeout)

    def add(self, owner: QObject, job: Job) -> None:
        """Queue a job for `owner`; `cancel(owner)` must be called before the owner goes."""
        self._jobs.append((owner, job))
        self._timer.start(0)

    def cancel(self, owner: QObject) -> None:
        """Drop the jobs of one owner."""
        if any(entry[0] is owner for entry in self._jobs):
            self._jobs = deque(entry for entry in self._jobs if entry[0] is not owner)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be done."""
        return not self._jobs

    def _on_timeout(self) -> None:
        end = time.perf_counter() + SLICE_MS / 1000
        wait_ms = 0
        waiting = 0
        while self._jobs and waiting < len(self._jobs) and time.perf_counter() < end:
            job = self._jobs[0][1]
            wait = next(job, None)
            if not self._jobs or self._jobs[0][1] is not job:
                continue  # the step cancelled its own job
            if wait is None:
                self._jobs.popleft()
            elif wait:
                self._jobs.rotate(-1)
                waiting += 1
                wait_ms = min(wait, wait_ms) if wait_ms else wait
        if self._jobs:
            self._timer.start(wait_ms if waiting >= len(self._jobs) else 0)
