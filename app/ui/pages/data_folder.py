"""Where everything is kept, and the backups, in the settings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from PySide6.QtCore import QDateTime, QLocale, Signal
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from app.services.wording import file_size
from app.ui.buttons import Button
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label, hint


class BackupRow(Protocol):
    """A backup as `app.storage.backups` lists it."""

    @property
    def created_at(self) -> datetime:
        """When it was made, aware."""

    @property
    def size_bytes(self) -> int:
        """The size of its file."""


class DataFolder(QWidget):
    """The folder's path and the list of backups."""

    open_folder_requested = Signal()
    backup_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path = QLineEdit(self)
        self._path.setReadOnly(True)
        self._path.setAccessibleName(self.tr("Data folder"))
        self._backups = Label("", self, wraps=True)
        self._problem = Label("", self, wraps=True)
        self._problem.hide()
        self._open = Button(self.tr("Open folder"), self, icon="folder")
        self._open.setAccessibleName(self.tr("Open the data folder"))
        self._open.clicked.connect(self.open_folder_requested)
        self._back_up = Button(self.tr("Back up now"), self)
        self._back_up.clicked.connect(self._on_back_up_clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(Label(self.tr("Data folder"), self))
        layout.addWidget(self._path)
        layout.addLayout(_row(self._open))
        layout.addWidget(hint(self.tr("Your chats, settings and backups. Copy it to take everything along."), self))
        layout.addSpacing(12)
        layout.addWidget(Label(self.tr("Backups"), self))
        layout.addWidget(self._backups)
        layout.addWidget(self._problem)
        layout.addLayout(_row(self._back_up))
        layout.addWidget(
            hint(self.tr("One is made every week and before every upgrade, and checked. The last five are kept."), self)
        )
        layout.addSpacing(12)
        layout.addWidget(Label(self.tr("Trash"), self))
        layout.addWidget(hint(self.tr("Chats in the trash are deleted for ever after 30 days."), self))
        self.set_backups([])

    def set_folder(self, path: str) -> None:
        """Where everything is kept."""
        self._path.setText(path)
        self._path.setCursorPosition(0)

    def set_backups(self, backups: Sequence[BackupRow]) -> None:
        """The backups there are, newest first."""
        self._problem.hide()
        self._back_up.setEnabled(True)
        lines = [self._describe(backup) for backup in backups]
        self._backups.setText("\n".join(lines) or self.tr("None yet"))

    def show_problem(self, words: str) -> None:
        """Why a backup could not be made."""
        self._back_up.setEnabled(True)
        self._problem.setText(words)
        self._problem.show()

    def _describe(self, backup: BackupRow) -> str:
        made_at = QDateTime.fromSecsSinceEpoch(int(backup.created_at.timestamp()))
        moment = QLocale().toString(made_at, QLocale.FormatType.ShortFormat)
        return f"{moment} · {file_size(backup.size_bytes)}"

    def _on_back_up_clicked(self) -> None:
        self._back_up.setEnabled(False)
        self.backup_requested.emit()


def _row(button: Button) -> FlowLayout:
    row = FlowLayout()
    row.addWidget(button)
    return row
