"""Files that come from, and are shown in, the desktop's own file manager."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QDropEvent


def dropped_path(event: QDropEvent) -> str | None:
    """The first local file of a drop; whether it is a model is found out by opening it."""
    files = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
    return files[0] if files else None


def show_in_folder(path: str) -> None:
    """Open the folder that a file lies in."""
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(path).parent)))
