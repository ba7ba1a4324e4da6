"""Conversations and messages as plain values; identity belongs to storage, meaning belongs here."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NewType

ConversationId = NewType("ConversationId", str)
MessageId = NewType("MessageId", str)


def new_conversation_id() -> ConversationId:
    """A fresh random identifier (32 hexadecimal digits)."""
    return ConversationId(uuid.uuid4().hex)


def new_message_id() -> MessageId:
    """A fresh random identifier (32 hexadecimal digits)."""
    return MessageId(uuid.uuid4().hex)


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


class Role(StrEnum):
    """Who speaks; the words chat templates use."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class MessageState(StrEnum):
    """How far a message has come."""

    COMPLETE = "complete"
    STREAMING = "streaming"  # an answer is being written; found at start-up it becomes INTERRUPTED
    STOPPED = "stopped"  # the person pressed Stop
    CUT_SHORT = "cut_short"  # the longest answer that the settings allow was reached
    CONTEXT_FULL = "context_full"  # there was no room left in the model's context
    INTERRUPTED = "interrupted"  # the engine, the app or the computer ended in the middle
    FAILED = "failed"  # nothing could be generated

    @property
    def ended_early(self) -> bool:
        """Whether an answer like this is only the beginning of one."""
        return self in (self.STOPPED, self.CUT_SHORT, self.CONTEXT_FULL, self.INTERRUPTED)


@dataclass(frozen=True, slots=True)
class TextPart:
    """Words to be shown as Markdown (assistant) or as typed (user)."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningPart:
    """What a reasoning model wrote between its thinking marks; never sent back to the model."""

    text: str


@dataclass(frozen=True, slots=True)
class UnknownPart:
    """A part of a kind that this version does not know, kept as it was stored."""

    data: dict[str, Any]


Part = TextPart | ReasoningPart | UnknownPart


def part_to_json(part: Part) -> dict[str, Any]:
    """The stored form of a part: an object whose `kind` names its type."""
    match part:
        case TextPart(text):
            return {"kind": "text", "text": text}
        case ReasoningPart(text):
            return {"kind": "reasoning", "text": text}
        case UnknownPart(data):
            return data


def part_from_json(data: dict[str, Any]) -> Part:
    """The part that `part_to_json` wrote; an unknown kind is kept whole."""
    text = data.get("text")
    if data.get("kind") == "text" and isinstance(text, str):
        return TextPart(text)
    if data.get("kind") == "reasoning" and isinstance(text, str):
        return ReasoningPart(text)
    return UnknownPart(data)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer cost.

    `prompt_tokens` counts everything the model saw, `reused_tokens` the part of it that need not be read again.
    `drafted_tokens` were guessed ahead, `accepted_tokens` of them were right.
    """

    prompt_tokens: int = 0
    reused_tokens: int = 0
    completion_tokens: int = 0
    prompt_ms: float = 0.0
    generation_ms: float = 0.0
    first_token_ms: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0

    @property
    def tokens_per_second(self) -> float | None:
        """Generation speed; None when too little was generated to say."""
        if self.completion_tokens < 2 or self.generation_ms <= 0:
            return None
        return self.completion_tokens * 1000.0 / self.generation_ms

    def plus(self, other: Usage) -> Usage:
        """This usage followed by a continuation: the prompt of the first that read one, the sums of everything else."""
        first = self if self.prompt_tokens else other
        return Usage(
            prompt_tokens=first.prompt_tokens,
            reused_tokens=first.reused_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            prompt_ms=self.prompt_ms + other.prompt_ms,
            generation_ms=self.generation_ms + other.generation_ms,
            first_token_ms=self.first_token_ms or other.first_token_ms,
            drafted_tokens=self.drafted_tokens + other.drafted_tokens,
            accepted_tokens=self.accepted_tokens + other.accepted_tokens,
        )


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; a node of its tree."""

    id: MessageId
    conversation_id: ConversationId
    parent_id: MessageId | None
    role: Role
    parts: tuple[Part, ...]
    state: MessageState = MessageState.COMPLETE
    created_at: datetime = field(default_factory=utc_now)
    model_name: str | None = None
    usage: Usage | None = None
    error: dict[str, Any] | None = None  # core.errors.UserError as JSON: why it was interrupted or failed

    @property
    def text(self) -> str:
        """The words of all text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def reasoning(self) -> str:
        """The words of all reasoning parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, ReasoningPart))

    def with_text(self, text: str, reasoning: str = "") -> Message:
        """A copy whose parts are `reasoning` (if any) followed by `text`."""
        parts: tuple[Part, ...] = (TextPart(text),)
        if reasoning:
            parts = (ReasoningPart(reasoning), *parts)
        return replace(self, parts=parts)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation without its messages.

    `active_leaf_id` is the last message of the branch on screen; `title` is empty until the first exchange gave it one;
    `deleted_at` is set while it lies in the trash.
    """

    id: ConversationId
    title: str = ""
    title_is_custom: bool = False
    created_at: datetime = field(default_factory=utc_now)
    updated_at: datetime = field(default_factory=utc_now)
    deleted_at: datetime | None = None
    draft: str = ""
    active_leaf_id: MessageId | None = None
    model_path: str | None = None  # None: the built-in model
    system_prompt: str | None = None  # None: the one from the settings
