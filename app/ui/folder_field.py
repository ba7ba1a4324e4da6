"""A folder: typed, or chosen in the system's dialog."""

from __future__ import annotations

from PySide6.QtWidgets import QFileDialog, QWidget

from app.core.settings import Setting
from app.ui.buttons import Button
from app.ui.setting_fields import LineField
from app.ui.setting_words import SettingWords


class FolderField(LineField):
    """A line with a button beside it."""

    def __init__(self, setting: Setting, words: SettingWords, parent: QWidget | None = None) -> None:
        super().__init__(setting, words, parent)
        choose = Button(self.tr("Choose…"), self, name=self.tr("Choose: {what}").format(what=words.label))
        choose.clicked.connect(self._on_choose)
        self._layout.addWidget(choose)

    def _on_choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.words.label, str(self.value()))
        if folder:
            self._edit.setText(folder)
            self._tell()
