"""The choice of a draft model for the model that is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.core.events import ModelInfo
from app.services.explain_draft import draft_state
from app.ui.device_field import device_box
from app.ui.labels import Label, hint

_NONE, _OTHER_FILE = "", "\0"  # the latter is no path


class DraftField(QWidget):
    """None, small models that were opened before, or any file."""

    chosen = Signal(str)  # a path; empty: none
    file_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        label = Label(self.tr("Draft model for this model"), self)
        words = hint(
            self.tr(
                "A small model with the same vocabulary, usually the smallest of the same family. It guesses the next "
                "words, the model itself checks several at once: the same answers, sooner where the guesses are right."
            ),
            self,
        )
        self._chosen = _NONE
        self._box = device_box(self)
        self._box.setAccessibleName(label.text())
        self._box.setAccessibleDescription(words.text())
        self._box.activated.connect(self._on_activated)
        self._state = Label("", self, percent=88, wraps=True)
        label.setBuddy(self._box)
        self.setFocusProxy(self._box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for widget in (label, self._box, words, self._state):
            column.addWidget(widget)
        self.set_model(None, _NONE, ())

    def set_model(self, model: ModelInfo | None, chosen: str, known: Sequence[tuple[str, str]]) -> None:
        """The model that is loaded, the draft model chosen for it, and paths and names of others to choose from."""
        self._chosen = chosen
        offered = [(_NONE, self.tr("None")), *known]
        if chosen not in dict(offered):
            offered.append((chosen, Path(chosen).name))
        offered.append((_OTHER_FILE, self.tr("Choose a file…")))
        if offered != [(self._box.itemData(index), self._box.itemText(index)) for index in range(self._box.count())]:
            self._box.clear()
            for path, name in offered:
                self._box.addItem(name, path)
        self._box.setCurrentIndex(self._box.findData(chosen))
        self._box.setEnabled(model is not None or bool(chosen))
        text = draft_state(model) if model is not None and chosen else ""
        self._state.setText(text)
        self._state.setVisible(bool(text))

    def _on_activated(self, _index: int) -> None:
        path = str(self._box.currentData())
        if path == _OTHER_FILE:
            self._box.setCurrentIndex(self._box.findData(self._chosen))
            self.file_wanted.emit()
        elif path != self._chosen:
            self._chosen = path
            self.chosen.emit(path)
