"""Two things at once, a disk that refuses, a mind that changes: what was written is still there."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind
from app.core.messages import MessageState
from app.services.open_chat import OpenChat
from tests.services.conftest import WAIT_MS, StartProfile
from tests.services.person import SLOW, locked, path, say, say_and_wait_for_text, settle_store, stored


@pytest.mark.logs_warnings
def test_a_new_draft_is_stored_as_soon_as_the_database_is_free_again(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile()
    with qtbot.waitSignal(profile.conversations.drafts_recovered, timeout=WAIT_MS):
        with locked(profile), qtbot.waitSignal(profile.conversations.failed, timeout=WAIT_MS) as failed:
            profile.chat.keep_draft("a")
            profile.chat.keep_draft("a thought")
        assert failed.args is not None
        assert failed.args[0].kind is ErrorKind.DATABASE_LOCKED
    qtbot.waitUntil(lambda: stored(profile, "SELECT draft FROM conversations") == [("a thought",)], timeout=WAIT_MS)


@pytest.mark.logs_warnings
def test_a_new_draft_that_was_taken_back_meanwhile_leaves_nothing(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile()
    with locked(profile), qtbot.waitSignal(profile.conversations.failed, timeout=WAIT_MS):
        profile.chat.keep_draft("never mind")
    profile.chat.keep_draft("")
    profile.chat.new_conversation()
    profile.conversations.flush_drafts()
    settle_store(qtbot, profile)
    assert stored(profile, "SELECT * FROM conversations") == []


@pytest.mark.logs_warnings
def test_a_chat_whose_answer_cannot_be_stored_is_shown_with_all_of_it(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    profile = start_profile(answers=[SLOW])
    say_and_wait_for_text(qtbot, profile, "go")
    conversation_id = profile.chat.current.conversation.id
    profile.chat.new_conversation()
    with locked(profile):
        with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS) as ended:
            profile.chat.answers.stop(conversation_id)
        with qtbot.waitSignal(profile.chat.opened, timeout=WAIT_MS):
            profile.chat.open(conversation_id)
        assert ended.args is not None
        assert path(profile)[1] == ended.args[1]
        assert path(profile)[1].state is MessageState.STOPPED


def test_what_is_typed_while_a_message_is_sent_stays_with_its_chat(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.keep_draft("first")
        profile.chat.send("first")
        profile.chat.keep_draft("first and more")
        conversation_id = profile.chat.current.conversation.id
        profile.chat.new_conversation()
    with qtbot.waitSignal(profile.chat.opened, timeout=WAIT_MS):
        profile.chat.open(conversation_id)
    assert profile.chat.current.conversation.draft == " and more"


def test_a_version_is_not_changed_under_a_message_that_is_being_stored(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    say(qtbot, profile, "go")
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.regenerate(path(profile)[1].id)
    answer = path(profile)[1]
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.send("go on")
        profile.chat.select_version(answer.id, -1)
    assert path(profile)[1].id == answer.id
    settle_store(qtbot, profile)
    assert stored(profile, "SELECT active_leaf_id FROM conversations") == [(path(profile)[3].id,)]


def test_an_answer_that_ended_in_thought_is_thought_afresh(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"reasoning": "First, ", "text": "x", "crash": {"exit_code": 3}}])
    say(qtbot, profile, "go")
    answer = path(profile)[1]
    assert (answer.reasoning, answer.text, answer.state) == ("First, ", "", MessageState.INTERRUPTED)
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.continue_answer(answer.id)
    assert path(profile)[1].reasoning == "First, "


def test_a_chat_asked_for_twice_is_opened_once(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    say(qtbot, profile, "go")
    conversation_id = profile.chat.current.conversation.id
    profile.chat.new_conversation()
    opened: list[OpenChat] = []
    profile.chat.opened.connect(opened.append)
    profile.chat.open(conversation_id)
    profile.chat.open(conversation_id)
    settle_store(qtbot, profile)
    assert len(opened) == 1
    assert profile.chat.current is opened[0]


def test_a_chat_trashed_while_it_is_being_opened_stays_closed(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    say(qtbot, profile, "go")
    conversation_id = profile.chat.current.conversation.id
    profile.chat.new_conversation()
    profile.chat.open(conversation_id)
    profile.chat.close_conversation(conversation_id)
    profile.conversations.trash(conversation_id)
    settle_store(qtbot, profile)
    assert profile.chat.current.conversation.id != conversation_id


def test_after_a_backup_was_restored_writing_goes_on_in_a_new_chat(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"when": "slow", **SLOW}, {"text": "an answer"}])
    say(qtbot, profile, "before")
    with qtbot.waitSignal(profile.store.backups_listed, timeout=WAIT_MS) as listed:
        profile.store.back_up()
    assert listed.args is not None
    profile.chat.new_conversation()
    say_and_wait_for_text(qtbot, profile, "slow, after")
    profile.chat.keep_draft("not sent yet")
    with qtbot.waitSignals([profile.chat.opened, profile.chat.answers.ended], timeout=WAIT_MS):
        profile.store.restore(listed.args[0][0].path)
    assert profile.chat.current.items() == []
    assert profile.chat.current.conversation.draft == "not sent yet"
    say(qtbot, profile, "not sent yet")
    qtbot.waitUntil(
        lambda: stored(profile, "SELECT title FROM conversations ORDER BY title") == [("Before",), ("Not sent yet",)],
        timeout=WAIT_MS,
    )


def test_a_title_is_made_fit_for_storage(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    say(qtbot, profile, "go")
    profile.conversations.rename(profile.chat.current.conversation.id, " a\ud800b \n c ")
    settle_store(qtbot, profile)
    assert stored(profile, "SELECT title FROM conversations") == [("a\ufffdb c",)]


def test_the_answer_names_the_model_that_wrote_it(qtbot: QtBot, start_profile: StartProfile) -> None:
    loads = [{"path": "slow", "name": "Slow", "duration_ms": 300}, {"name": "Built in"}]
    profile = start_profile(loads=loads, answers=[{"text": "an answer"}], model="/slow.gguf", wait=False)
    say(qtbot, profile, "before any model is there")
    assert path(profile)[1].model_name == "Slow"
    profile.models.load(None)
    say(qtbot, profile, "while another comes")
    assert path(profile)[3].model_name == "Built in"
    settle_store(qtbot, profile)
    names = stored(profile, "SELECT model_name FROM messages WHERE role = 'assistant' ORDER BY position")
    assert names == [("Slow",), ("Built in",)]


def test_a_long_message_does_not_wait_for_a_model_that_is_loading(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(loads=[{"path": "slow", "duration_ms": 60_000}, {}], answers=[{"text": "an answer"}])
    profile.models.load("/slow.gguf")
    with qtbot.waitSignal(profile.chat.accepted, timeout=WAIT_MS):
        profile.chat.send("word " * 600)
    profile.models.cancel_load()
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        pass
