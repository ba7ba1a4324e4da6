"""Notices when the engine child hangs: it says nothing, reads nothing and fills no memory for a long time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psutil
from PySide6.QtCore import QObject, QTimer


@dataclass(frozen=True, slots=True)
class StallLimits:
    """How long a request may stand still, in seconds.

    A load tells of its progress all the time, or else reads from the disk. While a prompt is read, minutes may pass
    between two words of a very large model. `interval_s`: how often the child is looked at.
    """

    load_s: float = 120.0
    answer_s: float = 600.0
    interval_s: float = 5.0


class StallWatch(QObject):
    """Looks at a process every few seconds while it serves a request. A look takes some 0.1 ms.

    What counts as moving on: an event (`note_event`), bytes read from a disk, and more memory in use than ever before,
    which is how pages of a mapped file on any file system show. Looks are counted, not time: a computer that slept
    has looked once.
    """

    def __init__(self, limits: StallLimits, on_stalled: Callable[[], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._interval_s = limits.interval_s
        self._on_stalled = on_stalled
        self._process: psutil.Process | None = None
        self._looks_left = 0
        self._limit_looks = 0
        self._read_bytes = self._memory_bytes = -1
        self._timer = QTimer(self, interval=int(limits.interval_s * 1000))
        self._timer.timeout.connect(self._look)

    def watch(self, pid: int, limit_s: float) -> None:
        """From now on the process must move on within `limit_s`; called again, the time begins anew."""
        if self._process is None or self._process.pid != pid:
            try:
                self._process = psutil.Process(pid)
            except psutil.Error:  # it has ended, which is told otherwise
                self.end()
                return
            self._read_bytes = self._memory_bytes = -1
        self._limit_looks = max(1, round(limit_s / self._interval_s))
        self.note_event()
        self._timer.start()

    def note_event(self) -> None:
        """The process said something."""
        self._looks_left = self._limit_looks

    def end(self) -> None:
        """Nothing is expected of the process now."""
        self._timer.stop()
        self._process = None

    def _look(self) -> None:
        if self._process is None:
            return
        try:
            with self._process.oneshot():
                read_bytes = _read_bytes(self._process)
                memory_bytes = self._process.memory_info().rss
        except psutil.Error:
            return
        if read_bytes > self._read_bytes or memory_bytes > self._memory_bytes:
            self._read_bytes = read_bytes
            self._memory_bytes = max(memory_bytes, self._memory_bytes)
            self._looks_left = self._limit_looks
            return
        self._looks_left -= 1
        if self._looks_left <= 0:
            self.end()
            self._on_stalled()


def _read_bytes(process: psutil.Process) -> int:
    """What it has had read from disks; 0 where the system does not say."""
    counters = getattr(process, "io_counters", None)
    return int(counters().read_bytes) if counters is not None else 0
