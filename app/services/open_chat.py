"""A conversation in memory: its tree, and what the engine last said about it."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.messages import Conversation, MessageId, Role
from app.core.tree import MessageItem, MessageTree
from app.engine.protocol import ChatMessage


@dataclass(slots=True)
class OpenChat:
    """One conversation being looked at or written to. `is_stored` is False until its first row is in the database."""

    conversation: Conversation
    tree: MessageTree
    is_stored: bool = True
    first_visible_id: str | None = None
    context_tokens: int | None = None
    is_saving: bool = False

    def item(self, message_id: MessageId) -> MessageItem:
        """One message of the conversation."""
        return MessageItem(self.tree[message_id], self.tree.versions(message_id))

    def items(self) -> list[MessageItem]:
        """The branch on screen, oldest first."""
        return [MessageItem(message, self.tree.versions(message.id)) for message in self.tree.active_path()]

    def prompt(self, system_prompt: str, last_id: MessageId | None) -> list[ChatMessage]:
        """What the template gets: the system prompt, then the path to `last_id` without answers that have no text."""
        messages = [ChatMessage("system", Role.SYSTEM, system_prompt)] if system_prompt.strip() else []
        for message in self.tree.path_to(last_id):
            if message.role is not Role.ASSISTANT or message.text:
                messages.append(ChatMessage(message.id, message.role, message.text))
        return messages

    def is_continuable(self, message_id: MessageId) -> bool:
        """Whether an answer can go on where it ended: it is the end of the branch and did not end by itself."""
        message = self.tree[message_id]
        return message.state.ended_early and message.role is Role.ASSISTANT and message_id == self.tree.active_leaf_id
