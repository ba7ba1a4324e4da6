"""Conversations and messages as values, and as what the tables hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from app.core.messages import (
    Conversation,
    ConversationId,
    Message,
    MessageId,
    MessageState,
    Role,
    Usage,
    part_from_json,
    part_to_json,
)
from app.storage.failures import DamageError
from app.storage.tables import ConversationRow, MessageRow

CONVERSATION_COLUMNS = (
    ConversationRow.id,
    ConversationRow.title,
    ConversationRow.title_is_custom,
    ConversationRow.created_at,
    ConversationRow.updated_at,
    ConversationRow.deleted_at,
    ConversationRow.draft,
    ConversationRow.active_leaf_id,
    ConversationRow.model_path,
    ConversationRow.system_prompt,
)
MESSAGE_COLUMNS = (
    MessageRow.id,
    MessageRow.conversation_id,
    MessageRow.parent_id,
    MessageRow.role,
    MessageRow.parts,
    MessageRow.state,
    MessageRow.created_at,
    MessageRow.model_name,
    MessageRow.usage,
    MessageRow.error,
)
_ROLES = {role.value: role for role in Role}
_STATES = {state.value: state for state in MessageState}
_parse = json.JSONDecoder().raw_decode  # a third of the cost of json.loads, which counts for 5,000 rows
_USAGE_FIELDS = frozenset(field.name for field in fields(Usage))


def conversation_to_row(conversation: Conversation) -> dict[str, Any]:
    """The columns of a conversation, by name."""
    return asdict(conversation)


def conversation_from_row(row: Sequence[Any]) -> Conversation:
    """The conversation in a row of CONVERSATION_COLUMNS."""
    return Conversation(*row)


def message_to_row(message: Message) -> dict[str, Any]:
    """The columns of a new message, by name."""
    return {
        "id": message.id,
        "conversation_id": message.conversation_id,
        "parent_id": message.parent_id,
        "role": message.role.value,
        "created_at": message.created_at,
        **changing_columns(message),
    }


def changing_columns(message: Message) -> dict[str, Any]:
    """Those columns of a message that change while it is being written, by name."""
    return {
        "state": message.state.value,
        "parts": to_json([part_to_json(part) for part in message.parts]),
        "model_name": message.model_name,
        "usage": None if message.usage is None else to_json(asdict(message.usage)),
        "error": None if message.error is None else to_json(message.error),
    }


def messages_from_rows(rows: Iterable[Sequence[Any]]) -> list[Message]:
    """The messages in rows of MESSAGE_COLUMNS. Raises DamageError when one cannot be read."""
    words: dict[str, str] = {}  # ids come back as parents, names of models in every answer: each is kept once
    return [_message_from_row(row, words) for row in rows]


def _message_from_row(row: Sequence[Any], words: dict[str, str]) -> Message:
    id_, conversation_id, parent_id, role, parts, state, created_at, model_name, usage, error = row
    try:
        return Message(
            MessageId(words.setdefault(id_, id_)),
            ConversationId(words.setdefault(conversation_id, conversation_id)),
            None if parent_id is None else MessageId(words.setdefault(parent_id, parent_id)),
            _ROLES[role],
            tuple([part_from_json(part) for part in _parse(parts)[0]]),
            _STATES[state],
            created_at,
            None if model_name is None else words.setdefault(model_name, model_name),
            None if usage is None else _usage_from_json(_parse(usage)[0]),
            None if error is None else _parse(error)[0],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise DamageError(f"message {id_}: {type(problem).__name__}") from problem


def to_json(value: Any) -> str:
    """Compact JSON; other scripts than Latin as they are, which is half the size of escapes."""
    readable = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        readable.encode()
    except UnicodeEncodeError:  # lone surrogates: SQLite takes them as escapes only
        return json.dumps(value, separators=(",", ":"))
    return readable


def _usage_from_json(data: dict[str, Any]) -> Usage:
    if data.keys() <= _USAGE_FIELDS:
        return Usage(**data)
    return Usage(**{name: value for name, value in data.items() if name in _USAGE_FIELDS})
