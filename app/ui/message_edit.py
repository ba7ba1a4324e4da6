"""The box in which a message is written: plain text, as tall as its text up to a limit."""

from __future__ import annotations

import re

from PySide6.QtCore import QEvent, QMimeData, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QResizeEvent, QTextCursor
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QSizePolicy, QWidget

from app.ui.long_lines import has_text, insert_line_break, insert_text, portions, selected_text, text_of
from app.ui.scroll_column import use_slim_scroll_bars

MOST_LINES = 8
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Text without NUL, with line feeds only, and with U+FFFD for surrogates that have lost their partner."""
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    return _LONE_SURROGATE.sub("\ufffd", text)


class MessageEdit(QPlainTextEdit):
    """Enter sends, Shift+Enter begins a new line; while an input method composes, Enter belongs to it.

    A long text goes in portion by portion, so that the window stays responsive; who asks for the text gets all of it.
    Wherever the person clicks meanwhile, it stays in one piece, and keys wait until it is in.
    """

    edited = Signal()  # by the person
    send_wished = Signal()
    focus_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._portions: list[str] = []  # still to be inserted, the next one last
        self._insertion = QTextCursor()  # where
        self._waiting_keys: list[QKeyEvent] = []
        self._portion_timer = QTimer(self)
        self._portion_timer.setInterval(0)
        self._portion_timer.timeout.connect(self._insert_portion)
        self._setting_text = False
        self._send_waits = False  # until everything is inserted, as the keys do
        self._lines = 1
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        use_slim_scroll_bars(self)
        self.viewport().setAutoFillBackground(False)
        self.textChanged.connect(self._on_text_changed)
        self._fit()

    def text(self) -> str:
        """What is written, cleaned."""
        self._insert_all()
        return clean_text(text_of(self.document()))

    def set_text(self, text: str) -> None:
        """Replace everything; not told as an edit, cannot be undone. The cursor goes to the end."""
        self._portions.clear()
        self._waiting_keys.clear()
        self._send_waits = False
        self._setting_text = True
        self.clear()
        self.document().setUndoRedoEnabled(False)
        self._begin(clean_text(text))
        self._end_if_done()

    def has_text(self) -> bool:
        """Whether there is anything to send."""
        return has_text(self.document())

    def is_composing(self) -> bool:
        """Whether an input method holds text that is not yet part of the message."""
        return bool(self.textCursor().block().layout().preeditAreaText())

    def _begin(self, text: str) -> None:
        first, *others = portions(text) if text else [""]
        self._portions = others[::-1]
        self._insertion = self.textCursor()
        insert_text(self._insertion, first)
        self.ensureCursorVisible()
        if others:
            self.setReadOnly(True)
            self._portion_timer.start()

    def send(self) -> None:
        """Wish to send: at once, or as soon as a long text is in the box."""
        if self._portions:
            self._send_waits = True
        else:
            self.send_wished.emit()

    def _insert_portion(self) -> None:
        self._insertion.joinPreviousEditBlock()
        insert_text(self._insertion, self._portions.pop())
        self._insertion.endEditBlock()
        self._end_if_done()

    def _insert_all(self) -> None:
        while self._portions:
            self._insert_portion()

    def _end_if_done(self) -> None:
        if self._portions:
            return
        was_pasted = self._portion_timer.isActive() and not self._setting_text
        self._portion_timer.stop()
        self.setReadOnly(False)
        self.document().setUndoRedoEnabled(True)
        self._setting_text = False
        self.ensureCursorVisible()
        if was_pasted:
            self.edited.emit()
        keys, self._waiting_keys = self._waiting_keys, []
        for key in keys:
            self.keyPressEvent(key)
        if self._send_waits:
            self._send_waits = False
            self.send_wished.emit()

    def _on_text_changed(self) -> None:
        self._fit()
        if not self._setting_text and not self._portion_timer.isActive() and not self._portions:
            self.edited.emit()

    def _fit(self) -> None:
        """Ask for as much height as the text needs; a low window gives less, down to two lines."""
        lines = self._count_lines()
        if lines != self._lines:
            self._lines = lines
            self.updateGeometry()
        self._settle()

    def _settle(self) -> None:
        fits = self._lines < MOST_LINES and self.height() >= self.sizeHint().height()
        policy = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(policy.ScrollBarAlwaysOff if fits else policy.ScrollBarAsNeeded)
        if fits:
            # Undo the scrolling that Qt did while the box was still too low.
            self.verticalScrollBar().setValue(0)

    def _height_px(self, lines: int) -> int:
        margins = self.contentsMargins().top() + self.contentsMargins().bottom()
        around_px = margins + round(2 * self.document().documentMargin())
        return lines * self.fontMetrics().lineSpacing() + around_px

    def _count_lines(self) -> int:
        """Lines on screen, counted only as far as the limit: a long text is not laid out for this."""
        document = self.document()
        if document.blockCount() >= MOST_LINES:
            return MOST_LINES
        layout, line_px = document.documentLayout(), self.fontMetrics().lineSpacing()
        lines, block = 0, document.begin()
        while block.isValid() and lines < MOST_LINES:
            lines += max(1, round(layout.blockBoundingRect(block).height() / line_px))
            block = block.next()
        return min(lines, MOST_LINES)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self._portions:
            self._waiting_keys.append(event.clone())
            event.accept()
            return
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if enter and modifiers == Qt.KeyboardModifier.NoModifier:
            if not self.is_composing():
                self.send()
            event.accept()
        elif enter and modifiers == Qt.KeyboardModifier.ShiftModifier:
            # Qt would put in U+2028, a line break inside the paragraph.
            insert_line_break(self.textCursor())
            self.ensureCursorVisible()
            event.accept()
        else:
            super().keyPressEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return source.hasText() and not _only_files(source)

    def insertFromMimeData(self, source: QMimeData) -> None:
        if self.canInsertFromMimeData(source):
            self._insert_all()
            self._begin(clean_text(source.text()))

    def createMimeDataFromSelection(self) -> QMimeData:
        data = QMimeData()
        data.setText(selected_text(self.textCursor()))
        return data

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()
        else:
            self._settle()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self.updateGeometry()
            self._fit()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.focus_changed.emit()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.focus_changed.emit()

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().averageCharWidth() * 40, self._height_px(self._lines))

    def minimumSizeHint(self) -> QSize:
        return QSize(self.fontMetrics().averageCharWidth() * 20, self._height_px(min(self._lines, 2)))


def _only_files(source: QMimeData) -> bool:
    """Whether files are dropped or pasted: the window opens them, their paths are no message."""
    return source.hasUrls() and all(url.isLocalFile() for url in source.urls())
