"""What a row remembers while its widget does not exist."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.core.events import PromptProgress
from app.core.tree import MessageItem


@dataclass(slots=True)
class RowState:
    """One message with what the person did to its row.

    Text that streams in is kept in pieces; `item` joins them when it is asked for.
    """

    base: MessageItem
    text_pieces: list[str] = field(default_factory=list)
    reasoning_pieces: list[str] = field(default_factory=list)
    progress: PromptProgress | None = None
    thought_expanded: bool | None = None  # None: as the state of the answer suggests
    shows_all: bool = False  # a long message is unfolded
    draft: str | None = None  # the message is being edited
    block_width: int = 0
    block_heights: list[int] = field(default_factory=list)  # as measured at block_width

    @property
    def item(self) -> MessageItem:
        """The message with everything that has streamed in."""
        if self.text_pieces or self.reasoning_pieces:
            message = self.base.message
            text = message.text + "".join(self.text_pieces)
            reasoning = message.reasoning + "".join(self.reasoning_pieces)
            self.base = MessageItem(message.with_text(text, reasoning), self.base.version)
            self.text_pieces.clear()
            self.reasoning_pieces.clear()
        return self.base
