"""A model card: Markdown that strangers wrote. Nothing is loaded for it, and no link opens by itself."""

from __future__ import annotations

from math import ceil
from typing import Any

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QImage, QResizeEvent, QTextCursor, QTextDocument, QTextOption
from PySide6.QtWidgets import QFrame, QTextBrowser, QWidget

MAX_CHARS = 60_000  # longer ones are cut: laying them out would be felt
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
        self.anchorClicked.connect(self._on_clicked)

    def set_card(self, markdown: str) -> None:
        """Show a card."""
        features = QTextDocument.MarkdownFeature
        text = markdown if len(markdown) <= MAX_CHARS else markdown[:MAX_CHARS] + "\n\n…"
        self.document().setMarkdown(text, features.MarkdownDialectGitHub | features.MarkdownNoHTML)
        self._wrap_code()
        self._fit()

    def _wrap_code(self) -> None:
        """Nothing scrolls sideways here: long lines of code go on in the next."""
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        block = self.document().begin()
        while block.isValid():
            form = block.blockFormat()
            if form.nonBreakableLines():
                form.setNonBreakableLines(False)
                cursor.setPosition(block.position())
                cursor.setBlockFormat(form)
            block = block.next()
        cursor.endEditBlock()

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        nothing = QImage(1, 1, QImage.Format.Format_ARGB32)  # without one, Qt draws a torn picture
        nothing.fill(Qt.GlobalColor.transparent)
        return nothing if kind == QTextDocument.ResourceType.ImageResource.value else None

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.document().setTextWidth(self.viewport().width())
        self.setFixedHeight(ceil(self.document().size().height()) + 2 * self.frameWidth())

    def _on_clicked(self, url: QUrl) -> None:
        if url.scheme().lower() in _SCHEMES and url.host():
            self.link_requested.emit(url.toString())
