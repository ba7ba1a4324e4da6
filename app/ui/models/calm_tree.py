"""A nested list in the colours of the other lists."""

from __future__ import annotations

from PySide6.QtCore import QEvent
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QTreeWidget, QWidget

from app.ui.scroll_column import use_slim_scroll_bars
from app.ui.theme import colors


class CalmTree(QTreeWidget):
    """Without a header; chosen rows have a quiet ground instead of the accent colour."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setHeaderHidden(True)
        self.setUniformRowHeights(True)
        use_slim_scroll_bars(self)
        self._use_colors()

    def _use_colors(self) -> None:
        theme, palette = colors(), self.palette()
        role = QPalette.ColorRole
        if palette.color(role.Highlight) == QColor(theme.selected):
            return
        palette.setColor(role.Highlight, QColor(theme.selected))
        palette.setColor(role.HighlightedText, QColor(theme.text))
        # Fusion frames check boxes in the window's colour, darkened: too faint to be seen.
        palette.setColor(role.Window, QColor(theme.field_border).lighter(140))
        self.setPalette(palette)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._use_colors()
