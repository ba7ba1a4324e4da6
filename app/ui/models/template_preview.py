"""Shows how a chat template writes the fixed dialogues down."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.core.template_check import Dialogue, RenderedDialogue
from app.services.explain_template import dialogue_title, failure
from app.ui.buttons import Button
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label
from app.ui.models.template_text import DialogueText


class TemplatePreview(QWidget):
    """One dialogue at a time; a button leads to each, with a sign where the template fails."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dialogues: dict[Dialogue, RenderedDialogue] = {}
        self._current = Dialogue.SYSTEM
        title = Label(self.tr("Preview: what the model reads"), self, bold=True)
        self.buttons: dict[Dialogue, Button] = {}
        choices = FlowLayout(spacing_px=6)
        for dialogue in Dialogue:
            button = Button(dialogue_title(dialogue), self)
            button.setCheckable(True)
            button.clicked.connect(partial(self.show_dialogue, dialogue))
            self.buttons[dialogue] = button
            choices.addWidget(button)
        self._text = DialogueText(self.tr("Preview"), self)
        self._problem = Label("", self, wraps=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(title)
        layout.addLayout(choices)
        layout.addWidget(self._problem)
        layout.addWidget(self._text, 1)
        self.show_dialogue(self._current)

    @property
    def text(self) -> str:
        """What is shown."""
        return self._text.text()

    @property
    def problem(self) -> str:
        """Why the dialogue on screen cannot be written down; empty: it can."""
        return self._problem.text()

    def set_dialogues(self, dialogues: tuple[RenderedDialogue, ...]) -> None:
        """Show these, the one on screen first of all."""
        self._dialogues = {each.dialogue: each for each in dialogues}
        for dialogue, button in self.buttons.items():
            title = dialogue_title(dialogue)
            found = self._dialogues.get(dialogue)
            fails = found is not None and bool(found.reason)
            button.set_icon_name("warning" if fails else "")
            button.setAccessibleName(self.tr("{dialogue}: fails").format(dialogue=title) if fails else title)
            button.updateGeometry()
        self.show_dialogue(self._current)

    def show_dialogue(self, dialogue: Dialogue, _is_checked: bool = True) -> None:
        """Bring one on screen."""
        self._current = dialogue
        for each, button in self.buttons.items():
            button.setChecked(each is dialogue)
        shown = self._dialogues.get(dialogue)
        self._text.show_dialogue(shown)
        self._problem.setText(failure(shown.reason, shown.line) if shown is not None else "")
        self._problem.setVisible(bool(self._problem.text()))
