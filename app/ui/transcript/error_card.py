"""Why an answer ended early, and what to press."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.services.explain import Action, Explanation
from app.ui.transcript.context import TranscriptContext

_STRIPE_PX = 3


class AnswerErrorCard(QWidget):
    """An explanation on a quiet surface with its buttons."""

    action_requested = Signal(object)

    def __init__(self, context: TranscriptContext, explanation: Explanation, parent: QWidget) -> None:
        super().__init__(parent)
        self._context = context
        self.setAccessibleName(explanation.title)
        self.setAccessibleDescription(explanation.text)
        title = QLabel(explanation.title, self)
        font = context.style.font
        font.setBold(True)
        title.setFont(font)
        text = QLabel(explanation.text, self)
        text.setFont(context.style.font)
        for label in (title, text):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = self._column = QVBoxLayout(self)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(4)
        column.addWidget(title)
        column.addWidget(text)
        self._buttons: list[QPushButton] = []
        if explanation.actions:
            row = QHBoxLayout()
            row.setContentsMargins(0, 8, 0, 0)
            row.setSpacing(8)
            for action in explanation.actions:
                row.addWidget(self._button(action))
            row.addStretch(1)
            column.addLayout(row)

    def _button(self, action: Action) -> QPushButton:
        button = QPushButton(action.label, self)
        button.clicked.connect(partial(self._on_button_clicked, action))
        self._buttons.append(button)
        return button

    def height_for(self, width: int) -> int:
        """The height at a width."""
        return self._column.heightForWidth(width)

    def tab_stops(self) -> list[QWidget]:
        """The buttons."""
        return list(self._buttons)

    def _on_button_clicked(self, action: Action) -> None:
        self.action_requested.emit(action)

    # -- Qt

    def paintEvent(self, event: QPaintEvent) -> None:
        style = self._context.style
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(style.border)
        painter.setBrush(style.surface)
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 8, 8)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(style.accent)
        painter.drawRoundedRect(6, 12, _STRIPE_PX, self.height() - 24, 1.5, 1.5)
        painter.end()
