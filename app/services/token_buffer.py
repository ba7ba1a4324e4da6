"""Collects streamed text until the next frame, so that the window is repainted at its own pace."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer

FRAME_MS = 16
COST_FACTOR = 3


class TokenBuffer(QObject):
    """Appending is cheap; `deliver(key, text, reasoning)` is called once per key and frame.

    The next frame comes after 16 ms or three times what the last delivery cost, whichever is longer: an expensive
    layout slows the updates down, never the window.
    """

    def __init__(self, deliver: Callable[[str, str, str], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._deliver = deliver
        self._text: dict[str, list[str]] = {}
        self._reasoning: dict[str, list[str]] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.flush)
        self._interval_ms = FRAME_MS

    def add_text(self, key: str, text: str) -> None:
        """Collect words of the answer."""
        self._text.setdefault(key, []).append(text)
        self._schedule()

    def add_reasoning(self, key: str, text: str) -> None:
        """Collect words of the model's thinking."""
        self._reasoning.setdefault(key, []).append(text)
        self._schedule()

    def flush(self) -> None:
        """Deliver everything now."""
        self._timer.stop()
        texts, self._text = self._text, {}
        reasonings, self._reasoning = self._reasoning, {}
        started = time.perf_counter()
        for key in texts.keys() | reasonings.keys():
            self._deliver(key, "".join(texts.get(key, ())), "".join(reasonings.get(key, ())))
        cost_ms = (time.perf_counter() - started) * 1000
        self._interval_ms = max(FRAME_MS, int(COST_FACTOR * cost_ms))

    def _schedule(self) -> None:
        if not self._timer.isActive():
            self._timer.start(self._interval_ms)
