"""A text that is as tall as its content: prose, a table, a formula, code or what a person typed."""

from __future__ import annotations

from math import ceil

from PySide6.QtCore import QPoint, QRectF, Qt, QUrl, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
    QTextCursor,
    QTextDocument,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QWidget

from app.core.blocks import Block, BlockKind
from app.core.math_spans import Formula
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.documents import (
    QUOTE_INDENT_PX,
    Built,
    formula_document,
    markdown_document,
    plain_document,
)
from app.ui.transcript.formulas import FORMULA_TYPE, OBJECT_CHAR, formula_format
from app.ui.transcript.selection import Place, TextId
from app.ui.transcript.slices import Job
from app.ui.transcript.slim_bar import SlimBar

_WAIT_MS = 5  # while a formula is being drawn
_BAR_PX = 3


class TextView(QTextBrowser):
    """Shows a document without scrolling vertically; too wide ones scroll sideways.

    The mouse selects through the transcript's own selection, so that it can run across messages.
    """

    height_changed = Signal()

    def __init__(self, context: TranscriptContext, parent: QWidget) -> None:
        super().__init__(parent)
        self.text_id = TextId(0, 0, 0)
        self._context = context
        self._own_document: QTextDocument | None = None
        self._quotes: list[tuple[int, int, int]] = []
        self._formulas: list[tuple[int, int]] = []
        self.setAccessibleName(self.tr("Text"))  # what it says comes from the text itself
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.viewport().setAutoFillBackground(False)
        self.anchorClicked.connect(self._on_anchor_clicked)

    # -- content

    def show_block(self, block: Block) -> None:
        """Show a block of prose, a table or a formula."""
        style, cache = self._context.style, self._context.formulas
        if block.kind is BlockKind.MATH and block.closed:
            formula = Formula(block.text, block.source.strip(), display=True)
            self._adopt(formula_document(formula, style, cache, self))
        elif block.kind is BlockKind.MATH:
            self._adopt(plain_document(block.text, style, self))
        else:
            whole_words = QTextOption.WrapMode.WordWrap  # a table scrolls sideways rather than break words
            anywhere = QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere
            self.setWordWrapMode(whole_words if block.kind is BlockKind.TABLE else anywhere)
            self._adopt(markdown_document(block.text, style, cache, self))

    def show_plain(self, text: str) -> None:
        """Show text as it was typed."""
        self._adopt(plain_document(text, self._context.style, self))

    def _adopt(self, built: Built) -> None:
        self._context.slices.cancel(self)
        option = built.document.defaultTextOption()
        if option.wrapMode() != self.wordWrapMode():  # Qt would change it later, and lay everything out twice
            option.setWrapMode(self.wordWrapMode())
            built.document.setDefaultTextOption(option)
        if built.formulas:
            built.document.documentLayout().registerHandler(FORMULA_TYPE, self._context.formula_object)
        self._quotes = built.quotes
        self._formulas = built.formulas
        self.viewport().resize(self.width(), self.viewport().height())  # a hidden view would lay out for its old width
        self.setDocument(built.document)
        if self._own_document is not None:  # Qt deletes only documents that it made itself
            self._own_document.deleteLater()
        self._own_document = built.document
        policy = Qt.FocusPolicy.StrongFocus if built.has_links else Qt.FocusPolicy.ClickFocus
        self.setFocusPolicy(policy)
        self.apply_selection()
        if any(not self._context.formulas.is_tried(number) for _position, number in built.formulas):
            self._context.slices.add(self, self._typeset())

    def release(self) -> None:
        """Stop what is under way; to be called before it is deleted."""
        self._context.slices.cancel(self)

    def _typeset(self) -> Job:
        """Have the formulas drawn one after the other, then put them in their places together."""
        cache = self._context.formulas
        for _position, number in self._formulas:
            while not cache.is_tried(number):
                cache.begin(number)
                yield _WAIT_MS
        drawn: list[tuple[int, int]] = []
        shift = 0
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        for position, number in self._formulas:
            cursor.setPosition(position + shift)
            cursor.setPosition(position + shift + 1, QTextCursor.MoveMode.KeepAnchor)
            if cache.drawing(number) is None:
                cursor.insertText(cache.formula(number).source)
                shift = cursor.position() - position - 1
            else:
                cursor.setCharFormat(formula_format(cache, number, self._context.style, cursor.charFormat()))
                drawn.append((position + shift, number))
        self._formulas = drawn
        cursor.endEditBlock()
        self.height_changed.emit()

    def height_for(self, width: int) -> int:
        """The height that the text needs at a width, its horizontal scroll bar included."""
        document = self.document()
        if document.textWidth() != width:  # setting it lays everything out again, even when nothing changed
            self.resize(width, self.height())  # else Qt goes back to the width of the view when scroll bars change
            self.viewport().resize(width, self.viewport().height())  # which a hidden view leaves as it was
        if document.textWidth() != width:
            document.setTextWidth(width)
        height = ceil(document.size().height())
        return height + self._bar_height(overflows=document.size().width() > width + 1)

    def _bar_height(self, *, overflows: bool) -> int:
        """Show the horizontal scroll bar or not; the height that it takes."""
        policy = Qt.ScrollBarPolicy.ScrollBarAlwaysOn if overflows else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        if policy != self.horizontalScrollBarPolicy():
            if not isinstance(self.horizontalScrollBar(), SlimBar):
                self.setHorizontalScrollBar(SlimBar(self._context.style.bar, self))
            self.setHorizontalScrollBarPolicy(policy)
        return self.horizontalScrollBar().sizeHint().height() if overflows else 0

    def plain_text(self, start: int = 0, end: int | None = None) -> str:
        """The text between two positions; formulas as their source."""
        cursor = QTextCursor(self.document())
        cursor.setPosition(min(start, self.length))  # an answer that goes on may be shown with fewer characters
        cursor.setPosition(self.length if end is None else min(end, self.length), QTextCursor.MoveMode.KeepAnchor)
        text = cursor.selection().toPlainText()
        return self._with_sources(text, start) if OBJECT_CHAR in text else text

    def _with_sources(self, text: str, start: int) -> str:
        numbers = [number for position, number in self._formulas if position >= start]
        parts = text.split(OBJECT_CHAR)
        sources = [self._context.formulas.formula(number).source for number in numbers]
        sources += [""] * len(parts)
        return "".join(part + source for part, source in zip(parts, [*sources[: len(parts) - 1], ""], strict=True))

    @property
    def length(self) -> int:
        """The last position of the text."""
        return self.document().characterCount() - 1

    # -- selection

    def apply_selection(self) -> None:
        """Show what the transcript's selection covers of this text."""
        start, end = self._context.selection.range_in(self.text_id, self.length)
        cursor = self.textCursor()
        if (cursor.selectionStart(), cursor.selectionEnd()) == (start, end) or (
            start == end and not cursor.hasSelection()
        ):
            return
        bar = self.horizontalScrollBar()
        scrolled_to = bar.value()
        cursor = QTextCursor(self.document())
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        self.setTextCursor(cursor)
        bar.setValue(scrolled_to)  # Qt would scroll the end of the selection into view

    def place_at(self, global_position: QPoint) -> Place:
        """The place nearest to a point of the screen."""
        local = self.viewport().mapFromGlobal(global_position)
        return Place(self.text_id, self.cursorForPosition(local).position())

    def _adopt_native_selection(self) -> None:
        cursor = self.textCursor()
        first, last = Place(self.text_id, cursor.selectionStart()), Place(self.text_id, cursor.selectionEnd())
        self._context.selection.set_range(first, last)

    def _on_anchor_clicked(self, url: QUrl) -> None:
        self._context.link_activated.emit(url.toString())

    # -- Qt

    def loadResource(self, kind: int, name: QUrl | str) -> None:
        return None  # nothing is read from disk or network

    def showEvent(self, event: QShowEvent) -> None:
        pass  # QTextEdit would look for its cursor, which takes 9 ms among 1,000 emoji

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self.document().textWidth() == self.viewport().width():
            event = QResizeEvent(event.size(), event.size())  # the same width: QTextEdit need not lay out again
        super().resizeEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        selection = self._context.selection
        if event.button() != Qt.MouseButton.LeftButton:
            return
        place = self.place_at(event.globalPosition().toPoint())
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            selection.extend(place)
        elif self.textCursor().hasSelection():  # the third click of three selects the paragraph
            self._adopt_native_selection()
        else:
            selection.begin(place)
        selection.is_dragging = True

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        super().mouseDoubleClickEvent(event)
        if event.button() == Qt.MouseButton.LeftButton:
            self._adopt_native_selection()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton and self._context.selection.is_dragging:
            self._context.drag_moved.emit(event.globalPosition().toPoint())
            return
        super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._context.selection.is_dragging = False
        self._context.drag_ended.emit()
        super().mouseReleaseEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        event.ignore()  # the transcript has one menu for all

    def keyPressEvent(self, event: QKeyEvent) -> None:
        follows_link = (
            event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.textCursor().charFormat().isAnchor()
        )
        if follows_link:
            super().keyPressEvent(event)
        else:
            event.ignore()  # scrolling, copying and selecting all belong to the transcript

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() in (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason):
            super().focusNextPrevChild(event.reason() == Qt.FocusReason.TabFocusReason)  # the first or last link

    def wheelEvent(self, event: QWheelEvent) -> None:
        sideways = event.angleDelta().x() or event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        bar = self.horizontalScrollBar()
        if sideways and bar.maximum() > 0:
            delta = event.pixelDelta().x() or event.angleDelta().x() or event.angleDelta().y()
            bar.setValue(bar.value() - delta // 2)
            event.accept()
        else:
            event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self._quotes:
            self._paint_quote_bars()

    def _paint_quote_bars(self) -> None:
        document = self.document()
        layout = document.documentLayout()
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._context.style.border)
        for first, last, depth in self._quotes:
            start = document.findBlockByNumber(first)
            top = layout.blockBoundingRect(start).top()
            bottom = layout.blockBoundingRect(document.findBlockByNumber(last)).bottom()
            indent = start.blockFormat().indent() * document.indentWidth()  # a quote inside a list
            for level in range(depth):
                x = indent + level * QUOTE_INDENT_PX
                if start.textDirection() == Qt.LayoutDirection.RightToLeft:
                    x = self.viewport().width() - x - _BAR_PX
                painter.drawRoundedRect(QRectF(x, top, _BAR_PX, bottom - top), 1.5, 1.5)
        painter.end()


def link_under(widget: QWidget | None, point: QPoint) -> str | None:
    """The address of the link at a point of the screen, when `widget` is (inside) a text and there is one."""
    while widget is not None and not isinstance(widget, TextView):
        widget = widget.parentWidget()
    if widget is None:
        return None
    return widget.anchorAt(widget.viewport().mapFromGlobal(point)) or None
