"""A block of code: its language, a button that copies it, and the code itself."""

from __future__ import annotations

from math import ceil

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent, QResizeEvent, QTextCursor
from PySide6.QtWidgets import QTextEdit, QWidget

from app.core.blocks import Block
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.documents import code_document
from app.ui.transcript.highlighting import highlight
from app.ui.transcript.quiet_button import CopyButton
from app.ui.transcript.quiet_label import QuietLabel
from app.ui.transcript.text_view import TextView

HEADER_PX = 34
PADDING_PX = 12
HIGHLIGHT_EVERY_MS = 400  # while the code is still being written


class _CodeText(TextView):
    """The code; wider lines scroll sideways, text that is added at the end is not laid out again from the start."""

    def __init__(self, context: TranscriptContext, parent: QWidget) -> None:
        super().__init__(context, parent)
        self.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self._code = ""

    def show_code(self, code: str) -> None:
        if self._code and code.startswith(self._code):
            cursor = QTextCursor(self.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(code[len(self._code) :])
        else:
            self._adopt(code_document(code, self._context.style, self))
        self._code = code

    def height_for(self, width: int) -> int:
        document = self.document()
        bar_px = self._bar_height(overflows=document.idealWidth() > width + 1)
        return ceil(document.size().height()) + bar_px


class CodeView(QWidget):
    """Code on a quiet surface under a header."""

    height_changed = Signal()

    def __init__(self, context: TranscriptContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._context = context
        self._block: Block | None = None
        self.text = _CodeText(context, self)
        self._language = QuietLabel(context.style, self)
        self.copy_button = CopyButton(context, self)
        self.copy_button.clicked.connect(self._on_copy_clicked)
        self.copy_button.relabelled.connect(self._place_header)
        self._recolor = QTimer(self)
        self._recolor.setSingleShot(True)
        self._recolor.setInterval(HIGHLIGHT_EVERY_MS)
        self._recolor.timeout.connect(self._on_recolor_timeout)

    def show_block(self, block: Block) -> None:
        """Show code; code that only grew is appended."""
        self._block = block
        self.text.show_code(block.text)
        name = block.language or self.tr("Text")
        if name != self._language.text():
            self._language.setText(name)
            self.copy_button.setAccessibleName(self.tr("Copy code ({0})").format(name))
            self.text.setAccessibleName(self.tr("Code ({0})").format(name))
        if block.closed:
            self._recolor.stop()
            self._on_recolor_timeout()
        elif not self._recolor.isActive():
            self._recolor.start()

    def height_for(self, width: int) -> int:
        """The height at a width."""
        return HEADER_PX + self.text.height_for(width - 2 * PADDING_PX) + PADDING_PX

    def release(self) -> None:
        """Stop what is under way; to be called before it is deleted."""
        self._recolor.stop()
        self.text.release()

    def _on_recolor_timeout(self) -> None:
        if self._block is None or not self._block.language:
            return
        context, block = self._context, self._block
        context.slices.cancel(self.text)
        job = highlight(self.text.document(), block.text, block.language, context.lexers, context.code_colors)
        context.slices.add(self.text, job)  # the text cancels it when it takes another document

    def _on_copy_clicked(self) -> None:
        if self._block is not None:
            QGuiApplication.clipboard().setText(self._block.text)
            self._context.code_copied.emit()

    def _place_header(self) -> None:
        size: QSize = self.copy_button.sizeHint()
        self.copy_button.setGeometry(self.width() - size.width() - 6, 4, size.width(), HEADER_PX - 8)
        self._language.setGeometry(PADDING_PX, 4, max(0, self.width() - size.width() - 30), HEADER_PX - 8)

    # -- Qt

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._place_header()
        self.text.setGeometry(
            PADDING_PX, HEADER_PX, self.width() - 2 * PADDING_PX, max(0, self.height() - HEADER_PX - PADDING_PX // 2)
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._context.style.surface)
        painter.drawRoundedRect(self.rect(), 8, 8)
        painter.end()
