"""Changing a message in place."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app.ui.buttons import Button, ButtonKind
from app.ui.long_lines import insert_text, text_of
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.quiet_label import QuietLabel

_MIN_LINES = 3
_MAX_LINES = 14
_BOX_MARGIN_PX = 16


class MessageEditor(QWidget):
    """A text box with Save (Ctrl+Enter) and Cancel (Esc)."""

    submitted = Signal(str)
    cancelled = Signal()
    height_changed = Signal()

    def __init__(self, context: TranscriptContext, text: str, parent: QWidget) -> None:
        super().__init__(parent)
        self._style = context.style
        self._box = QPlainTextEdit(self)
        self._box.setFont(context.style.font)
        self._box.setAccessibleName(self.tr("Edit your message"))
        self._box.setTabChangesFocus(True)
        insert_text(self._box.textCursor(), text)
        self._box.document().clearUndoRedoStacks()
        self._lines = 0
        hint = QuietLabel(context.style, self)
        hint.setText(self.tr("Sending it again starts a new branch; this one is kept."))
        hint.setWordWrap(True)
        self._save = Button(self.tr("Save"), self, kind=ButtonKind.PRIMARY)
        self._save.setToolTip(self.tr("Send the changed message (Ctrl+Enter)"))
        cancel = Button(self.tr("Cancel"), self)
        cancel.setToolTip(self.tr("Keep the message as it was (Esc)"))
        row = self._row = QHBoxLayout()
        row.addWidget(hint, 1)
        row.addWidget(cancel)
        row.addWidget(self._save)
        column = self._column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self._box, 1)
        column.addLayout(row)
        self._save.clicked.connect(self._on_save_clicked)
        cancel.clicked.connect(self.cancelled)
        self._cancel = cancel
        self._box.textChanged.connect(self._on_text_changed)
        self._on_text_changed()

    @property
    def text(self) -> str:
        """What stands in the box."""
        return text_of(self._box.document())

    def height_for(self, width: int) -> int:
        """A box as tall as its text, within limits."""
        box = round(self._lines * self._box.fontMetrics().lineSpacing()) + _BOX_MARGIN_PX
        return box + self._column.spacing() + self._row.heightForWidth(width)

    def start(self) -> None:
        """Put the keyboard at the end of the text."""
        self._box.setFocus(Qt.FocusReason.OtherFocusReason)
        self._box.moveCursor(self._box.textCursor().MoveOperation.End)

    def tab_stops(self) -> list[QWidget]:
        """The box and the buttons."""
        return [self._box, self._cancel, self._save]

    def _on_save_clicked(self) -> None:
        if self.text.strip():
            self.submitted.emit(self.text)

    def _on_text_changed(self) -> None:
        self._save.setEnabled(not self._box.document().isEmpty())
        lines = max(_MIN_LINES, min(_MAX_LINES, self._box.document().blockCount() + 1))
        if lines != self._lines:
            self._lines = lines
            self.height_changed.emit()

    # -- Qt

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, modifiers = event.key(), event.modifiers()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and modifiers & Qt.KeyboardModifier.ControlModifier:
            self._on_save_clicked()
        elif key == Qt.Key.Key_Escape:
            self.cancelled.emit()
        else:
            super().keyPressEvent(event)
