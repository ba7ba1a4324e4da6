"""What stands in the place of answers of the hub: one is awaited, there are none, or why not and what to press."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.services.explanation import Action
from app.ui.buttons import Button
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label, hint


class HubMessage(QWidget):
    """A sentence, why in another one, and buttons; the first of them has the keyboard."""

    action_requested = Signal(object)  # app.services.explanation.Action

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = Label("", self, bold=True, wraps=True)
        self._text = hint("", self)
        self._actions: tuple[Action, ...] = ()
        self._buttons: list[Button] = []
        self._flow = FlowLayout(spacing_px=8)
        layout = QVBoxLayout(self)
        layout.addWidget(self._title)
        layout.addWidget(self._text)
        layout.addLayout(self._flow)
        layout.addStretch(1)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    @property
    def title(self) -> str:
        """The sentence."""
        return self._title.text()

    def say(self, title: str, text: str = "", actions: Sequence[Action] = ()) -> None:
        """Say something else."""
        had_focus = self.hasFocus() or any(button.hasFocus() for button in self._buttons)
        self._title.setText(title)
        self._text.setText(text)
        self._text.setVisible(bool(text))
        self._actions = tuple(actions)
        for button in self._buttons:
            self._flow.removeWidget(button)
            button.hide()
            button.deleteLater()
        self._buttons = []
        for place, action in enumerate(self._actions):
            button = Button(action.label, self)
            button.setProperty("place", place)
            button.clicked.connect(self._on_clicked)
            self._flow.addWidget(button)
            self._buttons.append(button)
            button.show()
        self.setFocusProxy(self._buttons[0] if self._buttons else None)  # type: ignore[arg-type]  # None takes it away
        if had_focus:  # also where there is nothing to press: else the keyboard would go somewhere far away
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    def _on_clicked(self) -> None:
        button = self.sender()
        if isinstance(button, Button):
            self.action_requested.emit(self._actions[button.property("place")])
