"""The way back to the end, while the person reads further up."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from app.ui.transcript.context import TranscriptContext

SIDE_PX = 36
_MARGIN_PX = 12


class EndButton(QAbstractButton):
    """A round button with an arrow down, over the lower edge of the transcript."""

    def __init__(self, context: TranscriptContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._context = context
        self._parent = parent
        self.setAccessibleName(self.tr("Go to the end"))
        self.setToolTip(self.tr("Go to the end (End)"))
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # by the keyboard it is the End key
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.resize(SIDE_PX, SIDE_PX)
        self.hide()

    def place(self) -> None:
        """Stand in the middle of the lower edge."""
        parent = self._parent
        self.move((parent.width() - SIDE_PX) // 2, parent.height() - SIDE_PX - _MARGIN_PX)
        self.raise_()

    # -- Qt

    def paintEvent(self, event: QPaintEvent) -> None:
        style = self._context.style
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(style.border)
        painter.setBrush(style.surface)
        painter.drawEllipse(self.rect().adjusted(1, 1, -2, -2))
        painter.setPen(QPen(style.text if self.underMouse() else style.quiet, 1.8, c=Qt.PenCapStyle.RoundCap))
        middle, top, bottom = SIDE_PX / 2, SIDE_PX * 0.32, SIDE_PX * 0.66
        painter.drawLine(QPointF(middle, top), QPointF(middle, bottom))
        painter.drawLine(QPointF(middle - 5, bottom - 5), QPointF(middle, bottom))
        painter.drawLine(QPointF(middle + 5, bottom - 5), QPointF(middle, bottom))
        painter.end()
