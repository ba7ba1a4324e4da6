"""A button that is only a word until it is pointed at."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QWidget

from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.style import mixed

HEIGHT_PX = 28
PADDING_PX = 8
_CONFIRM_MS = 1_500


class QuietButton(QAbstractButton):
    """A word in the quiet colour; under the mouse or with the keyboard's focus it gets a surface and a ring."""

    def __init__(self, context: TranscriptContext, text: str, parent: QWidget) -> None:
        super().__init__(parent)
        self._context = context
        self.setText(text)
        self.setFont(context.style.small_font)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    # -- Qt

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        width = self.fontMetrics().horizontalAdvance(self.text()) + 2 * PADDING_PX
        return QSize(max(width, HEIGHT_PX), HEIGHT_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        style = self._context.style
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = self.rect().adjusted(1, 1, -1, -1)
        if self.isEnabled() and (self.underMouse() or self.isDown()):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(mixed(style.text, self.palette().base().color(), 0.16 if self.isDown() else 0.1))
            painter.drawRoundedRect(rect, 6, 6)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(style.accent, 2))
            painter.drawRoundedRect(rect, 6, 6)
        active = self.isEnabled() and (self.underMouse() or self.hasFocus())
        color = style.text if active else style.quiet
        if not self.isEnabled():
            color = mixed(style.quiet, self.palette().base().color(), 0.5)
        painter.setPen(color)
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, self.text())
        painter.end()


class CopyButton(QuietButton):
    """Says "Copied" for a moment after it was pressed."""

    relabelled = Signal()

    def __init__(self, context: TranscriptContext, parent: QWidget) -> None:
        super().__init__(context, "", parent)
        self.setText(self.tr("Copy"))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_CONFIRM_MS)
        self._timer.timeout.connect(self._on_timeout)
        self.clicked.connect(self._on_clicked)

    def _on_clicked(self) -> None:
        self.setText(self.tr("Copied"))
        self._timer.start()
        self.relabelled.emit()

    def _on_timeout(self) -> None:
        self.setText(self.tr("Copy"))
        self.relabelled.emit()
