"""A card that says what went wrong and what to press."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent, QColor, QPainter, QPaintEvent, QPen, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.services.explanation import Action, Explanation
from app.ui.buttons import Button
from app.ui.flow_layout import FlowLayout
from app.ui.icons import draw_icon
from app.ui.labels import Label
from app.ui.theme import colors

RADIUS_PX = 8


class _Sign(QWidget):
    """The warning triangle; the words say the same, so it has no name of its own."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        side = round(self.fontMetrics().height() * 1.25)
        return QSize(side, side)

    def paintEvent(self, _event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            draw_icon(painter, "warning", QColor(colors().error), QRectF(self.rect()))


class ErrorCard(QFrame):
    """Shows one explanation; its words can be selected and are read out by screen readers when it appears."""

    action_requested = Signal(object)  # app.services.explanation.Action

    def __init__(self, explanation: Explanation, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._explanation = explanation
        self.setAccessibleName(explanation.sentences)
        title = Label(explanation.title, self, bold=True, wraps=True)
        text = Label(explanation.text, self, wraps=True)
        for label in (title, text):
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(title)
        if explanation.text:
            column.addWidget(text)
        else:
            text.hide()
        if explanation.actions:
            column.addSpacing(4)
            column.addLayout(self._buttons(explanation.actions))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.setSpacing(8)
        layout.addWidget(_Sign(self), 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(column, 1)

    def explanation(self) -> Explanation:
        """What it shows."""
        return self._explanation

    def _buttons(self, actions: tuple[Action, ...]) -> FlowLayout:
        row = FlowLayout(spacing_px=8)
        for number, action in enumerate(actions):
            button = Button(action.label, self)
            button.setProperty("number", number)
            button.clicked.connect(self._on_clicked)
            row.addWidget(button)
        return row

    def _on_clicked(self) -> None:
        button = self.sender()
        if isinstance(button, Button):
            self.action_requested.emit(self._explanation.actions[button.property("number")])

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(theme.border), 1))
            painter.setBrush(QColor(theme.error_ground))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS_PX, RADIUS_PX)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.Alert))
