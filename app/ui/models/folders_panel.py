"""The folders whose models are in the list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label, heading, hint


class FoldersPanel(QWidget):
    """The first folder is Hearth's own, which stays."""

    add_requested = Signal(str)
    remove_requested = Signal(str)
    duplicates_requested = Signal()

    def __init__(self, folders: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(heading(self.tr("Folders"), self))
        layout.addWidget(hint(self.tr("Models in these folders, and in folders inside them, are in the list."), self))
        for place, folder in enumerate(folders):
            # A zero-width space lets a long path break at its separators.
            words = folder.replace("/", "/\u200b").replace("\\", "\\\u200b")
            layout.addWidget(Label(words, self, wraps=True))
            if place == 0:
                layout.addWidget(hint(self.tr("Hearth's own: downloads go here."), self))
                continue
            remove = Button(self.tr("Remove from the list of folders"), self, kind=ButtonKind.QUIET)
            remove.setAccessibleName(self.tr("Remove the folder {folder}").format(folder=folder))
            remove.clicked.connect(partial(self.remove_requested.emit, folder))
            layout.addWidget(remove, 0, Qt.AlignmentFlag.AlignLeading)
        buttons = FlowLayout(spacing_px=8)
        add = Button(self.tr("Add a folder…"), self, icon="folder")
        add.clicked.connect(self._on_add)
        same = Button(self.tr("Find duplicates"), self)
        same.clicked.connect(self.duplicates_requested)
        buttons.addWidget(add)
        buttons.addWidget(same)
        layout.addLayout(buttons)

    def _on_add(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.tr("Add a folder"))
        if folder:
            self.add_requested.emit(folder)
