"""The engine dies, hangs or fails in the middle: what the person sees, and that a click goes on."""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest
from PySide6.QtCore import Qt

from app.core.errors import ErrorKind, UserError
from app.core.messages import MessageState
from app.services.explain import ActionKind
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import CONTROL, Person

SLOW = {"text": "word ", "repeat": 10_000, "tokens_per_second": 200}
Key = Qt.Key
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def kill_engine(person: Person) -> None:
    assert person.profile.engine.pid is not None
    os.kill(person.profile.engine.pid, signal.SIGKILL)


@posix
def test_a_killed_engine_leaves_the_words_a_card_and_continue(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.say_and_wait_for_words("go")
    kill_engine(person)
    person.wait(lambda: person.answer.state is MessageState.INTERRUPTED)
    kept = person.answer.text
    assert kept.startswith("word word")
    assert person.card.title == "The engine stopped in the middle"
    assert "SIGKILL" in person.card.text
    assert person.sees_button("Send")
    person.click("Continue")
    person.wait(lambda: person.is_streaming and len(person.answer.text) > len(kept) + 20)
    assert person.cards == []
    assert person.answer.text.startswith(kept)
    assert len(person.shown) == 2
    person.press(Key.Key_Escape)
    person.wait(lambda: person.answer.state is MessageState.STOPPED)
    person.wait(lambda: person.stored("SELECT state FROM messages WHERE role = 'assistant'") == [("stopped",)])


@posix
def test_a_killed_engine_is_also_gone_on_with_by_key_and_by_a_new_question(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"when": "slow", **SLOW}, {"text": "quick"}])
    person.say_and_wait_for_words("slow")
    kill_engine(person)
    person.wait(lambda: person.answer.state is MessageState.INTERRUPTED)
    kept = len(person.answer.text)
    person.press(Key.Key_G, CONTROL)
    person.wait(lambda: person.is_streaming and len(person.answer.text) > kept)
    kill_engine(person)
    person.wait(lambda: person.answer.state is MessageState.INTERRUPTED)
    person.say("and now?")
    assert person.answer.text == "quick"
    person.click("Continue")  # on the card of the answer before
    assert "Only the last answer" in person.notice


@posix
def test_an_engine_killed_while_idle_is_not_noticed_by_the_next_question(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "quick"}])
    person.say("one")
    kill_engine(person)
    person.wait(lambda: person.profile.models.info is None)
    person.say("two")
    assert person.texts == ["one", "quick", "two", "quick"]
    assert person.cards == []


@posix
def test_an_engine_killed_while_it_loads(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "quick"}], loads=[{"duration_ms": 600}], wait=False)
    person.wait(lambda: re.search("Loading… [1-9]", person.model_name) is not None)
    kill_engine(person)
    person.wait(lambda: person.card_text != "")
    assert "could not be loaded" in person.card_text
    assert "SIGKILL" in person.card_text
    person.say("go")  # loads again by itself
    assert person.answer.text == "quick"


def test_a_hanging_engine_is_ended_by_stop(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "a few words and then nothing", "hang_at_token": 4}])
    person.say_and_wait_for_words("go")
    person.press(Key.Key_Escape)
    person.wait(lambda: person.answer.state is MessageState.INTERRUPTED)
    assert person.card.title == "The engine did not answer"


def test_a_failed_answer_is_tried_again_by_its_button(open_window: OpenWindow) -> None:
    error = UserError(ErrorKind.DECODE_FAILED, reason="made up")
    person = open_window(answers=[{"error": error.to_json()}])
    person.say("go")
    assert person.answer.state is MessageState.FAILED
    assert "made up" in person.card.text
    with person.qtbot.waitSignal(person.profile.chat.answers.ended):
        person.click("Regenerate")
    assert len(person.shown) == 2


@pytest.mark.logs_warnings
def test_enter_while_the_first_model_turns_out_broken_waits_for_the_built_in_one(open_window: OpenWindow) -> None:
    broken = {"path": "broken", "duration_ms": 500, "error": UserError(ErrorKind.CORRUPT, reason="x").to_json()}
    person = open_window(
        answers=[{"text": "hello"}], loads=[broken, {"name": "Built-in"}], wait=False, model="/broken.gguf"
    )
    person.say("go")
    assert person.texts == ["go", "hello"]
    assert "damaged" in person.card_text


@pytest.mark.logs_warnings
def test_enter_while_no_model_loads_at_all_says_so(open_window: OpenWindow) -> None:
    error = UserError(ErrorKind.CORRUPT, reason="x").to_json()
    person = open_window(loads=[{"duration_ms": 500, "error": error}], wait=False)
    person.say("go")
    assert person.answer.state is MessageState.FAILED
    assert [card.title for card in person.cards].count("No model is loaded") == 1


def test_stop_while_the_model_still_loads(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "hello"}], loads=[{"duration_ms": 1500}], wait=False)
    person.send("go")
    person.wait(lambda: person.is_streaming)
    person.press(Key.Key_Escape)
    person.wait(lambda: person.answer.state is MessageState.STOPPED)
    person.wait(lambda: person.profile.models.info is not None)
    assert person.answer.text == ""


def test_enter_at_once_is_answered_when_everything_is_ready(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "hello"}], loads=[{"duration_ms": 500}], wait=False)
    person.say("go")
    assert person.texts == ["go", "hello"]
    assert person.cards == []


@posix
def test_an_interrupted_answer_is_continued_by_another_model(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW], loads=[{"path": "other", "name": "Other"}, {"name": "Built-in"}])
    person.say_and_wait_for_words("go")
    kill_engine(person)
    person.wait(lambda: person.answer.state is MessageState.INTERRUPTED)
    kept = person.answer.text
    person.window.open_model("/other.gguf")
    person.wait(lambda: person.profile.models.info is not None)
    person.click("Continue answer")
    person.wait(lambda: person.is_streaming and len(person.answer.text) > len(kept) + 10)


def test_retry_is_offered_where_a_card_has_it(open_window: OpenWindow) -> None:
    """Every card of the composer's whose buttons include Try again must do something when pressed."""
    person = open_window()
    done: list[bool] = []
    person.window.chat_page.show_failure(UserError(ErrorKind.DISK_FULL, path="x"), lambda: done.append(True))
    assert ActionKind.RETRY in {action.kind for action in person.card.actions}
    person.click("Try again")
    assert done == [True]
    assert person.cards == []


@pytest.mark.logs_warnings
def test_a_failure_is_told_on_other_pages_too(open_window: OpenWindow) -> None:
    error = UserError(ErrorKind.CORRUPT, reason="x").to_json()
    person = open_window(loads=[{"path": "/big.gguf", "error": error}, {"name": "Built-in"}])
    person.window.show_page("models")
    person.profile.models.load("/big.gguf")
    person.wait(lambda: person.sees_button("Show"))
    assert person.page("models").isVisible()
    person.click("Show")
    assert person.window.chat_page.isVisible()
    assert person.card.title
    assert not person.sees_button("Show")
