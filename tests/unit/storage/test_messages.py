"""Messages come back from the file as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from app.core.errors import ErrorKind, UserError
from app.core.messages import (
    Conversation,
    Message,
    MessageState,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    UnknownPart,
    Usage,
    new_conversation_id,
    new_message_id,
)
from app.core.tree import MessageTree
from app.storage.conversations import ConversationStore
from app.storage.database import Database

USAGE = Usage(120, 100, 48, 812.5, 3000.25, 870.0)


@pytest.fixture
def conversation(store: ConversationStore) -> Conversation:
    conversation = Conversation(new_conversation_id())
    store.create(conversation)
    return conversation


def message_of(conversation: Conversation, *parts: Part, **fields: Any) -> Message:
    defaults: dict[str, Any] = {"parent_id": None, "role": Role.USER}
    return Message(new_message_id(), conversation.id, parts=parts, **(defaults | fields))


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (TextPart(""),),
        (TextPart("Hello"), TextPart("again")),
        (ReasoningPart("Let me think."), TextPart("42")),
        (UnknownPart({"kind": "hologram", "data": [1, None, {"deep": "é"}]}), TextPart("beside it")),
        (TextPart("שלום مرحبا 👩‍👩‍👧‍👦 " * 100),),
        (TextPart("NUL \0 within"), TextPart("\ud83d alone"), TextPart("\udcff\u2028\x1b\r\n\t\"'\\")),
        (UnknownPart({"kind": "odd \udc80", "text": 5}),),
    ],
)
def test_parts_come_back_as_they_were(
    store: ConversationStore, conversation: Conversation, parts: tuple[Part, ...]
) -> None:
    message = message_of(conversation, *parts)
    store.save_exchange(conversation, [message], message.id)
    assert store.messages(conversation.id) == [message]


def test_ten_thousand_emoji_and_a_megabyte(store: ConversationStore, conversation: Conversation) -> None:
    messages = [message_of(conversation, TextPart(text)) for text in ("🙂" * 10_000, "é" * 1_000_000)]
    store.save_exchange(conversation, messages, messages[-1].id)
    assert store.messages(conversation.id) == messages


@pytest.mark.parametrize("state", list(MessageState))
@pytest.mark.parametrize("role", list(Role))
def test_every_field_comes_back(
    store: ConversationStore, conversation: Conversation, role: Role, state: MessageState
) -> None:
    message = message_of(
        conversation,
        TextPart("x"),
        role=role,
        state=state,
        created_at=datetime(2026, 11, 21, 0, 30, 0, 123457, tzinfo=UTC),
        model_name="Modell 7B \udcfc",
        usage=USAGE,
        error=UserError(ErrorKind.ENGINE_CRASHED, reason="SIGKILL \udcff", exit_code=-9).to_json(),
    )
    store.save_exchange(conversation, [message], message.id)
    (found,) = store.messages(conversation.id)
    assert found == message
    assert found.created_at.tzinfo is UTC


def test_moments_of_other_zones_are_kept_as_moments(store: ConversationStore, conversation: Conversation) -> None:
    local = datetime(2026, 11, 21, 1, 30, 0, 999999, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    early = datetime(1969, 7, 20, 20, 17, 40, 1, tzinfo=UTC)
    messages = [message_of(conversation, created_at=moment) for moment in (local, early)]
    store.save_exchange(conversation, messages, messages[-1].id)
    assert [found.created_at for found in store.messages(conversation.id)] == [local, early]


def test_a_naive_moment_is_a_bug(store: ConversationStore, conversation: Conversation) -> None:
    message = message_of(conversation, created_at=datetime(2026, 11, 21))
    with pytest.raises(Exception, match="time zone"):
        store.save_exchange(conversation, [message], message.id)


def test_a_tree_keeps_its_order_and_its_versions(
    store: ConversationStore, conversation: Conversation, open_database: Callable[[], Database]
) -> None:
    question = message_of(conversation, TextPart("q"))
    answers = [
        message_of(conversation, TextPart(f"a{number}"), parent_id=question.id, role=Role.ASSISTANT)
        for number in range(3)
    ]
    follow_up = message_of(conversation, TextPart("again"), parent_id=answers[1].id)
    edited = message_of(conversation, TextPart("q, edited"))
    store.save_exchange(conversation, [question, answers[0]], answers[0].id)
    for message in (*answers[1:], follow_up, edited):
        store.save_exchange(conversation, [message], message.id)
    store.set_active_leaf(conversation.id, follow_up.id)

    again = ConversationStore(open_database())
    messages = again.messages(conversation.id)
    assert messages == [question, *answers, follow_up, edited]
    stored = again.get(conversation.id)
    assert stored is not None
    tree = MessageTree(messages, stored.active_leaf_id)
    assert tree.active_path() == [question, answers[1], follow_up]
    assert (tree.versions(answers[1].id).index, tree.versions(answers[1].id).count) == (1, 3)
    assert tree.versions(edited.id).index == 1


def test_the_order_is_that_of_adding_whatever_the_clock_says(
    store: ConversationStore, conversation: Conversation
) -> None:
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    messages = [message_of(conversation, created_at=noon - timedelta(hours=hour)) for hour in range(5)]
    for message in messages:
        store.save_exchange(conversation, [message], message.id)
    assert store.messages(conversation.id) == messages


def test_a_message_without_its_parent_is_a_bug(store: ConversationStore, conversation: Conversation) -> None:
    orphan = message_of(conversation, parent_id=new_message_id())
    with pytest.raises(IntegrityError):
        store.save_exchange(conversation, [orphan], orphan.id)
    assert store.messages(conversation.id) == []
    stored = store.get(conversation.id)
    assert stored is not None
    assert stored.active_leaf_id is None


def test_what_may_change_of_a_message_changes(store: ConversationStore, conversation: Conversation) -> None:
    first = message_of(conversation, TextPart("q"))
    answer = message_of(conversation, parent_id=first.id, role=Role.ASSISTANT, state=MessageState.STREAMING)
    store.save_exchange(conversation, [first, answer], answer.id)
    for length in (10, 1_000, 100_000, 20):
        answer = answer.with_text("word " * length, "hm")
        store.update_messages([answer])
        assert store.messages(conversation.id) == [first, answer]
    done = replace(answer, state=MessageState.COMPLETE, usage=USAGE, model_name="m", error={"kind": "x"})
    store.update_messages([done])
    assert store.messages(conversation.id) == [first, done]
    store.update_messages([replace(done, usage=None, error=None, model_name=None)])
    assert store.messages(conversation.id) == [first, replace(done, usage=None, error=None, model_name=None)]


def test_several_messages_are_updated_at_once(store: ConversationStore, conversation: Conversation) -> None:
    messages = [message_of(conversation, state=MessageState.STREAMING) for _ in range(3)]
    store.save_exchange(conversation, messages, messages[-1].id)
    messages[0] = messages[0].with_text("one")
    messages[2] = replace(messages[2].with_text("three"), state=MessageState.COMPLETE)
    store.update_messages([messages[2], messages[0]])
    assert store.messages(conversation.id) == messages
    store.update_messages([])


def test_an_exchange_is_stored_with_its_new_conversation(store: ConversationStore) -> None:
    new = Conversation(new_conversation_id(), "From the question", draft="", model_path="/m.gguf")
    question = message_of(new, TextPart("q"))
    answer = message_of(new, parent_id=question.id, role=Role.ASSISTANT, state=MessageState.STREAMING)
    store.save_exchange(new, [question, answer], answer.id)
    (stored,) = store.list()
    assert stored == replace(new, active_leaf_id=answer.id, updated_at=stored.updated_at)
    assert stored.updated_at >= new.updated_at
    assert store.messages(new.id) == [question, answer]


def test_an_exchange_in_a_known_conversation_keeps_a_title_of_ones_own(store: ConversationStore) -> None:
    known = Conversation(new_conversation_id(), draft="sent by now")
    store.create(known)
    for title, custom, expected in (("first", False, "first"), ("own", True, "own"), ("later", False, "own")):
        if custom:
            store.rename(known.id, title, custom=True)
        message = message_of(known, TextPart(title))
        store.save_exchange(replace(known, title=title, draft=""), [message], message.id)
        stored = store.get(known.id)
        assert stored is not None
        assert (stored.title, stored.draft, stored.active_leaf_id) == (expected, "", message.id)
    assert len(store.messages(known.id)) == 3


def test_an_exchange_takes_any_title_and_draft(store: ConversationStore) -> None:
    odd = Conversation(new_conversation_id(), "\ud800 title", draft="\udcff draft")
    for _ in range(2):  # new, and known by then
        message = message_of(odd, TextPart("q"))
        store.save_exchange(odd, [message], message.id)
    (stored,) = store.list()
    assert (stored.title, stored.draft) == (odd.title, odd.draft)


def test_an_exchange_that_cannot_be_stored_leaves_no_conversation(store: ConversationStore) -> None:
    new = Conversation(new_conversation_id(), "half")
    orphan = message_of(new, TextPart("q"), parent_id=new_message_id())
    with pytest.raises(IntegrityError):
        store.save_exchange(new, [orphan], orphan.id)
    assert store.list() == []


def test_a_late_update_of_a_deleted_message_does_nothing(store: ConversationStore, conversation: Conversation) -> None:
    message = message_of(conversation, TextPart("x"))
    store.save_exchange(conversation, [message], message.id)
    store.delete_for_ever(conversation.id)
    store.update_messages([message.with_text("late")])
    store.save_draft(conversation.id, "late")
    assert store.messages(conversation.id) == []
    assert store.get(conversation.id) is None


def test_answers_in_progress_become_interrupted(store: ConversationStore, conversation: Conversation) -> None:
    messages = [message_of(conversation, TextPart(state.value), state=state) for state in MessageState]
    other = Conversation(new_conversation_id())
    store.create(other)
    elsewhere = message_of(other, TextPart("half a sen"), state=MessageState.STREAMING)
    store.save_exchange(conversation, messages, messages[-1].id)
    store.save_exchange(other, [elsewhere], elsewhere.id)

    assert store.interrupt_streaming() == 2

    why = UserError(ErrorKind.APP_ENDED).to_json()
    expected = [
        replace(message, state=MessageState.INTERRUPTED, error=why)
        if message.state is MessageState.STREAMING
        else message
        for message in messages
    ]
    assert store.messages(conversation.id) == expected
    assert store.messages(other.id) == [replace(elsewhere, state=MessageState.INTERRUPTED, error=why)]
    assert store.interrupt_streaming() == 0


def test_usage_of_a_later_version_is_read_as_far_as_it_is_known(
    store: ConversationStore, conversation: Conversation, database: Database
) -> None:
    message = message_of(conversation, usage=USAGE)
    store.save_exchange(conversation, [message], message.id)
    with database.session() as session:
        session.connection().exec_driver_sql("UPDATE messages SET usage = json_set(usage, '$.joules', 7)")
    assert store.messages(conversation.id) == [message]


@pytest.mark.parametrize(
    "damage",
    [
        "parts = '[{\"kind\":'",
        "parts = '7'",
        "parts = '[1]'",
        "parts = CAST(x'5B22FF225D' AS TEXT)",
        "role = 'oracle'",
        "state = ''",
        "usage = '[]'",
        "created_at = 'noon'",
    ],
)
def test_a_row_that_cannot_be_read_is_damage_and_shows_no_words(
    store: ConversationStore, conversation: Conversation, database: Database, damage: str
) -> None:
    message = message_of(conversation, TextPart("a secret"))
    store.save_exchange(conversation, [message], message.id)
    with database.session() as session:
        session.connection().exec_driver_sql(f"UPDATE messages SET {damage}")
    with pytest.raises(UserError) as caught:
        store.messages(conversation.id)
    assert caught.value.kind is ErrorKind.DATABASE_CORRUPT
    assert caught.value.string("path") == str(database.path)
    assert "secret" not in str(caught.value)
