"""Two fields in the fixed font: one to write a chat template in, one that shows a dialogue as a template writes it."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QEvent, QRect, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QFontMetricsF,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextCharFormat,
    QTextCursor,
    QTextOption,
)
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QTextEdit, QWidget

from app.core.template_check import RenderedDialogue
from app.ui.message_edit import clean_text
from app.ui.scroll_column import use_slim_scroll_bars
from app.ui.theme import colors

_TAB_CHARS = 4
_MARGIN_PX = 6


class FixedText(QPlainTextEdit):
    """Text in the system's fixed font, in the size of the application's; Tab goes on to the next control."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setTabChangesFocus(True)
        use_slim_scroll_bars(self)
        self._set_fixed_font()

    def text(self) -> str:
        """The text as it is: `toPlainText` would make blanks of no-break spaces."""
        return clean_text(self.document().toRawText().replace("\u2029", "\n"))

    def _set_fixed_font(self) -> None:
        font = QFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        wanted = QApplication.font()
        if wanted.pointSizeF() > 0:
            font.setPointSizeF(wanted.pointSizeF())
        else:
            font.setPixelSize(wanted.pixelSize())
        if font != self.font():
            self.setFont(font)
            self.setTabStopDistance(QFontMetricsF(font).horizontalAdvance(" ") * _TAB_CHARS)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ApplicationFontChange:
            self._set_fixed_font()
        return super().event(event)


class TemplateSource(FixedText):
    """The template, with numbers beside its lines; the line where it fails stands out."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(name, parent)
        self._failing_line = 0
        self._gutter = _Gutter(self)
        self.document().blockCountChanged.connect(self._update_gutter)
        self.updateRequest.connect(self._on_update_request)
        self._update_gutter()

    def mark_line(self, line: int) -> None:
        """Let a line stand out, from 1; 0: none."""
        self._failing_line = line
        block = self.document().findBlockByNumber(line - 1) if line > 0 else None
        selections = []
        if block is not None and block.isValid():
            selection = QTextEdit.ExtraSelection()
            selection.format.setBackground(QColor(colors().error_ground))
            selection.format.setProperty(QTextCharFormat.Property.FullWidthSelection, True)
            selection.cursor = QTextCursor(block)
            selections.append(selection)
        self.setExtraSelections(selections)

    def go_to_line(self, line: int) -> None:
        """Bring the cursor there, from 1, and the keyboard with it."""
        block = self.document().findBlockByNumber(line - 1)
        if block.isValid():
            self.setTextCursor(QTextCursor(block))
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    def gutter_px(self) -> int:
        """How wide the numbers are."""
        return self.fontMetrics().horizontalAdvance("9" * len(str(self.blockCount()))) + 2 * _MARGIN_PX

    def lines_on_screen(self) -> Iterator[tuple[int, QRect]]:
        """Each line's number and where it stands."""
        block = self.firstVisibleBlock()
        bottom = self.viewport().height()
        while block.isValid():
            box = self.blockBoundingGeometry(block).translated(self.contentOffset()).toRect()
            if box.top() > bottom:
                return
            yield block.blockNumber() + 1, box
            block = block.next()

    def _update_gutter(self) -> None:
        self.setViewportMargins(self.gutter_px(), 0, 0, 0)
        self._gutter.update()

    def _on_update_request(self, rect: QRect, moved_px: int) -> None:
        if moved_px:
            self._gutter.scroll(0, moved_px)
        else:
            self._gutter.update(0, rect.y(), self._gutter.width(), rect.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        inside = self.contentsRect()
        self._gutter.setGeometry(inside.left(), inside.top(), self.gutter_px(), inside.height())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange) and hasattr(self, "_gutter"):
            self._update_gutter()
            self.mark_line(self._failing_line)


class _Gutter(QWidget):
    """The numbers of the lines."""

    def __init__(self, source: TemplateSource) -> None:
        super().__init__(source)
        self._source = source

    def sizeHint(self) -> QSize:
        return QSize(self._source.gutter_px(), 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setFont(self._source.font())
            painter.setPen(QColor(colors().muted))
            height_px = self._source.fontMetrics().height()
            for number, box in self._source.lines_on_screen():
                place = QRect(0, box.top(), self.width() - _MARGIN_PX, height_px)
                painter.drawText(place, Qt.AlignmentFlag.AlignRight, str(number))


class DialogueText(FixedText):
    """A rendered dialogue: what people and model wrote in the colour of text, what the template puts around it not."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(name, parent)
        self.setReadOnly(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        option.setFlags(QTextOption.Flag.ShowLineAndParagraphSeparators)
        self.document().setDefaultTextOption(option)
        self._dialogue: RenderedDialogue | None = None

    def show_dialogue(self, dialogue: RenderedDialogue | None) -> None:
        """Show it, scrolled to where the one before was."""
        self._dialogue = dialogue
        text = dialogue.text if dialogue is not None else ""
        if text != self.text():
            bar = self.verticalScrollBar()
            before = bar.value()
            self.setPlainText(text)
            bar.setValue(before)
        self._color()

    def _color(self) -> None:
        if self._dialogue is None:
            return
        theme, text = colors(), self._dialogue.text
        selections = []
        for start, end in _between(self._dialogue.messages, len(text)):
            selection = QTextEdit.ExtraSelection()
            selection.format.setForeground(QColor(theme.code_keyword))
            selection.cursor = QTextCursor(self.document())
            selection.cursor.setPosition(_qt_length(text[:start]))
            selection.cursor.setPosition(_qt_length(text[:end]), QTextCursor.MoveMode.KeepAnchor)
            selections.append(selection)
        self.setExtraSelections(selections)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_dialogue"):
            self._color()


def _between(messages: tuple[tuple[int, ...], ...], length: int) -> Iterator[tuple[int, int]]:
    """The stretches that are in no message; none where nothing is known of messages."""
    if not messages:
        return
    position = 0
    for start, end in messages:
        if position < start:
            yield position, start
        position = end
    if position < length:
        yield position, length


def _qt_length(text: str) -> int:
    """How many units of UTF-16 a text has."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
