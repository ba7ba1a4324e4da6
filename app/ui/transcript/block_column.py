"""The blocks of one message under each other; only those that come into sight get a widget."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from app.core.blocks import Block, BlockKind
from app.ui.transcript.code_view import HEADER_PX, PADDING_PX, CodeView
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.documents import ITEM_GAP
from app.ui.transcript.selection import TextId
from app.ui.transcript.style import GAP_PX, TextStyle
from app.ui.transcript.text_view import TextView

BlockView = TextView | CodeView

_INDENT_PX_PER_COLUMN = 8
_INDENT_LIMIT_PX = 96
_CHUNK_CHARS = 2_000
_NARROW_SHARE = 0.92


class BlockColumn(QWidget):
    """Blocks with their widgets, where those exist, and their heights, measured or estimated.

    `plain` columns show what a person typed; their blocks are pieces of one text and stand without gaps.
    """

    height_changed = Signal()

    def __init__(self, context: TranscriptContext, parent: QWidget, part: int, *, plain: bool = False) -> None:
        super().__init__(parent)
        self._context = context
        self._part = part
        self._plain = plain
        self._row = 0
        self._width = 0
        self._blocks: list[Block] = []
        self._views: list[BlockView | None] = []
        self._heights: list[int] = []
        self._measured_at: list[int] = []  # the width for which a height was measured; 0: estimated

    # -- content

    def set_row(self, row: int) -> None:
        """Tell the texts in which row of the transcript they are."""
        self._row = row
        for index in range(len(self._views)):
            self._name(index)

    def set_blocks(self, blocks: list[Block], first_changed: int = 0) -> None:
        """Show these blocks; those before `first_changed` are the same as before."""
        for index in range(first_changed, len(blocks)):
            block = blocks[index]
            if index >= len(self._blocks):
                self._blocks.append(block)
                self._views.append(None)
                self._heights.append(0)
                self._measured_at.append(0)
            elif _looks_like(block, self._blocks[index]):
                self._blocks[index] = block
                continue
            self._blocks[index] = block
            view = self._views[index]
            if view is not None and isinstance(view, CodeView) != (block.kind is BlockKind.CODE):
                self._drop(index)
                view = None
            self._measured_at[index] = 0
            if view is not None:
                self._show(view, block)
            self._measure(index)
        for index in range(len(blocks), len(self._blocks)):
            self._drop(index)
        for values in (self._blocks, self._views, self._heights, self._measured_at):
            del values[len(blocks) :]
        self._place()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not self._blocks

    def remembered_heights(self) -> tuple[int, list[int]]:
        """The width and heights measured, to be handed to `remember_heights` of a later column of the same text."""
        return self._width, [h if at else 0 for h, at in zip(self._heights, self._measured_at, strict=True)]

    def remember_heights(self, width: int, heights: Sequence[int]) -> None:
        """Take over heights that were measured before, so that nothing moves when the blocks are made again."""
        if width == self._width and len(heights) == len(self._heights):
            for index, height in enumerate(heights):
                if height and self._views[index] is None:
                    self._heights[index] = height
                    self._measured_at[index] = width

    # -- geometry

    def set_width(self, width: int) -> None:
        """Lay out for a width."""
        if width != self._width:
            self._width = width
            for index in range(len(self._blocks)):
                self._measure(index)
            self._place()

    @property
    def content_height(self) -> int:
        """The height of all blocks at the present width."""
        return self.top_of(len(self._heights))

    def natural_width(self, width: int) -> int:
        """The width, at most `width`, that a short text really needs."""
        if len(self._blocks) != 1:
            return width
        view = self._views[0]
        if view is None:
            view = self._make(0)
            self._place()
        if not isinstance(view, TextView):
            return width
        view.height_for(width)
        natural = ceil(view.document().idealWidth()) + 1
        return natural if natural < _NARROW_SHARE * width else width  # a little narrower is not worth another layout

    def top_of(self, index: int) -> int:
        """Where a block begins."""
        return sum(self._heights[:index]) + sum(map(self._gap_after, range(index)))

    def realise(self, top: int, bottom: int, limit: int | None = None, *, from_end: bool = False) -> bool:
        """Make the widgets of the blocks between two heights, at most `limit`; whether any height changed.

        Heights that become known push blocks out of the range: those below, or with `from_end` those above.
        """
        changed = False
        count = 0
        start, end = 0, self.content_height  # of the blocks still to be looked at
        indexes = range(len(self._blocks))
        for index in reversed(indexes) if from_end else indexes:
            old = self._heights[index]
            end -= self._gap_after(index) if from_end else 0
            y = end - old if from_end else start
            if (y + old <= top if from_end else y >= bottom) or (limit is not None and count >= limit):
                break
            if y + old > top and y < bottom and self._views[index] is None:
                self._make(index)
                count += 1
                changed |= self._heights[index] != old
            start += self._heights[index] + self._gap_after(index)
            end -= self._heights[index]
        if count:
            self._place()
        return changed

    def has_unmade(self, top: int, bottom: int) -> bool:
        """Whether a block between two heights has no widget yet."""
        y = 0
        for index, height in enumerate(self._heights):
            if y < bottom and y + height > top and self._views[index] is None:
                return True
            y += height + self._gap_after(index)
        return False

    def made_block_in(self, top: int, bottom: int) -> int | None:
        """The first block with a widget that reaches into a range of heights."""
        y = 0
        for index, height in enumerate(self._heights):
            if y + height > top and y < bottom and self._views[index] is not None:
                return index
            y += height + self._gap_after(index)
        return None

    # -- widgets

    def views(self) -> list[BlockView]:
        """The widgets that exist, from top to bottom."""
        return [view for view in self._views if view is not None]

    def texts(self) -> list[TextView]:
        """The texts that exist, from top to bottom."""
        return [view.text if isinstance(view, CodeView) else view for view in self.views()]

    def text_of(self, index: int, start: int, end: int | None) -> str:
        """The shown text of a block between two positions; a block without a widget gets one for it."""
        view = self._views[index]
        if view is None:
            view = self._make(index)
            self._place()
            self.height_changed.emit()
        text = view.text if isinstance(view, CodeView) else view
        return text.plain_text(start, end)

    def break_after(self, index: int) -> str:
        """What stands between the text of a block and that of the next one where both are copied."""
        if index + 1 >= len(self._blocks):
            return "\n\n"
        source = self._blocks[index].source
        if not source.endswith("\n"):  # a line too long for one block
            return " " if source.endswith(" ") and not self._plain else ""
        return "\n" if self._plain or self._blocks[index + 1].continues_list else "\n\n"

    @property
    def blocks(self) -> list[Block]:
        """The blocks shown."""
        return self._blocks

    def _gap_after(self, index: int) -> int:
        """The space between a block and the next one; the pieces of one list stand closer."""
        if self._plain or index + 1 >= len(self._blocks):
            return 0
        return round(self._context.style.line_px * ITEM_GAP) if self._blocks[index + 1].continues_list else GAP_PX

    def _make(self, index: int) -> BlockView:
        block = self._blocks[index]
        view: BlockView
        if block.kind is BlockKind.CODE and not self._plain:
            view = CodeView(self._context, self)
        else:
            view = TextView(self._context, self)
            view.height_changed.connect(self._on_view_height_changed)
        self._views[index] = view
        view.resize(max(1, self._width - _indent_px(block)), 10)
        self._name(index)
        self._show(view, block)
        self._measured_at[index] = 0
        self._measure(index)
        view.show()
        return view

    def _show(self, view: BlockView, block: Block) -> None:
        if self._plain and isinstance(view, TextView):
            view.show_plain(block.text)
        else:
            view.show_block(block)

    def _name(self, index: int) -> None:
        view = self._views[index]
        if view is not None:
            text = view.text if isinstance(view, CodeView) else view
            text.text_id = TextId(self._row, self._part, index)

    def _drop(self, index: int) -> None:
        view = self._views[index]
        if view is not None:
            view.release()
            view.hide()
            view.deleteLater()
            self._views[index] = None

    def drop_all(self) -> None:
        """Let go of every widget; to be called before the column itself goes."""
        for index in range(len(self._views)):
            self._drop(index)

    def _measure(self, index: int) -> None:
        if self._width <= 0:
            return
        view, block = self._views[index], self._blocks[index]
        if view is not None:
            self._heights[index] = view.height_for(max(1, self._width - _indent_px(block)))
            self._measured_at[index] = self._width
        elif self._measured_at[index] != self._width:
            self._heights[index] = estimated_height(block, self._width, self._context.style)
            self._measured_at[index] = 0

    def _place(self) -> None:
        y = 0
        for index, view in enumerate(self._views):
            if view is not None:
                indent = _indent_px(self._blocks[index])
                view.setGeometry(indent, y, max(1, self._width - indent), self._heights[index])
            y += self._heights[index] + self._gap_after(index)

    def _on_view_height_changed(self) -> None:
        for index, view in enumerate(self._views):
            if view is self.sender():
                self._measure(index)
        self._place()
        self.height_changed.emit()


def _looks_like(block: Block, other: Block) -> bool:
    """Whether two blocks are drawn the same; their sources may differ."""
    return (block.text, block.kind, block.closed, block.language, block.indent) == (
        other.text, other.kind, other.closed, other.language, other.indent
    )  # fmt: skip


def _indent_px(block: Block) -> int:
    return min(block.indent * _INDENT_PX_PER_COLUMN, _INDENT_LIMIT_PX)


def estimated_height(block: Block, width: int, style: TextStyle) -> int:
    """A guess at the height of a block, good to about a quarter, from counts alone."""
    lines = block.text.count("\n") + 1
    match block.kind:
        case BlockKind.CODE:
            return int(HEADER_PX + PADDING_PX + lines * style.code_line_px)
        case BlockKind.TABLE:
            return int(max(1, lines - 1) * (style.line_px + 13))
        case BlockKind.MATH:
            return int(style.line_px * 2.2)
        case BlockKind.PROSE:
            wrapped = len(block.text) * style.char_px / max(width, 1)
            return int((wrapped + lines * 0.6 + 0.4) * style.line_px)


def plain_blocks(text: str) -> list[Block]:
    """A typed text as pieces of a few thousand characters, cut at line ends, else at spaces, else anywhere."""
    blocks = []
    start = 0
    while start < len(text):
        end = start + _CHUNK_CHARS
        if end < len(text):
            cut = text.rfind("\n", start + _CHUNK_CHARS // 2, end) + 1
            end = cut or text.rfind(" ", start + _CHUNK_CHARS // 2, end) + 1 or end
        piece = text[start:end]
        blocks.append(Block(BlockKind.PROSE, piece, piece.removesuffix("\n") if end < len(text) else piece))
        start = end
    return blocks
