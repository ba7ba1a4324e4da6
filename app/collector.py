"""Cyclic garbage is collected on the main thread only."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

INTERVAL_MS = 500


class MainThreadCollector(QObject):
    """Takes over from Python's automatic collection, which runs on whichever thread allocates.

    A widget or timer that lies in a reference cycle would be destroyed on the store thread, and Qt then crashes or
    leaks the timer. The thresholds are Python's own; what exists at the start is exempt, so collections stay short.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._collect)

    def start(self) -> None:
        """Take over."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._timer.start()

    def stop(self) -> None:
        """Give back."""
        self._timer.stop()
        gc.unfreeze()
        gc.enable()

    def _collect(self) -> None:
        counts, limits = gc.get_count(), gc.get_threshold()
        for generation in (2, 1, 0):
            if 0 < limits[generation] < counts[generation]:  # 0 is none: so in Python 3.14.0 to 3.14.4
                gc.collect(generation)
                return
