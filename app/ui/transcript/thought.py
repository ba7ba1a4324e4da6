"""What a reasoning model thought before it answered: folded away when it is done."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.core.blocks import BlockSplitter
from app.ui.transcript.block_column import BlockColumn
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.quiet_button import HEIGHT_PX, PADDING_PX, QuietButton

PART = 0
"""The number of the thought among the parts of a message, see `TextId`."""
_INDENT_PX = 24
_GAP_PX = 4


class Thought(QWidget):
    """A button "Thought" over the text, which it shows and hides."""

    toggled = Signal(bool)
    height_changed = Signal()

    def __init__(self, context: TranscriptContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._context = context
        self._splitter = BlockSplitter()
        self._running = False
        self._expanded = False
        self._button = QuietButton(context, "", self)
        self._button.clicked.connect(self._on_button_clicked)
        self.column = BlockColumn(context, self, PART)
        palette = self.column.palette()
        palette.setColor(palette.ColorRole.Text, context.style.quiet)
        self.column.setPalette(palette)
        self.column.height_changed.connect(self.height_changed)
        self.column.hide()

    @property
    def is_expanded(self) -> bool:
        """Whether the text is shown."""
        return self._expanded

    def append(self, text: str) -> None:
        """More thoughts."""
        stable = len(self._splitter.done)
        self._splitter.feed(text)
        if self._expanded:
            self.column.set_blocks(self._splitter.blocks(), stable)

    def set_state(self, *, running: bool, expanded: bool) -> None:
        """Whether the model still thinks, and whether its thoughts are shown."""
        self._running = running
        if not running:
            self._splitter.finish()
        if expanded:
            self.column.set_blocks(self._splitter.blocks())
        self._expanded = expanded
        self.column.setVisible(expanded)
        words = self.tr("Thinking…") if running else self.tr("Thought")
        self._button.setText(f"{'▾' if expanded else '▸'}  {words}")
        self._button.setAccessibleName(words)
        self._button.setAccessibleDescription(self.tr("shown") if expanded else self.tr("hidden"))

    def height_for(self, width: int) -> int:
        """The height at a width."""
        self._button.setGeometry(0, 0, self._button.sizeHint().width(), HEIGHT_PX)
        if not self._expanded:
            return HEIGHT_PX
        self.column.set_width(max(1, width + PADDING_PX - _INDENT_PX))
        height = self.column.content_height
        self.column.setGeometry(_INDENT_PX, HEIGHT_PX + _GAP_PX, max(1, width + PADDING_PX - _INDENT_PX), height)
        return HEIGHT_PX + _GAP_PX + height

    def tab_stops(self) -> list[QWidget]:
        """The button that shows and hides the text."""
        return [self._button]

    def set_row(self, row: int) -> None:
        """Tell the texts their row."""
        self.column.set_row(row)

    def _on_button_clicked(self) -> None:
        self.toggled.emit(not self._expanded)

    # -- Qt

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._expanded:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._context.style.border)
        top = HEIGHT_PX + _GAP_PX
        painter.drawRoundedRect(QRectF(PADDING_PX, top, 3, self.height() - top), 1.5, 1.5)
        painter.end()
