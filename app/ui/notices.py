"""A short notice at the bottom of the chat that goes away by itself, with at most one thing to press."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QRectF, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QEnterEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app.ui.buttons import Button, ButtonKind
from app.ui.labels import Label
from app.ui.theme import colors
from app.ui.transcript.style import TextStyle

SHOWN_MS = 10_000
RADIUS_PX = 8
PADDING_PX = 12


class NoticeBar(QWidget):
    """One notice at a time; a new one takes the place of the old. It goes by itself when it could be seen.

    Pointing at it or focusing it keeps it, and so does another page in front of it.
    """

    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._on_action: Callable[[], None] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SHOWN_MS)
        self._timer.timeout.connect(self._on_time_over)
        self._text = Label("", self, wraps=True)
        self._action = Button("", self)
        self._action.clicked.connect(self._on_action_clicked)
        self._close = Button("", self, kind=ButtonKind.QUIET, icon="close", name=self.tr("Close the notice"))
        self._close.clicked.connect(self.dismiss)
        self._layout = layout = QHBoxLayout(self)
        self._side_px = 0
        layout.setSpacing(8)
        layout.addWidget(self._text, 1)
        layout.addWidget(self._action)
        layout.addWidget(self._close)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self.hide()

    def show_notice(
        self, text: str, action_label: str | None = None, on_action: Callable[[], None] | None = None
    ) -> None:
        """Say `text` for ten seconds, with a button that does `on_action` once."""
        self._text.setText(text)
        self.setAccessibleName(text)
        self._on_action = on_action
        self._action.setText(action_label or "")
        self._action.setAccessibleName(action_label or "")
        self._action.setVisible(bool(action_label) and on_action is not None)
        self._action.updateGeometry()
        self.show()
        self._timer.start()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def text(self) -> str:
        """The notice on screen; empty when there is none."""
        return "" if self.isHidden() else self._text.text()

    def dismiss(self) -> None:
        """Take the notice away."""
        self._timer.stop()
        self._on_action = None
        if not self.isHidden():
            self.hide()
            self.closed.emit()

    def _center(self) -> None:
        """As wide as the message box below it."""
        column_px = TextStyle.of(self.palette(), self.font()).column_px
        self._side_px = max(0, (self.width() - column_px) // 2 - PADDING_PX)
        self._layout.setContentsMargins(self._side_px + PADDING_PX, 8, self._side_px + 8, 8)

    def _on_action_clicked(self) -> None:
        action = self._on_action
        self.dismiss()
        if action is not None:
            action()

    def _on_time_over(self) -> None:
        if not self.isVisible() or self.underMouse() or self._action.hasFocus() or self._close.hasFocus():
            self._timer.start()
        else:
            self.dismiss()

    def enterEvent(self, event: QEnterEvent) -> None:
        super().enterEvent(event)
        self._timer.stop()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        if not self.isHidden():
            self._timer.start()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._center()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._center()

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            box = QRectF(self.rect()).adjusted(self._side_px + 0.5, 0.5, -self._side_px - 0.5, -0.5)
            painter.setPen(QPen(QColor(theme.field_border), 1))
            painter.setBrush(QColor(theme.raised))
            painter.drawRoundedRect(box, RADIUS_PX, RADIUS_PX)
