"""The addresses of RPC servers, checked as they are typed in."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.core.errors import UserError
from app.core.remote import are_servers, read_servers
from app.core.settings import Setting, Value
from app.services.explain_remote import address_problem
from app.ui.labels import Label
from app.ui.setting_fields import LineField
from app.ui.setting_words import SettingWords
from app.ui.transcript.announce import announce


class ServersField(LineField):
    """A line; what is wrong with it is said below, and then nothing is changed."""

    def __init__(self, setting: Setting, words: SettingWords, parent: QWidget | None = None) -> None:
        super().__init__(setting, words, parent)
        self._problem = Label("", self, wraps=True)
        self._problem.hide()
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(self._edit)
        column.addWidget(self._problem)
        self._layout.addLayout(column, 1)

    def value(self) -> Value:
        typed = str(super().value())
        return typed if are_servers(typed) else self._told

    def set_value(self, value: Value) -> None:
        if self._problem.isVisible() and value == self._told:  # what is to be corrected stays
            return
        super().set_value(value)
        self._problem.hide()

    def _tell(self) -> None:
        typed = str(super().value())
        try:
            servers = read_servers(typed)
        except UserError as error:
            self._show_problem(address_problem(error))
            return
        self._problem.hide()
        self._edit.setText(", ".join(servers))
        super()._tell()

    def _show_problem(self, words: str) -> None:
        if self._problem.isVisible() and self._problem.text() == words:
            return
        self._problem.setText(words)
        self._problem.show()
        announce(self, words)
