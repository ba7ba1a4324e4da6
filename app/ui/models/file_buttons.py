"""The files of a model to choose from: a few in plain words, all others behind a button."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QRadioButton, QVBoxLayout, QWidget

from app.services.wording import file_size
from app.ui.buttons import Button, ButtonKind
from app.ui.labels import Label
from app.ui.models.sheet import FileChoice

SHOWN_AT_FIRST = 4
UNROUNDED = frozenset({"F16", "BF16", "F32"})


class FileList(QWidget):
    """One is chosen."""

    chosen = Signal(object)  # FileChoice

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._files: tuple[FileChoice, ...] = ()
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self._on_clicked)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 8, 0, 0)
        self._layout.setSpacing(4)
        self._layout.addWidget(Label(self.tr("Files"), self, bold=True))
        self._rows = QWidget(self)
        self._column = QVBoxLayout(self._rows)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._layout.addWidget(self._rows)
        self._more = Button(self.tr("All files"), self, kind=ButtonKind.QUIET)
        self._more.clicked.connect(self._show_all)
        self._layout.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeading)
        self._shows_all = False

    @property
    def buttons(self) -> list[QRadioButton]:
        """One for each file that is shown."""
        return [button for button in self._group.buttons() if isinstance(button, QRadioButton)]

    def set_files(self, files: Sequence[FileChoice], chosen: FileChoice | None) -> None:
        """Show these, from the smallest; of many only those in plain words at first."""
        self._files = tuple(files)
        self._shows_all = len(files) <= SHOWN_AT_FIRST
        self._fill(chosen)

    def _fill(self, chosen: FileChoice | None) -> None:
        for button in self._group.buttons():
            self._group.removeButton(button)
            self._column.removeWidget(button)
            button.deleteLater()
        shown = self._files if self._shows_all else _in_plain_words(self._files, chosen)
        for choice in shown:
            button = QRadioButton(self._words(choice), self._rows)
            button.setToolTip(choice.path)
            button.setChecked(chosen is not None and choice.key == chosen.key)
            self._group.addButton(button, self._files.index(choice))
            self._column.addWidget(button)
            button.show()
        self._more.setVisible(len(shown) < len(self._files))

    def _words(self, choice: FileChoice) -> str:
        parts = [choice.quality or choice.quantization or choice.path]
        if choice.quality and choice.quantization:
            parts.append(choice.quantization)
        if choice.size_bytes:
            parts.append(file_size(choice.size_bytes))
        words = " · ".join(parts)
        return self.tr("{file} (recommended)").format(file=words) if choice.is_suggested else words

    def _show_all(self) -> None:
        self._shows_all = True
        chosen = self._group.checkedId()
        self._fill(self._files[chosen] if 0 <= chosen < len(self._files) else None)
        (self._group.checkedButton() or self.buttons[0]).setFocus()  # the button that was pressed is gone

    def _on_clicked(self, place: int) -> None:
        self.chosen.emit(self._files[place])


def _in_plain_words(files: Sequence[FileChoice], chosen: FileChoice | None) -> list[FileChoice]:
    """One of each quality: the suggested one, or else the largest; and the chosen one.

    Unrounded weights only if there is nothing else: twice the size of 8 bits, and nobody can tell the difference.
    """
    rounded = [choice for choice in files if choice.quantization not in UNROUNDED]
    best: dict[str, FileChoice] = {}
    for choice in rounded or files:
        known = best.get(choice.quality)
        if known is None or not known.is_suggested:
            best[choice.quality] = choice
    kept = {choice.key for choice in best.values()} | ({chosen.key} if chosen is not None else set())
    return [choice for choice in files if choice.key in kept]
