"""The messages of one conversation as a tree: versions are siblings, a branch is a path from root to leaf."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.messages import Message, MessageId


@dataclass(frozen=True, slots=True)
class VersionPosition:
    """Where a message stands among its siblings: `‹ index+1 / count ›`."""

    index: int
    count: int


ONLY_VERSION = VersionPosition(0, 1)


@dataclass(frozen=True, slots=True)
class MessageItem:
    """A message of the branch on screen and its place among its versions."""

    message: Message
    version: VersionPosition


class MessageTree:
    """All messages of one conversation, with the branch that is on screen.

    Siblings keep the order in which they were added. Not thread-safe: it lives on the thread that made it.
    """

    def __init__(self, messages: Iterable[Message] = (), active_leaf_id: MessageId | None = None) -> None:
        self._messages: dict[MessageId, Message] = {}
        self._children: dict[MessageId | None, list[MessageId]] = {None: []}
        self._leaf_id: MessageId | None = None
        for message in messages:
            self.add(message)
        if active_leaf_id in self._messages:
            self._leaf_id = active_leaf_id

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._messages

    def __getitem__(self, message_id: MessageId) -> Message:
        return self._messages[message_id]

    @property
    def active_leaf_id(self) -> MessageId | None:
        """The last message of the active path; None while the tree is empty."""
        return self._leaf_id

    def add(self, message: Message) -> None:
        """Add a message whose parent is present (or None) and make it the active leaf.

        Raises ValueError for a repeated id or an absent parent.
        """
        if message.id in self._messages:
            raise ValueError(f"message {message.id} is already in the tree")
        if message.parent_id is not None and message.parent_id not in self._messages:
            raise ValueError(f"parent {message.parent_id} is not in the tree")
        self._messages[message.id] = message
        self._children[message.id] = []
        self._children[message.parent_id].append(message.id)
        self._leaf_id = message.id

    def replace(self, message: Message) -> None:
        """Put a new value in the place of the message with the same id and parent."""
        old = self._messages[message.id]
        if old.parent_id != message.parent_id:
            raise ValueError("a message cannot change its parent")
        self._messages[message.id] = message

    def path_to(self, message_id: MessageId | None) -> list[Message]:
        """The messages from the root to `message_id`, both included; empty for None."""
        path: list[Message] = []
        while message_id is not None:
            message = self._messages[message_id]
            path.append(message)
            message_id = message.parent_id
        path.reverse()
        return path

    def active_path(self) -> list[Message]:
        """The branch on screen, oldest first."""
        return self.path_to(self._leaf_id)

    def versions(self, message_id: MessageId) -> VersionPosition:
        """The place of a message among its siblings."""
        siblings = self._children[self._messages[message_id].parent_id]
        if len(siblings) == 1:
            return ONLY_VERSION
        return VersionPosition(siblings.index(message_id), len(siblings))

    def select_version(self, message_id: MessageId, step: int) -> bool:
        """Make the sibling `step` places away active, down to its newest leaf; False if there is none."""
        siblings = self._children[self._messages[message_id].parent_id]
        index = siblings.index(message_id) + step
        if not 0 <= index < len(siblings):
            return False
        self._leaf_id = self.newest_leaf_under(siblings[index])
        return True

    def newest_leaf_under(self, message_id: MessageId) -> MessageId:
        """Follow the newest child downwards until there is none."""
        while children := self._children[message_id]:
            message_id = children[-1]
        return message_id
