"""The text of a help topic."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QUrl
from PySide6.QtGui import QResizeEvent, QTextDocument
from PySide6.QtWidgets import QTextBrowser, QWidget

from app.ui.scroll_column import use_slim_scroll_bars

WIDTH_IN_CHARS = 80
SIDE_MARGIN_PX = 24
TOP_MARGIN_PX = 8


class TopicBrowser(QTextBrowser):
    """Shows Markdown; loads nothing from anywhere and follows no link."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._markdown = ""
        self.setAccessibleName(self.tr("Help topic"))
        self.setOpenLinks(False)
        self.setOpenExternalLinks(False)
        self.setFrameShape(QTextBrowser.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.setViewportMargins(0, TOP_MARGIN_PX, 0, 0)
        self.document().setDocumentMargin(SIDE_MARGIN_PX)
        self.setLineWrapMode(QTextBrowser.LineWrapMode.FixedPixelWidth)
        use_slim_scroll_bars(self)

    def show_markdown(self, markdown: str) -> None:
        """Show a text from its beginning."""
        self._markdown = markdown
        self._render()
        self.verticalScrollBar().setValue(0)

    def _render(self) -> None:
        features = QTextDocument.MarkdownFeature
        self.document().setMarkdown(self._markdown, features.MarkdownDialectGitHub | features.MarkdownNoHTML)

    def _set_width(self) -> None:
        readable_px = self.fontMetrics().averageCharWidth() * WIDTH_IN_CHARS + 2 * SIDE_MARGIN_PX
        self.setLineWrapColumnOrWidth(max(1, min(self.viewport().width(), readable_px)))

    def loadResource(self, _kind: int, _name: QUrl | str) -> Any:
        return None

    def resizeEvent(self, event: QResizeEvent) -> None:
        was_at_top = self.verticalScrollBar().value() == 0
        super().resizeEvent(event)
        self._set_width()
        if was_at_top:
            self.verticalScrollBar().setValue(0)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.PaletteChange) and self._markdown:
            self._set_width()
            self._render()
