"""Selecting with the mouse, across messages and beyond the edges of the window."""

from __future__ import annotations

from PySide6.QtCore import QObject, QPoint, QTimer
from PySide6.QtWidgets import QAbstractScrollArea

from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.rows import Rows
from app.ui.transcript.text_view import TextView

_SCROLL_EVERY_MS = 30
_SCROLL_PX = 24


class DragSelection(QObject):
    """Moves the far end of the selection to where the mouse is; points are those of the screen."""

    def __init__(self, area: QAbstractScrollArea, rows: Rows, context: TranscriptContext) -> None:
        super().__init__(area)
        self._area = area
        self._rows = rows
        self._selection = context.selection
        self._point: QPoint | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_SCROLL_EVERY_MS)
        self._timer.timeout.connect(self._on_timeout)
        context.drag_moved.connect(self.move)
        context.drag_ended.connect(self.end)

    def begin(self, point: QPoint) -> None:
        """The button went down beside the texts."""
        if (text := self._text_near(point)) is not None:
            self._selection.begin(text.place_at(point))

    def move(self, point: QPoint) -> None:
        """The mouse moved with the button down; outside the window it scrolls."""
        self._point = point
        if (text := self._text_near(point)) is not None:
            self._selection.extend(text.place_at(point))
        if self._overshoot() and not self._timer.isActive():
            self._timer.start()

    def end(self) -> None:
        """The button went up."""
        self._point = None
        self._timer.stop()

    def _overshoot(self) -> int:
        """-1 above the window, 1 below, 0 inside."""
        if self._point is None:
            return 0
        y = self._area.viewport().mapFromGlobal(self._point).y()
        return -1 if y < 0 else 1 if y > self._area.viewport().height() else 0

    def _text_near(self, point: QPoint) -> TextView | None:
        """The text on screen whose height is nearest."""
        y = point.y()

        def distance(text: TextView) -> int:
            top = text.mapToGlobal(QPoint(0, 0)).y()
            return max(top - y, y - top - text.height(), 0)

        rows = sorted(self._rows.live)
        texts = (text for row in rows for text in self._rows.live[row].texts() if text.isVisible())
        return min(texts, key=distance, default=None)

    def _on_timeout(self) -> None:
        direction = self._overshoot()
        if not direction or self._point is None:
            self._timer.stop()
            return
        bar = self._area.verticalScrollBar()
        bar.setValue(bar.value() + direction * _SCROLL_PX)
        self.move(self._point)
