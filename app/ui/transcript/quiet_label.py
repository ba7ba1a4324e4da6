"""A line of small text in the quiet colour."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QLabel, QWidget

from app.ui.transcript.style import TextStyle


class QuietLabel(QLabel):
    """Plain text, small and quiet."""

    def __init__(self, style: TextStyle, parent: QWidget) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setFont(style.small_font)
        palette = self.palette()
        for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text):  # which one applies depends on the parent
            palette.setColor(role, style.quiet)
        self.setPalette(palette)
