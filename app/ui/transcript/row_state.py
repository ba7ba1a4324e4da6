"""What a row remembers while its widget does not exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.core.events import PromptProgress
from app.core.messages import MessageState
from app.core.tree import MessageItem


@dataclass(slots=True)
class RowState:
    """One message with what the person did to its row.

    Text that streams in is kept in pieces; `item` joins them when it is asked for.
    """

    base: MessageItem
    progress: PromptProgress | None = None
    thought_expanded: bool | None = None  # None: as the state of the answer suggests
    shows_all: bool = False  # a long message is unfolded
    draft: str | None = None  # the message is being edited
    block_width: int = 0
    block_heights: Sequence[int] = ()  # as measured at block_width
    _text: list[str] | None = field(default=None, init=False)  # None while nothing streamed in: rows are many
    _reasoning: list[str] | None = field(default=None, init=False)

    @property
    def item(self) -> MessageItem:
        """The message with everything that has streamed in."""
        if self._text or self._reasoning:
            message = self.base.message
            text = message.text + "".join(self._text or ())
            reasoning = message.reasoning + "".join(self._reasoning or ())
            self.replace(MessageItem(message.with_text(text, reasoning), self.base.version))
        return self.base

    def replace(self, item: MessageItem) -> None:
        """Another value of the message, in place of what has streamed in as well."""
        self.base = item
        self._text = self._reasoning = None
        if item.message.state is not MessageState.STREAMING:
            self.progress = None

    def append(self, text: str, *, is_reasoning: bool) -> None:
        """Text that streamed in."""
        if is_reasoning:
            self._reasoning = self._reasoning or []
            self._reasoning.append(text)
        else:
            self._text = self._text or []
            self._text.append(text)
