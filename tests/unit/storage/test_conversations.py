"""Conversations: their list, their trash, their small changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.core.messages import (
    Conversation,
    Message,
    MessageId,
    Role,
    TextPart,
    new_conversation_id,
    new_message_id,
)
from app.storage.conversations import ConversationStore
from app.storage.database import Database

YEAR_MINUTES = 365 * 24 * 60
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ODD_TEXTS = ["", "plain", "NUL \0 inside", "\ud800 alone", "a\udcffb\0", "שלום 🙂", "x" * 1_000_000, "é" * 1_000_000]


def new_conversation(minutes: int = 0, title: str = "") -> Conversation:
    moment = NOON + timedelta(minutes=minutes)
    return Conversation(new_conversation_id(), title, created_at=moment, updated_at=moment)


def chain_of(conversation: Conversation, length: int, text: str = "words") -> list[Message]:
    messages: list[Message] = []
    parent: MessageId | None = None
    for _ in range(length):
        message = Message(new_message_id(), conversation.id, parent, Role.USER, (TextPart(text),))
        messages.append(message)
        parent = message.id
    return messages


def test_every_field_comes_back(store: ConversationStore, open_database: Callable[[], Database]) -> None:
    full = Conversation(
        new_conversation_id(),
        title="Title",
        title_is_custom=True,
        created_at=NOON,
        updated_at=NOON + timedelta(microseconds=1),
        deleted_at=NOON + timedelta(days=1),
        draft="not sent",
        active_leaf_id=new_message_id(),
        model_path="/models/é.gguf",
        system_prompt="Be brief.",
    )
    plain = Conversation(new_conversation_id())
    store.create(full)
    store.create(plain)
    again = ConversationStore(open_database())
    assert again.get(full.id) == full
    assert again.get(plain.id) == plain
    assert again.get(new_conversation_id()) is None


@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text[:12]))
def test_odd_and_long_texts_come_back(store: ConversationStore, text: str) -> None:
    conversation = new_conversation()
    store.create(conversation)
    store.rename(conversation.id, text, custom=True)
    store.save_draft(conversation.id, text)
    expected = replace(conversation, title=text, title_is_custom=True, draft=text)
    full = replace(expected, id=new_conversation_id(), system_prompt=text, model_path=text)
    store.create(full)
    assert (store.get(conversation.id), store.get(full.id)) == (expected, full)


def test_small_changes_leave_the_order_alone(store: ConversationStore) -> None:
    first, second = new_conversation(0), new_conversation(1)
    store.create(first)
    store.create(second)
    store.rename(first.id, "named", custom=False)
    store.save_draft(first.id, "draft")
    leaf = new_message_id()
    store.set_active_leaf(first.id, leaf)
    assert store.list() == [second, replace(first, title="named", draft="draft", active_leaf_id=leaf)]


def test_new_messages_bring_a_conversation_to_the_top(store: ConversationStore) -> None:
    conversations = [new_conversation(minute - YEAR_MINUTES) for minute in range(3)]
    for conversation in conversations:
        store.create(conversation)
    assert [found.id for found in store.list()] == [item.id for item in reversed(conversations)]
    oldest = conversations[0]
    messages = chain_of(oldest, 2)
    store.save_exchange(oldest, messages, messages[-1].id)
    first = store.list()[0]
    assert first == replace(oldest, updated_at=first.updated_at, active_leaf_id=messages[-1].id)


def test_the_same_moment_still_gives_one_order(store: ConversationStore) -> None:
    conversations = [new_conversation() for _ in range(20)]
    for conversation in conversations:
        store.create(conversation)
    assert store.list() == sorted(conversations, key=lambda conversation: conversation.id, reverse=True)


def test_trash_and_back_keeps_place_and_messages(store: ConversationStore) -> None:
    conversations = [new_conversation(minute, str(minute)) for minute in range(4)]
    for conversation in conversations:
        messages = chain_of(conversation, 3)
        store.save_exchange(conversation, messages, messages[-1].id)
    before = store.list()
    chosen = before[2]
    messages = store.messages(chosen.id)

    store.trash(chosen.id, NOON)
    assert [found.title for found in store.list()] == ["3", "2", "0"]
    assert store.list(trashed=True) == [replace(chosen, deleted_at=NOON)]
    assert store.get(chosen.id) == replace(chosen, deleted_at=NOON)
    assert store.messages(chosen.id) == messages

    store.restore(chosen.id)
    assert store.list() == before
    assert store.list(trashed=True) == []


def test_the_trash_is_emptied_of_what_lay_there_for_30_days(store: ConversationStore) -> None:
    kept, fresh, old = (new_conversation(minute) for minute in range(3))
    for conversation in (kept, fresh, old):
        messages = chain_of(conversation, 2)
        store.save_exchange(conversation, messages, messages[-1].id)
    now = NOON + timedelta(days=100)
    store.trash(fresh.id, now - timedelta(days=30))
    store.trash(old.id, now - timedelta(days=30, microseconds=1))

    assert len(store.empty_trash(before=now - timedelta(days=30))) == 1

    assert store.get(old.id) is None
    assert store.messages(old.id) == []
    assert [found.id for found in store.list(trashed=True)] == [fresh.id]
    assert [found.id for found in store.list()] == [kept.id]
    assert len(store.messages(kept.id)) == 2
    assert len(store.empty_trash(before=now + timedelta(days=1))) == 1
    assert store.list(trashed=True) == []


def test_deleting_a_chain_of_5000_messages_leaves_none(store: ConversationStore, database: Database) -> None:
    # Cascades from parent to child would end at SQLite's limit of 1,000 nested triggers.
    conversation = new_conversation()
    messages = chain_of(conversation, 5000)
    store.save_exchange(conversation, messages, messages[-1].id)
    store.delete_for_ever(conversation.id)
    with database.reading() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM messages").scalar_one() == 0
    assert store.get(conversation.id) is None


def test_what_is_deleted_for_ever_is_not_in_the_file(store: ConversationStore, database: Database, path: Path) -> None:
    conversation = new_conversation(title="the secret title")
    messages = chain_of(conversation, 1)
    store.save_exchange(conversation, messages, messages[0].id)
    for length in (10, 500, 3000):  # as an answer grows while it streams
        store.update_messages([messages[0].with_text("the secret text " * length)])
    store.delete_for_ever(conversation.id)
    database.close()
    content = path.read_bytes()
    assert b"secret" not in content
    assert b"model_files" in content
