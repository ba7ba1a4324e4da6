"""The sheet with all keys (Ctrl+/)."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.ui.buttons import Button, ButtonKind
from app.ui.labels import Label, heading
from app.ui.scroll_column import ScrollColumn
from app.ui.shortcuts import SHORTCUTS, Shortcut, ShortcutSection
from app.ui.theme import colors

RADIUS_PX = 4
COLUMNS = (
    (ShortcutSection.MESSAGE, ShortcutSection.WINDOW),
    (ShortcutSection.ANSWER, ShortcutSection.CHATS),
)


class KeyCap(QWidget):
    """Keys in a frame."""

    def __init__(self, keys: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keys = keys
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self._keys) + metrics.height(), round(metrics.height() * 1.35))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(theme.border), 1))
            painter.setBrush(QColor(theme.raised))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS_PX, RADIUS_PX)
            painter.setPen(QColor(theme.text))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._keys)


class ShortcutsSheet(QDialog):
    """Not modal: it may stay open beside the work."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Keyboard shortcuts"))
        sheet = ScrollColumn(self, width_in_chars=140)
        sheet.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        sheet.setAccessibleName(self.tr("Keyboard shortcuts"))
        columns = QHBoxLayout()
        columns.setSpacing(40)
        for sections in COLUMNS:
            column = QVBoxLayout()
            column.setSpacing(16)
            for section in sections:
                column.addWidget(self._block(section))
            column.addStretch(1)
            columns.addLayout(column, 1)
        sheet.column.addWidget(heading(self.windowTitle(), self))
        sheet.column.addSpacing(8)
        sheet.column.addLayout(columns)
        sheet.column.addStretch(1)
        close = Button(self.tr("Close"), self, kind=ButtonKind.PRIMARY)
        close.clicked.connect(self.close)
        bottom = QHBoxLayout()
        bottom.setContentsMargins(16, 0, 16, 16)
        bottom.addStretch(1)
        bottom.addWidget(close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(sheet, 1)
        layout.addLayout(bottom)
        close.setFocus()
        self.resize(self._comfortable_size(sheet, close))

    def _block(self, section: ShortcutSection) -> QWidget:
        block = QWidget(self)
        grid = QGridLayout(block)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(0, 1)
        grid.addWidget(Label(section.title(), block, bold=True), 0, 0, 1, 2)
        for row, shortcut in enumerate((s for s in SHORTCUTS if s.section is section), start=1):
            self._add_row(grid, row, shortcut)
        return block

    def _add_row(self, grid: QGridLayout, row: int, shortcut: Shortcut) -> None:
        cap = KeyCap(shortcut.shown_keys(), self)
        words = Label(shortcut.label(), self, wraps=True)
        words.setAccessibleName(f"{shortcut.label()}: {shortcut.shown_keys()}")
        grid.addWidget(words, row, 0, Qt.AlignmentFlag.AlignVCenter)
        grid.addWidget(cap, row, 1, Qt.AlignmentFlag.AlignTrailing | Qt.AlignmentFlag.AlignVCenter)

    def _comfortable_size(self, sheet: ScrollColumn, button: Button) -> QSize:
        inside = sheet.inside.sizeHint()
        wanted = QSize(
            max(self.fontMetrics().averageCharWidth() * 100, inside.width()),
            inside.height() + button.sizeHint().height() + 32,
        )
        screen = self.screen().availableSize()
        return wanted.boundedTo(QSize(screen.width() * 9 // 10, screen.height() * 9 // 10))
