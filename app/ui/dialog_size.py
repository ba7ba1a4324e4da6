"""How large a dialog opens."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QDialog

SCREEN_SHARE = 0.92  # frames and panels of the desktop take the rest


def open_in_size(dialog: QDialog, width_px: int, height_px: int) -> None:
    """Let it open in this size, or as large as the screen allows: large texts ask for more than there is."""
    room = dialog.screen().availableSize() * SCREEN_SHARE
    dialog.resize(QSize(width_px, height_px).boundedTo(room))
