"""The folders whose models are in the list."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import PathLabel, heading, hint
from app.ui.models.progress_line import ProgressLine


class FoldersPanel(QWidget):
    """The first folder is Hearth's own, which stays."""

    add_requested = Signal(str)
    remove_requested = Signal(str)
    duplicates_requested = Signal()
    cancel_requested = Signal()  # the search for duplicates

    def __init__(self, folders: Sequence[str], progress: float | None = None, parent: QWidget | None = None) -> None:
        """`progress` of the search for duplicates, 0 to 1; None: there is none."""
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(heading(self.tr("Folders"), self))
        layout.addWidget(hint(self.tr("Models in these folders, and in folders inside them, are in the list."), self))
        for place, folder in enumerate(folders):
            layout.addWidget(PathLabel(folder, self))
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
        same.setVisible(progress is None)
        self.bar: ProgressLine | None = None
        if progress is not None:
            layout.addWidget(hint(self.tr("Comparing the contents of files of the same size…"), self))
            self.bar = ProgressLine(progress, self)
            self.bar.cancel_requested.connect(self.cancel_requested)
            layout.addWidget(self.bar)

    def _on_add(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, self.tr("Add a folder"))
        if folder:
            self.add_requested.emit(folder)
