"""What is shown until the first word comes: a calm indicator, or how far the reading of the prompt has come."""

from __future__ import annotations

from math import cos, pi
from time import monotonic

from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.core.events import PromptProgress
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.figures import remaining_time

HEIGHT_PX = 36
_BAR_PX = 4
_BAR_LIMIT_PX = 320
_DOT_PX = 7
_PERIOD_S = 1.6
_FRAME_MS = 60


class WaitingLine(QWidget):
    """Three breathing dots; with progress a thin bar and a sentence."""

    def __init__(self, context: TranscriptContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._context = context
        self._progress: PromptProgress | None = None
        self._tick = QTimer(self)  # started by painting: what is not on screen does not tick
        self._tick.setSingleShot(True)
        self._tick.setInterval(_FRAME_MS)
        self._tick.timeout.connect(self.update)
        self._describe()

    def set_progress(self, progress: PromptProgress | None) -> None:
        """Show how far reading has come; None: only that something is under way."""
        self._progress = progress
        self._describe()
        self.update()

    @property
    def words(self) -> str:
        """The sentence that says what is going on."""
        progress = self._progress
        if progress is None or progress.total_tokens <= 0:
            return self.tr("Waiting for the first word…")
        percent = min(100, progress.done_tokens * 100 // progress.total_tokens)
        left = remaining_time(progress.remaining_ms)
        return self.tr("Reading your text… {0} %, {1}").format(percent, left)

    def _describe(self) -> None:
        self.setAccessibleName(self.words)

    # -- Qt

    def hideEvent(self, event: object) -> None:
        self._tick.stop()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if self._progress is None or self._progress.total_tokens <= 0:
            self._paint_dots(painter)
            self._tick.start()
        else:
            self._paint_bar(painter, self._progress)
        painter.end()

    def _paint_dots(self, painter: QPainter) -> None:
        now = monotonic()
        color = QColor(self._context.style.quiet)
        for index in range(3):
            phase = (now / _PERIOD_S - index * 0.16) * 2 * pi
            color.setAlphaF(0.3 + 0.5 * (0.5 - 0.5 * cos(phase)))
            painter.setBrush(color)
            painter.drawEllipse(QRectF(index * _DOT_PX * 2.0, (HEIGHT_PX - _DOT_PX) / 2, _DOT_PX, _DOT_PX))

    def _paint_bar(self, painter: QPainter, progress: PromptProgress) -> None:
        style = self._context.style
        width = min(_BAR_LIMIT_PX, self.width())
        share = min(1.0, progress.done_tokens / progress.total_tokens)
        top = HEIGHT_PX - _BAR_PX - 4
        painter.setBrush(style.border)
        painter.drawRoundedRect(QRectF(0, top, width, _BAR_PX), 2, 2)
        painter.setBrush(style.accent)
        painter.drawRoundedRect(QRectF(0, top, max(_BAR_PX, width * share), _BAR_PX), 2, 2)
        painter.setPen(style.quiet)
        painter.setFont(style.small_font)
        painter.drawText(QRectF(0, 0, self.width(), top - 2), Qt.AlignmentFlag.AlignVCenter, self.words)
