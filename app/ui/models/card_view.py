"""A model card: Markdown that strangers wrote. Nothing is loaded for it, and no link opens by itself."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

from PySide6.QtCore import QEvent, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QResizeEvent,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextOption,
)
from PySide6.QtWidgets import QFrame, QTextBrowser, QWidget

from app.ui.theme import colors

MAX_CHARS = 60_000  # longer ones are cut: laying them out would be felt
PIECE_CHARS = 1_500  # laid out in one go
LARGE_LEVELS = 2  # of headings
_FENCES = ("```", "~~~")
_SCHEMES = ("http", "https")


class CardView(QTextBrowser):
    """As tall as its content, inside something that scrolls."""

    link_requested = Signal(str)  # an address that the person clicked

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Model card"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setOpenExternalLinks(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)
        self.setTabChangesFocus(True)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.document().setDocumentMargin(0)  # in line with everything above it
        self.document().setUndoRedoEnabled(False)
        self.anchorClicked.connect(self._on_clicked)
        self._pieces: list[str] = []
        self._next = QTimer(self)
        self._next.setSingleShot(True)
        self._next.timeout.connect(self._add_piece)

    def set_card(self, markdown: str) -> None:
        """Show a card: its beginning at once, the rest piece by piece, for laying out a long one takes 80 ms."""
        text = markdown if len(markdown) <= MAX_CHARS else markdown[:MAX_CHARS] + "\n\n…"
        self._pieces = list(_cut(text))
        self.document().clear()
        self._add_piece()

    def _add_piece(self) -> None:
        if not self._pieces:
            return
        features = QTextDocument.MarkdownFeature
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        cursor.movePosition(QTextCursor.MoveOperation.End)
        if not self.document().isEmpty():
            cursor.insertBlock(QTextBlockFormat(), QTextCharFormat())
        begin = cursor.position()
        cursor.insertMarkdown(self._pieces.pop(0), features.MarkdownDialectGitHub | features.MarkdownNoHTML)
        self._dress(begin)
        cursor.endEditBlock()
        self._fit()
        if self._pieces:
            self._next.start()

    def _dress(self, begin: int) -> None:
        """Headings no larger than that of the page; code on a ground, and its long lines go on in the next."""
        cursor = QTextCursor(self.document())
        ground = QColor(colors().raised)
        block = self.document().findBlock(begin)
        while block.isValid():
            cursor.setPosition(block.position())
            form = block.blockFormat()
            if form.hasProperty(QTextFormat.Property.BlockCodeLanguage) or form.nonBreakableLines():
                form.setNonBreakableLines(False)
                form.setProperty(QTextFormat.Property.BlockCodeLanguage, "")
                form.setBackground(ground)
                cursor.setBlockFormat(form)
            if level := form.headingLevel():
                smaller = QTextCharFormat()
                smaller.setProperty(QTextFormat.Property.FontSizeAdjustment, 1 if level <= LARGE_LEVELS else 0)
                cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
                cursor.mergeCharFormat(smaller)
            block = block.next()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._dress(0)

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        nothing = QImage(1, 1, QImage.Format.Format_ARGB32)  # without one, Qt draws a torn picture
        nothing.fill(Qt.GlobalColor.transparent)
        return nothing if kind == QTextDocument.ResourceType.ImageResource.value else None

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self.document().textWidth() != self.viewport().width():  # setting it lays everything out again
            self.document().setTextWidth(self.viewport().width())
        self.setFixedHeight(ceil(self.document().size().height()) + 2 * self.frameWidth())

    def _on_clicked(self, url: QUrl) -> None:
        if url.scheme().lower() in _SCHEMES and url.host():
            self.link_requested.emit(url.toString())


def _cut(markdown: str) -> Iterator[str]:
    """Pieces that each end where a paragraph, a table or a block of code does."""
    piece: list[str] = []
    chars, in_code = 0, False
    for line in markdown.splitlines():
        if line.lstrip().startswith(_FENCES):
            in_code = not in_code
        piece.append(line)
        chars += len(line)
        if chars >= PIECE_CHARS and not in_code and not line.strip():
            yield "\n".join(piece)
            piece, chars = [], 0
    if piece:
        yield "\n".join(piece)
