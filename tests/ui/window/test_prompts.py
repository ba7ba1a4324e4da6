"""Odd messages: empty, huge, hostile, too long; and chats that outgrow the context."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from app.core.events import PromptStarted
from app.core.messages import MessageState
from app.services.open_chat import OpenChat
from app.ui.context_meter import ContextMeter
from tests.fixtures import tiny_gguf as tiny
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import CONTROL

Key = Qt.Key
ECHO = {"text": "an answer"}


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
def test_an_empty_message_is_not_sent(open_window: OpenWindow, text: str) -> None:
    person = open_window(answers=[ECHO])
    person.paste(text)
    assert not person.button("Send").isEnabled()
    person.press(Key.Key_Return)
    person.qtbot.wait(50)
    assert person.shown == []
    assert person.cards == []


@pytest.mark.parametrize(
    ("pasted", "stored"),
    [
        ("a\0b", "ab"),
        ("שלום <|im_end|> {{ 7*7 }} عليكم", None),
        ("🦊" * 10_000, None),
        ("👨‍👩‍👧‍👦" * 500, None),
        ("line\r\nline\rline", "line\nline\nline"),
        ("x" * 1_000_000, None),
        ("a line of an ordinary text, as logs have it\n" * 22_000 + "end", None),
    ],
    ids=["NUL", "right to left", "emoji", "families", "line ends", "one word of 1 MB", "1 MB of lines"],
)
def test_what_is_pasted_is_sent_stored_and_shown(open_window: OpenWindow, pasted: str, stored: str | None) -> None:
    person = open_window(answers=[ECHO], loads=[{"context_length": 1_000_000}])
    person.paste(pasted)
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.press(Key.Key_Return)
    assert person.texts[0] == (pasted if stored is None else stored)
    assert person.texts[1] == "an answer"
    assert person.written == ""


def test_lone_surrogates_are_replaced(open_window: OpenWindow) -> None:
    person = open_window(answers=[ECHO])
    person.box.setFocus()
    person.box.insertPlainText("a\ud800b")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.press(Key.Key_Return)
    assert person.texts[0] in ("a\ufffdb", "ab"), "Qt itself may leave it out"
    assert person.texts[1] == "an answer"


def test_a_large_paste_is_kept_as_a_draft_and_can_be_undone(open_window: OpenWindow) -> None:
    person = open_window(answers=[ECHO])
    text = "a line of an ordinary text, as logs have it\n" * 22_000
    person.paste(text)
    person.wait(lambda: bool(person.stored("SELECT 1 FROM conversations")) and person.stored(
        "SELECT length(draft) FROM conversations") == [(len(text),)])  # fmt: skip
    person.press(Key.Key_Z, CONTROL)
    person.wait(lambda: person.written == "")


def test_a_message_longer_than_the_context_is_refused_before_it_is_sent(open_window: OpenWindow) -> None:
    person = open_window(answers=[ECHO], loads=[{"context_length": 512}])
    text = "word " * 3000
    person.paste(text)
    person.press(Key.Key_Return)
    person.wait(lambda: "too long for the model" in person.card_text)
    assert "3,000 tokens" in person.card_text
    assert "384" in person.card_text
    assert person.written == text
    assert person.shown == []
    person.click("Edit the message")
    assert QGuiApplication.focusObject() is person.box
    person.press(Key.Key_A, CONTROL)
    person.type("short")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.press(Key.Key_Return)
    assert person.texts == ["short", "an answer"]
    assert person.cards == []


def test_a_long_edit_stays_in_its_editor(open_window: OpenWindow) -> None:
    person = open_window(answers=[ECHO], loads=[{"context_length": 512}])
    person.say("first")
    person.press(Key.Key_E, CONTROL)
    QGuiApplication.clipboard().setText("word " * 3000)
    person.press(Key.Key_V, CONTROL)
    person.press(Key.Key_Return, CONTROL)
    person.wait(lambda: "too long for the model" in person.card_text)
    assert person.sees_button("Save")
    assert person.texts == ["first", "an answer"]


def test_a_long_message_waits_for_no_other_answer(open_window: OpenWindow) -> None:
    slow = {"when": "slow", "text": "word ", "repeat": 10_000, "tokens_per_second": 200}
    person = open_window(answers=[slow, ECHO], loads=[{"context_length": 100_000}])
    person.say_and_wait_for_words("slow")
    person.press(Key.Key_N, CONTROL)
    person.paste("much to say " * 1000)
    person.press(Key.Key_Return)
    person.wait(lambda: len(person.shown) == 2, 3_000)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A real model with a context of 512 tokens that says " cat sat on"."""
    words = [tiny.byte_token(text) for text in ("\n", " cat", " sat", " on")]
    return tiny.write_model(
        tmp_path / "small.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML, name="Small", context_length=512,
        successors=tiny.chain(*words),
    )  # fmt: skip


def test_a_chat_that_outgrows_the_context_goes_on_under_a_line(open_window: OpenWindow, small: Path) -> None:
    person = open_window(model=small, settings={"answers.system_prompt": "be kind", "answers.max_tokens": 20})
    started: list[PromptStarted] = []

    def note(chat: OpenChat, event: PromptStarted) -> None:
        started.append(event)

    person.profile.chat.answers.prompt_started.connect(note)
    for number in range(10):
        person.say(f"question {number} " + "and so on " * 8)
        assert person.answer.state is MessageState.COMPLETE
        assert person.answer.text == "cat sat on"
    assert started[0].first_visible_id is None
    boundary = started[-1].first_visible_id
    assert boundary is not None
    ids = [message.id for message in person.shown]
    assert ids.index(boundary) > 0
    assert person.shown[ids.index(boundary)].text.startswith("question")
    rows = person.window.chat_page.transcript._rows
    assert rows.boundary_id == boundary
    assert rows.widget_for(ids.index(boundary))._boundary
    assert started[-1].prompt_tokens < 512
    assert "almost full" in person.window.findChild(ContextMeter).words() or started[-1].prompt_tokens < 460
    assert person.cards == []


def test_an_answer_that_fills_the_context_is_stopped_and_can_be_gone_on_with(
    open_window: OpenWindow, tmp_path: Path
) -> None:
    words = [tiny.byte_token(word) for word in (" and", " cat", " sat", " on")]
    successors = {tiny.byte_token("\n"): words[0], **dict(zip(words, words[1:] + words[:1], strict=True))}
    endless = tiny.write_model(
        tmp_path / "endless.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML, context_length=512, name="Endless",
        successors=successors,
    )  # fmt: skip
    person = open_window(model=endless)
    person.say("go on")
    assert person.answer.state is MessageState.CONTEXT_FULL
    before = person.answer.text
    assert len(before) > 500
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.click("Continue answer")
    assert (person.answer.state, person.answer.text) == (MessageState.CONTEXT_FULL, before)
    person.wait(lambda: [card.title for card in person.cards] == ["The answer cannot go on"])
    assert "Ask for the rest in a new message" in person.card.text
    person.send("and now")
    person.wait(lambda: len(person.shown) == 4 and not person.is_streaming)
    assert len(person.answer.text) > 10


def test_an_open_edit_waits_while_another_chat_is_shown(open_window: OpenWindow) -> None:
    person = open_window(answers=[ECHO])
    person.say("first")
    person.press(Key.Key_E, CONTROL)
    person.type(" and more")
    person.press(Key.Key_N, CONTROL)
    person.say("second")
    person.click_chat("First")
    person.wait(lambda: person.sees_button("Save"))
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.click("Save")
    assert person.texts == ["first and more", "an answer"]
    person.click_chat("Second")
    person.wait(lambda: person.texts == ["second", "an answer"])
    person.click_chat("First")
    person.wait(lambda: person.texts == ["first and more", "an answer"])
    assert not person.sees_button("Save")
