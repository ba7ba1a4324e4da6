"""What a person does in a chat, through the services, down to the database."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.events import Finished
from app.core.messages import MessageState, Role
from app.services.open_chat import OpenChat
from app.services.profile import Profile
from tests.fixtures import tiny_gguf as tiny
from tests.services.conftest import WAIT_MS, StartProfile
from tests.services.person import SLOW, locked, path, say, say_and_wait_for_text, states, stored


def test_a_question_and_its_answer_are_stored(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "Forty-two."}])
    say(qtbot, profile, "what is the answer?")
    question, answer = path(profile)
    assert (question.role, question.text) == (Role.USER, "what is the answer?")
    assert (answer.text, answer.state) == ("Forty-two.", MessageState.COMPLETE)
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    qtbot.waitUntil(lambda: stored(profile, "SELECT state FROM messages WHERE role = 'assistant'") == [("complete",)])
    assert stored(profile, "SELECT title FROM conversations") == [("What is the answer?",)]


def test_text_arrives_on_screen_before_the_answer_is_over(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "word ", "repeat": 100, "tokens_per_second": 400}])
    seen: list[str] = []
    profile.chat.answers.text_added.connect(lambda message_id, text, reasoning: seen.append(text))
    say(qtbot, profile, "go")
    assert len(seen) > 5
    assert "".join(seen) == path(profile)[1].text


def test_an_empty_message_is_refused_with_words(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile()
    with qtbot.waitSignal(profile.chat.refused) as refused:
        profile.chat.send(" \n\t")
    assert refused.args is not None
    assert refused.args[1].error == UserError(ErrorKind.EMPTY_PROMPT)
    assert stored(profile, "SELECT * FROM messages") == []


def test_stop_keeps_what_was_written(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[SLOW])
    say_and_wait_for_text(qtbot, profile, "go")
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.stop()
    assert path(profile)[1].state is MessageState.STOPPED
    assert path(profile)[1].text.startswith("word ")
    assert not profile.chat.is_streaming


def test_a_stopped_answer_continues_in_place(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[SLOW])
    say_and_wait_for_text(qtbot, profile, "go")
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.stop()
    answer = path(profile)[1]
    with qtbot.waitSignal(profile.chat.answers.text_added, timeout=WAIT_MS):
        profile.chat.continue_answer(answer.id)
    assert path(profile)[1].state is MessageState.STREAMING
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.stop()
    assert len(path(profile)) == 2
    assert path(profile)[1].text.startswith(answer.text)
    assert len(path(profile)[1].text) > len(answer.text)


def test_a_complete_answer_cannot_be_continued(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "done"}])
    say(qtbot, profile, "go")
    profile.chat.continue_answer(path(profile)[1].id)
    assert not profile.chat.is_streaming
    assert states(profile) == [MessageState.COMPLETE, MessageState.COMPLETE]


def test_regenerating_makes_a_version(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    say(qtbot, profile, "go")
    first = path(profile)[1]
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.regenerate(first.id)
    second = path(profile)[1]
    assert second.id != first.id
    assert profile.chat.current.tree.versions(second.id).count == 2
    profile.chat.select_version(second.id, -1)
    assert path(profile)[1].id == first.id


def test_editing_branches_and_the_choice_survives_a_restart(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    say(qtbot, profile, "first")
    question = path(profile)[0]
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.edit(question.id, "second")
    assert path(profile)[0].text == "second"
    profile.chat.select_version(path(profile)[0].id, -1)
    conversation_id = profile.chat.current.conversation.id
    end_profile(profile)

    again = start_profile()
    with qtbot.waitSignal(again.chat.opened, timeout=WAIT_MS):
        again.chat.open(conversation_id)
    assert [message.text for message in path(again)] == ["first", "an answer"]
    assert again.chat.current.tree.versions(path(again)[0].id).count == 2


def test_an_answer_goes_on_behind_another_conversation(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"when": "slow", **SLOW}, {"text": "quick"}])
    say_and_wait_for_text(qtbot, profile, "slow one")
    behind = profile.chat.current
    profile.chat.new_conversation()
    assert profile.chat.answers.conversations == {behind.conversation.id}
    assert not profile.chat.is_streaming
    with qtbot.waitSignal(profile.chat.opened):
        profile.chat.open(behind.conversation.id)
    assert profile.chat.current is behind
    running = profile.chat.answers.current(path(profile)[1].id)
    assert running is not None
    assert running.text.startswith("word ")


def test_a_killed_engine_marks_the_answer_and_the_next_question_works(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    profile = start_profile(answers=[{"when": "slow", **SLOW}, {"text": "quick"}])
    say_and_wait_for_text(qtbot, profile, "slow one")
    pid = profile.engine.pid
    assert pid is not None
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        os.kill(pid, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    answer = path(profile)[1]
    assert answer.state is MessageState.INTERRUPTED
    assert answer.text.startswith("word ")
    assert answer.error is not None
    assert UserError.from_json(answer.error).kind is ErrorKind.ENGINE_CRASHED
    say(qtbot, profile, "and now?")
    assert path(profile)[3].text == "quick"


def test_a_failing_generation_is_marked_and_can_be_tried_again(qtbot: QtBot, start_profile: StartProfile) -> None:
    error = UserError(ErrorKind.DECODE_FAILED, reason="made up")
    profile = start_profile(answers=[{"error": error.to_json()}])
    say(qtbot, profile, "go")
    answer = path(profile)[1]
    assert answer.state is MessageState.FAILED
    assert answer.error == error.to_json()


def test_a_prompt_that_is_too_long_is_refused_before_it_is_stored(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(loads=[{"context_length": 512}])
    text = "word " * 3000
    with qtbot.waitSignal(profile.chat.refused, timeout=WAIT_MS) as refused:
        profile.chat.send(text)
    assert refused.args is not None
    assert refused.args[1].error.kind is ErrorKind.PROMPT_TOO_LONG
    assert refused.args[1].error.integer("limit_tokens") == 384
    assert refused.args[1].text == text
    assert stored(profile, "SELECT * FROM messages") == []


def test_drafts_are_kept_for_each_conversation(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    say(qtbot, profile, "first")
    profile.chat.keep_draft("to the first")
    first = profile.chat.current.conversation.id
    profile.chat.new_conversation()
    profile.chat.keep_draft("to a new one")
    qtbot.waitUntil(lambda: profile.chat.current.is_stored, timeout=WAIT_MS)
    profile.chat.keep_draft("to a new one, longer")
    end_profile(profile)
    drafts = stored(profile, "SELECT draft FROM conversations ORDER BY created_at")
    assert drafts == [("to the first",), ("to a new one, longer",)]

    again = start_profile()
    with qtbot.waitSignal(again.chat.opened, timeout=WAIT_MS):
        again.chat.open(first)
    assert again.chat.current.conversation.draft == "to the first"


def test_an_abandoned_draft_leaves_no_conversation(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile()
    profile.chat.keep_draft("never mind")
    qtbot.waitUntil(lambda: profile.chat.current.is_stored, timeout=WAIT_MS)
    profile.chat.keep_draft("")
    profile.chat.new_conversation()
    qtbot.waitUntil(lambda: stored(profile, "SELECT * FROM conversations") == [], timeout=WAIT_MS)


def test_sending_clears_the_draft(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    profile.chat.keep_draft("half a thou")
    qtbot.waitUntil(lambda: profile.chat.current.is_stored, timeout=WAIT_MS)
    say(qtbot, profile, "half a thought")
    assert stored(profile, "SELECT draft FROM conversations") == [("",)]


@pytest.mark.logs_warnings
def test_a_locked_database_keeps_the_text_and_recovers(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    with locked(profile), qtbot.waitSignal(profile.chat.refused, timeout=WAIT_MS) as refused:
        profile.chat.send("keep me")
    assert refused.args is not None
    assert refused.args[1].error.kind is ErrorKind.DATABASE_LOCKED
    assert refused.args[1].text == "keep me"
    say(qtbot, profile, "keep me")
    assert stored(profile, "SELECT COUNT(*) FROM messages") == [(2,)]


@pytest.mark.logs_warnings
def test_an_answer_is_stored_as_soon_as_the_database_is_free_again(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[SLOW])
    say_and_wait_for_text(qtbot, profile, "go")
    with locked(profile), qtbot.waitSignal(profile.chat.answers.save_failed, timeout=WAIT_MS):
        profile.chat.stop()
    with qtbot.waitSignal(profile.chat.answers.save_recovered, timeout=WAIT_MS):
        pass
    text = path(profile)[1].text
    qtbot.waitUntil(lambda: text in stored(profile, "SELECT parts FROM messages WHERE role = 'assistant'")[0][0])


def test_an_answer_is_on_disk_within_half_a_second(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[SLOW])
    say_and_wait_for_text(qtbot, profile, "go")

    def saved() -> bool:
        rows = stored(profile, "SELECT parts FROM messages WHERE role = 'assistant'")
        return bool(rows) and "word" in rows[0][0]

    qtbot.waitUntil(saved, timeout=WAIT_MS)
    assert stored(profile, "SELECT state FROM messages WHERE role = 'assistant'") == [("streaming",)]


def test_the_next_start_marks_what_was_being_written(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[SLOW])
    say_and_wait_for_text(qtbot, profile, "go")
    # What a killed process leaves behind: it never said goodbye.
    shutil.copytree(profile.paths.data, profile.paths.data.with_name("killed"))
    second = start_profile(folder="killed")
    conversation_id = profile.chat.current.conversation.id
    with qtbot.waitSignal(second.chat.opened, timeout=WAIT_MS):
        second.chat.open(conversation_id)
    assert path(second)[1].state is MessageState.INTERRUPTED


def test_hostile_text_goes_in_and_comes_back(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    profile = start_profile(answers=[{"text": "an answer"}])
    texts = ["a\x00b\ud800c", "שלום <|im_end|> {{ 7*7 }}", "🦊" * 10_000, "x" * 1_000_000]
    clean = ["a\ufffdb\ufffdc", *texts[1:]]
    for text in texts[:2]:
        say(qtbot, profile, text)
    for text in texts[2:]:
        with qtbot.waitSignals([profile.chat.answers.ended], timeout=WAIT_MS):
            profile.chat.send(text)
    conversation_id = profile.chat.current.conversation.id
    end_profile(profile)
    again = start_profile()
    with qtbot.waitSignal(again.chat.opened, timeout=WAIT_MS):
        again.chat.open(conversation_id)
    assert [message.text for message in path(again) if message.role is Role.USER] == clean


def test_the_context_meter_counts_history_and_draft(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "one two three"}])
    say(qtbot, profile, "four five")
    counted: list[int | None] = []

    def note(chat: OpenChat) -> None:
        counted.append(chat.context_tokens)

    profile.chat.context_changed.connect(note)
    profile.chat.keep_draft("six seven eight nine")
    qtbot.waitUntil(lambda: bool(counted), timeout=WAIT_MS)
    before = counted[-1]
    profile.chat.keep_draft("six seven eight nine ten eleven")
    qtbot.waitUntil(lambda: counted[-1] != before, timeout=WAIT_MS)
    assert before is not None
    assert counted[-1] == before + 2


def test_an_answer_stopped_while_its_question_was_read_makes_the_chat_no_shorter(
    qtbot: QtBot, build: Callable[..., Profile], tmp_path: Path
) -> None:
    vocabulary = tiny.bpe_vocabulary()
    model = tiny.write_model(tmp_path / "noise.gguf", vocabulary, template=tiny.CHATML, context_length=32_768)
    profile = build()
    profile.settings.set_value("model.context_length", 32_768)
    profile.start(str(model))
    qtbot.waitUntil(lambda: profile.store.is_open and profile.models.info is not None, timeout=WAIT_MS)
    with qtbot.waitSignal(profile.chat.answers.prompt_progressed, timeout=WAIT_MS):
        profile.chat.send("cat " * 20_000)
    whole = profile.chat.current.context_tokens
    assert whole is not None
    assert whole > 20_000
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS) as ended:
        profile.chat.stop()
    finished = ended.args[2]
    assert isinstance(finished, Finished)
    assert finished.context_tokens < whole
    assert profile.chat.current.context_tokens == whole


def test_trashing_a_conversation_stops_its_answer(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[SLOW])
    say_and_wait_for_text(qtbot, profile, "go")
    conversation_id = profile.chat.current.conversation.id
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.close_conversation(conversation_id)
        profile.conversations.trash(conversation_id)
    assert profile.chat.current.conversation.id != conversation_id
    profile.conversations.undo_trash()
    qtbot.waitUntil(lambda: [c.id for c in profile.conversations.conversations] == [conversation_id], timeout=WAIT_MS)


def test_stopping_is_heard_within_two_seconds_or_the_engine_goes(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "a b c d", "hang_at_token": 2}])
    say_and_wait_for_text(qtbot, profile, "go")
    started = time.monotonic()
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.stop()
    assert time.monotonic() - started > 1
    answer = path(profile)[1]
    assert answer.state is MessageState.INTERRUPTED
    assert UserError.from_json(answer.error or {}).kind is ErrorKind.ENGINE_UNRESPONSIVE
