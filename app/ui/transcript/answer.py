"""An answer of the model."""

from __future__ import annotations

from PySide6.QtCore import QRect
from PySide6.QtWidgets import QAbstractButton, QWidget

from app.core.blocks import BlockSplitter
from app.core.errors import UserError
from app.core.messages import MessageState
from app.services.explain import Action, explain
from app.ui.cards import ErrorCard
from app.ui.transcript.block_column import BlockColumn
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.message_widget import MessageWidget
from app.ui.transcript.quiet_button import PADDING_PX as BUTTON_PADDING_PX
from app.ui.transcript.quiet_label import QuietLabel
from app.ui.transcript.row_state import RowState
from app.ui.transcript.style import GAP_PX
from app.ui.transcript.thought import PART as THOUGHT_PART
from app.ui.transcript.thought import Thought
from app.ui.transcript.waiting import HEIGHT_PX as WAITING_PX
from app.ui.transcript.waiting import WaitingLine

_STATE_LINE_PX = 24


class AnswerWidget(MessageWidget):
    """Thought, text, and what there is to say about its state."""

    def __init__(self, context: TranscriptContext, state: RowState, row: int, parent: QWidget) -> None:
        self._thought: Thought | None = None
        self._waiting: WaitingLine | None = None
        self._state_line: QuietLabel | None = None
        self._card: ErrorCard | None = None
        self._shown_error: dict[str, object] | None = None
        self._splitter = BlockSplitter()
        self._text = ""  # what the splitter was fed and the column shows
        self._reasoning = ""
        self._finished = False
        super().__init__(context, state, row, parent)
        self.refresh()

    def shows_plain_text(self) -> bool:
        return False

    def columns(self) -> list[tuple[int, BlockColumn]]:
        thought = self._thought
        shown = [(THOUGHT_PART, thought.column)] if thought is not None and thought.is_expanded else []
        return [*shown, *super().columns()]

    # -- state

    @property
    def is_streaming(self) -> bool:
        """Whether more text may come."""
        return self.state.base.message.state is MessageState.STREAMING

    def refresh(self) -> None:
        message = self.state.item.message
        self._show_text(message.text)
        self._show_reasoning(message.reasoning)
        self._show_state()
        name = message.model_name
        self.describe(
            self.tr("Answer by {0}").format(name) if name else self.tr("Answer"),
            "" if self.is_streaming else message.text,
        )
        self.refresh_footer()

    def append_text(self, text: str) -> None:
        """More of the answer: only the last block is made again."""
        first = not self._text
        self._text += text
        stable = len(self._splitter.done)
        self._splitter.feed(text)
        self.body.set_blocks(self._splitter.blocks(), stable)
        if first:
            self._show_thought_state()
        if first or self._waiting is not None:
            self._show_state()

    def append_reasoning(self, text: str) -> None:
        """More of the model's thinking."""
        self._show_reasoning(self._reasoning + text)
        self._show_state()

    def show_progress(self) -> None:
        """The reading of the prompt went on."""
        self._show_state()

    def _show_text(self, text: str) -> None:
        finished = not self.is_streaming
        if text == self._text and finished == self._finished:
            return
        if text.startswith(self._text) and not self._finished:
            stable = len(self._splitter.done)
            self._splitter.feed(text[len(self._text) :])
        else:
            self._splitter = BlockSplitter()
            self._splitter.feed(text)
            stable = 0
        if finished:
            self._splitter.finish()
        self._text = text
        self._finished = finished
        self.body.set_blocks(self._splitter.blocks(), stable)

    def _show_reasoning(self, reasoning: str) -> None:
        if not reasoning:
            return
        if self._thought is None or not reasoning.startswith(self._reasoning):
            if self._thought is not None:
                self._thought.column.drop_all()
                self._thought.deleteLater()
            self._thought = Thought(self.context, self)
            self._thought.toggled.connect(self._on_thought_toggled)
            self._thought.height_changed.connect(self.report_height)
            self._thought.set_row(self._row)
            self._thought.show()
            self._reasoning = ""
        self._thought.append(reasoning[len(self._reasoning) :])
        self._reasoning = reasoning
        self._show_thought_state()

    def _show_thought_state(self) -> None:
        if self._thought is not None:
            running = self.is_streaming and not self._text
            chosen = self.state.thought_expanded
            self._thought.set_state(running=running, expanded=running if chosen is None else chosen)

    def set_row(self, row: int) -> None:
        self._row = row
        super().set_row(row)

    def _show_state(self) -> None:
        self._show_waiting()
        self._show_state_line()
        self._show_card()

    def _show_waiting(self) -> None:
        reads = self.state.progress is not None  # an answer that goes on has text while the model still reads
        wanted = self.is_streaming and (reads or not (self._text or self._reasoning))
        if wanted and self._waiting is None:
            self._waiting = WaitingLine(self.context, self)
            self._waiting.show()
        elif not wanted and self._waiting is not None:
            self._waiting.hide()
            self._waiting.deleteLater()
            self._waiting = None
        if self._waiting is not None:
            self._waiting.set_progress(self.state.progress)

    def _show_state_line(self) -> None:
        words = {
            MessageState.STOPPED: self.tr("Stopped"),
            MessageState.CUT_SHORT: self.tr("Cut off: longer answers are not allowed by the settings"),
            MessageState.CONTEXT_FULL: self.tr("Cut off: the model sees no more than this at once"),
            MessageState.INTERRUPTED: self.tr("Interrupted"),
        }.get(self.state.base.message.state)
        if words is None:
            if self._state_line is not None:
                self._state_line.deleteLater()
                self._state_line = None
            return
        if self._state_line is None:
            self._state_line = QuietLabel(self.context.style, self)
            self._state_line.show()
        self._state_line.setText(words)

    def _show_card(self) -> None:
        error = self.state.base.message.error
        if error == self._shown_error:
            return
        self._shown_error = error
        if self._card is not None:
            self._card.hide()
            self._card.deleteLater()
            self._card = None
        if error is not None:
            self._card = ErrorCard(explain(UserError.from_json(error)), self)
            self._card.action_requested.connect(self._on_card_action)
            self._card.show()

    # -- geometry

    def place(self, column: QRect) -> int:
        x, y, width = column.x(), column.y(), column.width()
        if self._thought is not None:
            height = self._thought.height_for(width)
            self._thought.setGeometry(x - BUTTON_PADDING_PX, y, width + BUTTON_PADDING_PX, height)
            y += height + (GAP_PX if not self.body.is_empty else 0)
        self.body.set_width(width)
        if self.state.block_heights:
            self.body.remember_heights(self.state.block_width, self.state.block_heights)
            self.state.block_heights = ()
        height = self.body.content_height
        self.body.setGeometry(x, y, width, height)
        y += height
        if self._waiting is not None:
            self._waiting.setGeometry(x, y, width, WAITING_PX)
            y += WAITING_PX
        if self._state_line is not None:
            self._state_line.setGeometry(x, y + 4, width, _STATE_LINE_PX)
            y += _STATE_LINE_PX + 4
        if self._card is not None:
            height = self._card.heightForWidth(width)
            self._card.setGeometry(x, y + 8, width, height)
            y += height + 12
        return y + 4

    def shows_footer_space(self) -> bool:
        return not self.is_streaming

    def inner_tab_stops(self) -> list[QWidget]:
        thought = self._thought.tab_stops() if self._thought is not None else []
        card = self._card.findChildren(QAbstractButton) if self._card is not None else []
        return [*thought, *super().inner_tab_stops(), *card]

    def release(self) -> None:
        super().release()
        if self._thought is not None:
            self._thought.column.drop_all()

    def _on_thought_toggled(self, expanded: bool) -> None:
        self.state.thought_expanded = expanded
        self._show_thought_state()
        self.report_height()

    def _on_card_action(self, action: Action) -> None:
        self.context.action_requested.emit(self.message_id, action)
