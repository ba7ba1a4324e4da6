"""The long list behind the transcript: all rows have heights, only those near the screen have widgets.

Two rules keep the picture calm. Heights of rows without widgets are guesses; when one turns out wrong, the scroll
position is corrected so that what is on screen stays where it is (`Anchor`). And while the person is at the end, the
list stays at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from app.core.messages import MessageState, Role
from app.core.tree import MessageItem
from app.ui.transcript.answer import AnswerWidget
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.footer import footer_height
from app.ui.transcript.message_widget import PADDING_PX, MessageWidget
from app.ui.transcript.question import SHOWN_CHARS, QuestionWidget, folded
from app.ui.transcript.row_heights import RowHeights
from app.ui.transcript.row_state import RowState
from app.ui.transcript.slices import Job
from app.ui.transcript.style import BUBBLE_PADDING_PX, MARGIN_PX, TextStyle

NEIGHBOURS = 6
"""How many rows beyond the screen keep their widgets."""
_ROUNDS = 12  # of measuring, until the rows on screen are known to be the right ones
_AT_END_PX = 4


@dataclass(frozen=True, slots=True)
class Anchor:
    """What stays where it is: `offset` pixels below the top of a block (or of the row) lies the top of the screen."""

    row: int
    block: tuple[int, int] | None  # part and number; None: the row itself
    offset: int


class Rows:
    """Rows, their heights and widgets, laid out in the viewport of a scroll area."""

    def __init__(self, area: QAbstractScrollArea, context: TranscriptContext) -> None:
        self._area = area
        self._context = context
        self.states: list[RowState] = []
        self.live: dict[int, MessageWidget] = {}
        self.sticks_to_end = True
        self.boundary_id: str | None = None
        self._rows_by_id: dict[str, int] = {}
        self._open_edits: dict[str, str] = {}  # texts in editors of messages that are not shown now
        self._heights = RowHeights()
        self._anchor = Anchor(0, None, 0)
        self._scrolling = False  # the scroll bar moves because we move it
        self._last_answer = -1

    # -- content

    def show(self, items: Sequence[MessageItem]) -> None:
        """Show these messages. Those at the beginning that are shown already stay, with their place on screen.

        Another conversation, and an answer that is being written, are shown from the end.
        """
        same = self._common_length(items)
        for state, item in zip(self.states[:same], items[:same], strict=True):
            self._take_over(state, item)
        self.truncate(same)
        for item in items[same:]:
            self.append(item)
        is_writing = bool(items) and items[-1].message.state is MessageState.STREAMING
        self.sticks_to_end = same == 0 or is_writing

    def _common_length(self, items: Sequence[MessageItem]) -> int:
        same = 0
        for state, item in zip(self.states, items, strict=False):
            if state.base.message.id != item.message.id:
                break
            same += 1
        return same

    def _take_over(self, state: RowState, item: MessageItem) -> None:
        if state.item != item:
            state.replace(item)
            row = self._rows_by_id[str(item.message.id)]
            if (widget := self.live.get(row)) is not None:
                widget.refresh()
            self.remeasure(row)

    def append(self, item: MessageItem) -> None:
        """Add a row at the end."""
        state = RowState(item, draft=self._open_edits.pop(str(item.message.id), None))
        self._rows_by_id[str(item.message.id)] = len(self.states)
        self.states.append(state)
        self._heights.append(estimated_row_height(state, self._width, self._context.style))
        self._find_last_answer()

    def truncate(self, length: int) -> None:
        """Drop the rows from `length` on."""
        for row in [row for row in self.live if row >= length]:
            self._drop(row)
        for state in self.states[length:]:
            message_id = str(state.base.message.id)
            del self._rows_by_id[message_id]
            if state.draft is not None:  # another conversation or branch is shown: it waits for its message
                self._open_edits[message_id] = state.draft
        del self.states[length:]
        self._heights.truncate(length)
        self._find_last_answer()

    def row_of(self, message_id: str) -> int | None:
        """The row that shows a message."""
        return self._rows_by_id.get(message_id)

    def widget_for(self, row: int) -> MessageWidget:
        """The widget of a row; made when there is none."""
        widget = self.live.get(row)
        if widget is None:
            state = self.states[row]
            kind = QuestionWidget if state.base.message.role is Role.USER else AnswerWidget
            widget = kind(self._context, state, row, self._area.viewport())
            self.live[row] = widget
            widget.set_last(row == self._last_answer)
            widget.set_boundary(self.boundary_id == widget.message_id)
            self._measure(row)
        return widget

    def _find_last_answer(self) -> None:
        rows = range(len(self.states) - 1, -1, -1)
        last = next((row for row in rows if self.states[row].base.message.role is Role.ASSISTANT), -1)
        if last != self._last_answer:
            self._last_answer = last
            for row, widget in self.live.items():
                widget.set_last(row == last)

    # -- layout

    @property
    def _width(self) -> int:
        return self._area.viewport().width()

    def remeasure(self, row: int) -> None:
        """Ask a row for its height again."""
        if row in self.live:
            self._measure(row)
        else:
            self._heights.set(row, estimated_row_height(self.states[row], self._width, self._context.style))

    def estimate_all(self) -> None:
        """Guess all heights anew, after the width or the font changed."""
        style, width = self._context.style, self._width
        self._heights = RowHeights(estimated_row_height(state, width, style) for state in self.states)
        for row in self.live:
            self._measure(row)

    def on_scrolled(self) -> None:
        """The scroll bar moved: by us, or by the person, who then decides what is on screen."""
        if not self._scrolling:
            bar = self._area.verticalScrollBar()
            self.sticks_to_end = bar.value() >= bar.maximum() - _AT_END_PX
            self._anchor = self._anchor_at(bar.value())
            self.layout()

    def layout(self) -> None:
        """Make what is on screen, measure it, and put everything in its place."""
        if not self.states:
            self._set_scroll_bar(0, 0)
            return
        height = self._area.viewport().height()
        first = last = top = 0
        for _round in range(_ROUNDS):
            top = self._scroll_to_anchor(height)
            first, last = self._heights.row_at(top), self._heights.row_at(top + height - 1)
            if not self._realise(first, last, top, top + height):
                break
        top = self._scroll_to_anchor(height)
        self.sticks_to_end = self.sticks_to_end or top >= self._area.verticalScrollBar().maximum()
        self._place(first, last, top)
        self._anchor = self._anchor_at(top)

    def scroll_to_row(self, row: int, part: QWidget | None = None) -> None:
        """Bring a whole row, or a part of it, on screen; its beginning if it is too tall."""
        bar = self._area.verticalScrollBar()
        height = self._area.viewport().height()
        for _round in range(_ROUNDS):
            top, bottom = extent = self._extent(row, part)
            self.widget_for(row)
            if top < bar.value() or bottom - top > height:
                bar.setValue(top)
            elif bottom > bar.value() + height:
                bar.setValue(bottom - height)
            if extent == self._extent(row, part):
                break

    def _extent(self, row: int, part: QWidget | None) -> tuple[int, int]:
        """Where a row, or a part of it, begins and ends."""
        if part is None:
            return self._heights.top_of(row), self._heights.top_of(row + 1)
        top = self._heights.top_of(row) + part.mapTo(self.live[row], QPoint(0, 0)).y()
        return top, top + part.height()

    def prepare_ahead(self) -> Job:
        """A job that makes the texts just outside the screen, one at a time, before the person scrolls to them."""
        height = self._area.viewport().height()
        top = self._area.verticalScrollBar().value()
        for start, end in ((top + height, top + 2 * height), (top - height, top)):
            if not self.states or end <= 0 or start >= self._heights.total:
                continue
            for row in range(self._heights.row_at(max(start, 0)), self._heights.row_at(end) + 1):
                if row not in self.live:
                    self.widget_for(row).lower()
                    self.layout()
                    yield 0
                while (widget := self.live.get(row)) is not None:
                    row_top = self._heights.top_of(row)
                    if not widget.has_unmade(start - row_top, end - row_top):
                        break
                    if widget.realise(start - row_top, end - row_top, limit=1):
                        self._measure(row)
                        self.layout()
                    yield 0

    def drop_widgets(self) -> None:
        """Let go of every widget; the next layout makes them again."""
        for row in list(self.live):
            self._drop(row)

    def _realise(self, first: int, last: int, top: int, bottom: int) -> bool:
        """Make the rows and texts between two heights; whether heights changed, so that others may be on screen."""
        changed = False
        for row in range(first, last + 1):
            old = self._heights[row]
            widget = self.widget_for(row)
            row_top = self._heights.top_of(row)
            if widget.realise(top - row_top, bottom - row_top, from_end=self.sticks_to_end):
                self._measure(row)
            changed |= self._heights[row] != old
        return changed

    def _measure(self, row: int) -> None:
        self._heights.set(row, self.live[row].layout_for(self._width))

    def _place(self, first: int, last: int, top: int) -> None:
        """Move the widgets to where they belong and drop those that are far away."""
        keep = range(first - NEIGHBOURS, last + NEIGHBOURS + 1)
        focused = self._area.window().focusWidget()
        for row in list(self.live):
            widget = self.live[row]
            if row in keep or widget is focused or (focused is not None and widget.isAncestorOf(focused)):
                widget.setGeometry(0, self._heights.top_of(row) - top, self._width, self._heights[row])
                widget.show()
            else:
                self._drop(row)

    def _drop(self, row: int) -> None:
        widget = self.live.pop(row)
        widget.release()
        widget.hide()
        widget.deleteLater()

    def _scroll_to_anchor(self, height: int) -> int:
        """Set the scroll bar to where the anchor stays in place; its value."""
        end = max(0, self._heights.total - height)
        if self.sticks_to_end:
            top = end
        else:
            top = min(max(self._top_of_anchor() + self._anchor.offset, 0), end)
        self._set_scroll_bar(top, end)
        return top

    def _top_of_anchor(self) -> int:
        row = min(self._anchor.row, len(self.states) - 1)
        top = self._heights.top_of(row)
        widget = self.live.get(row)
        if widget is not None and self._anchor.block is not None:
            top += widget.top_of(*self._anchor.block)
        return top

    def _anchor_at(self, top: int) -> Anchor:
        """The first thing on screen whose height is known."""
        if not self.states:
            return Anchor(0, None, 0)
        bottom = top + self._area.viewport().height()
        first = self._heights.row_at(top)
        for row in range(first, self._heights.row_at(bottom) + 1):
            widget = self.live.get(row)
            if widget is None:
                continue
            row_top = self._heights.top_of(row)
            if row_top >= top:
                return Anchor(row, None, top - row_top)
            if (block := widget.made_block_in(top - row_top, bottom - row_top)) is not None:
                return Anchor(row, block, top - row_top - widget.top_of(*block))
        return Anchor(first, None, top - self._heights.top_of(first))

    def _set_scroll_bar(self, value: int, maximum: int) -> None:
        bar = self._area.verticalScrollBar()
        self._scrolling = True
        try:
            bar.setRange(0, maximum)
            bar.setPageStep(self._area.viewport().height())
            bar.setValue(value)
        finally:
            self._scrolling = False


def estimated_row_height(state: RowState, width: int, style: TextStyle) -> int:
    """A guess at the height of a row from the counts of its characters and line breaks."""
    message = state.base.message
    column = max(1, min(style.column_px, width - 2 * MARGIN_PX))
    text = message.text
    extra = 2 * PADDING_PX + 4
    if message.role is Role.USER:
        if not state.shows_all:
            text = folded(text) or text if len(text) > SHOWN_CHARS else text
        extra += 2 * BUBBLE_PADDING_PX
        column = int(column * 0.8)
    lines = text.count("\n") * 0.75 + len(text) * style.char_px / column + 0.7
    footer = 0 if message.state is MessageState.STREAMING else footer_height(state.base, is_last=False)
    return int(lines * style.line_px) + extra + footer
