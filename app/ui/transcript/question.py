"""A message of the person."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.ui.transcript.block_column import plain_blocks
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.editor import MessageEditor
from app.ui.transcript.message_widget import MessageWidget
from app.ui.transcript.quiet_button import HEIGHT_PX, QuietButton
from app.ui.transcript.row_state import RowState
from app.ui.transcript.style import BUBBLE_PADDING_PX, RADIUS_PX

FOLD_CHARS = 3_000
"""A message longer than this, or of more lines than FOLD_LINES, is folded at first."""
FOLD_LINES = 30
SHOWN_CHARS = 1_200
SHOWN_LINES = 12
_BUBBLE_SHARE = 0.85


def folded(text: str) -> str | None:
    """The beginning of a long text; None when it is short enough to be shown whole."""
    if len(text) <= FOLD_CHARS and text.count("\n") < FOLD_LINES:
        return None
    lines = text[:SHOWN_CHARS].split("\n")[:SHOWN_LINES]
    return "\n".join(lines).rstrip() + " …"


class QuestionWidget(MessageWidget):
    """A bubble on the right with the text as it was typed; it can become an editor."""

    def __init__(self, context: TranscriptContext, state: RowState, row: int, parent: QWidget) -> None:
        self._bubble = QRect()
        self._editor: MessageEditor | None = None
        self._fold_button: QuietButton | None = None
        self._text: str | None = None
        super().__init__(context, state, row, parent)
        self.refresh()

    def shows_plain_text(self) -> bool:
        return True

    def refresh(self) -> None:
        text = self.state.item.message.text
        short = folded(text)
        shown = text if short is None or self.state.shows_all else short
        if shown != self._text:
            self._text = shown
            self.body.set_blocks(plain_blocks(shown))
        if short is not None and self._fold_button is None:
            self._fold_button = QuietButton(self.context, "", self)
            self._fold_button.clicked.connect(self._on_fold_clicked)
            self._fold_button.show()
        if self._fold_button is not None:
            words = self.tr("Show less") if self.state.shows_all else self.tr("Show all")
            self._fold_button.setText(words)
        self._show_editor()
        self.describe(self.tr("Your message"), text)
        self.refresh_footer()

    def _show_editor(self) -> None:
        draft = self.state.draft
        if draft is None and self._editor is not None:
            self._editor.hide()
            self._editor.deleteLater()
            self._editor = None
        elif draft is not None and self._editor is None:
            self._editor = MessageEditor(self.context, draft, self)
            self._editor.submitted.connect(self._on_editor_submitted)
            self._editor.cancelled.connect(self._on_editor_cancelled)
            self._editor.height_changed.connect(self.report_height)
            self._editor.show()
        self.body.setVisible(draft is None)
        if self._fold_button is not None:
            self._fold_button.setVisible(draft is None)

    def start_editing(self) -> None:
        """Put the keyboard into the editor, which `state.draft` opened."""
        if self._editor is not None:
            self._editor.start()

    def release(self) -> None:
        if self._editor is not None:
            self.state.draft = self._editor.text
        super().release()

    # -- geometry

    def place(self, column: QRect) -> int:
        y = column.y()
        if self._editor is not None:
            height = self._editor.height_for(column.width())
            self._editor.setGeometry(column.x(), y, column.width(), height)
            self._bubble = QRect()
            return y + height + 4
        limit = max(80, int(column.width() * _BUBBLE_SHARE) - 2 * BUBBLE_PADDING_PX)
        self.body.set_width(limit)
        width = self.body.natural_width(limit)
        if self._fold_button is not None:
            width = max(width, self._fold_button.sizeHint().width())
        if width != limit:
            self.body.set_width(width)
        if self.state.block_heights:
            self.body.remember_heights(self.state.block_width, self.state.block_heights)
            self.state.block_heights = ()
        height = self.body.content_height
        fold_px = HEIGHT_PX - 6 if self._fold_button is not None else 0
        bubble_width = width + 2 * BUBBLE_PADDING_PX
        x = column.x() + column.width() - bubble_width
        self._bubble = QRect(x, y, bubble_width, height + fold_px + 2 * BUBBLE_PADDING_PX - 4)
        self.body.setGeometry(x + BUBBLE_PADDING_PX, y + BUBBLE_PADDING_PX - 2, width, height)
        if self._fold_button is not None:
            size = self._fold_button.sizeHint()
            self._fold_button.setGeometry(x + 4, y + BUBBLE_PADDING_PX + height - 2, size.width(), HEIGHT_PX)
        return self._bubble.y() + self._bubble.height() + 4

    def shows_footer_space(self) -> bool:
        return self.state.draft is None

    def inner_tab_stops(self) -> list[QWidget]:
        if self._editor is not None:
            return self._editor.tab_stops()
        fold: list[QWidget] = [self._fold_button] if self._fold_button is not None else []
        return [*super().inner_tab_stops(), *fold]

    def _on_fold_clicked(self) -> None:
        self.state.shows_all = not self.state.shows_all
        self.refresh()
        self.report_height()

    def _on_editor_submitted(self, text: str) -> None:
        self.state.draft = None
        self.refresh()
        self.report_height()
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        self.context.edit_submitted.emit(self.message_id, text)

    def _on_editor_cancelled(self) -> None:
        self.state.draft = None
        self.refresh()
        self.report_height()
        self.setFocus(Qt.FocusReason.OtherFocusReason)

    # -- Qt

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.context.style.surface)
        painter.drawRoundedRect(self._bubble, RADIUS_PX, RADIUS_PX)
        painter.end()
        super().paintEvent(event)
