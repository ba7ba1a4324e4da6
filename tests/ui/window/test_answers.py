"""What a person does with answers: stop, continue, regenerate, versions, edit; by keys and by clicks."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.core.messages import MessageState
from app.ui.context_meter import ContextMeter
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import ALT, CONTROL, Person

SLOW = {"text": "word ", "repeat": 10_000, "tokens_per_second": 200}
SLOW_READER = {"text": "done", "first_token_ms": 20_000, "prompt_steps": 100}
Key = Qt.Key


def state(person: Person) -> MessageState:
    return person.answer.state


def wait_for_more(person: Person, length: int) -> None:
    person.wait(lambda: person.is_streaming and len(person.answer.text) > length)


def test_a_question_is_answered_and_stored(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "Forty-two."}])
    person.say("what is the answer?")
    assert person.texts == ["what is the answer?", "Forty-two."]
    assert person.written == ""
    person.wait(lambda: person.chats == ["What is the answer?"])
    assert person.window.windowTitle() == "What is the answer? – Hearth"
    assert person.stored("SELECT COUNT(*) FROM messages") == [(2,)]


def test_escape_stops_while_words_stream(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.say_and_wait_for_words("go")
    started = time.monotonic()
    person.press(Key.Key_Escape)
    person.wait(lambda: state(person) is MessageState.STOPPED)
    assert time.monotonic() - started < 10
    assert person.answer.text.startswith("word word")
    assert person.sees_button("Continue answer")


def test_the_stop_button_stops_while_the_prompt_is_read(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW_READER])
    person.send("go")
    person.wait(lambda: person.is_streaming)
    person.click("Stop")
    person.wait(lambda: state(person) is MessageState.STOPPED)
    assert person.answer.text == ""
    assert person.sees_button("Send")


def test_escape_stops_wherever_the_keyboard_is(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    for focused in (person.chat_list, person.window.chat_page.transcript, person.window.chat_page.model_button):
        person.say_and_wait_for_words("go")
        focused.setFocus()
        person.press(Key.Key_Escape)
        person.wait(lambda: state(person) is MessageState.STOPPED)


def test_continue_goes_on_by_click_and_by_key(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.say_and_wait_for_words("go")
    person.press(Key.Key_Escape)
    person.wait(lambda: state(person) is MessageState.STOPPED)
    for go_on in (lambda: person.click("Continue answer"), lambda: person.press(Key.Key_G, CONTROL)):
        before = person.answer
        go_on()
        wait_for_more(person, len(before.text) + 20)
        person.press(Key.Key_Escape)
        person.wait(lambda: state(person) is MessageState.STOPPED)
        assert person.answer.id == before.id
        assert person.answer.text.startswith(before.text)


def test_versions_by_click_and_by_key(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "an answer"}])
    person.say("go")
    first = person.answer.id
    with person.qtbot.waitSignal(person.profile.chat.answers.ended):
        person.click("Regenerate answer")
    second = person.answer.id
    with person.qtbot.waitSignal(person.profile.chat.answers.ended):
        person.press(Key.Key_R, CONTROL)
    third = person.answer.id
    assert len({first, second, third}) == 3
    person.click("Earlier version")
    assert person.answer.id == second
    person.click("Earlier version")
    assert person.answer.id == first
    assert not person.button("Earlier version").isEnabled()
    person.press(Key.Key_Right, ALT)
    assert person.answer.id == second
    person.press(Key.Key_Left, ALT)
    assert person.answer.id == first


def test_the_first_message_is_edited_in_place(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"when": "first", "text": "one"}, {"when": "other", "text": "two"}])
    person.say("first")
    person.say("first again")
    person.press(Key.Key_Home, CONTROL)
    question = person.shown[0].id
    person.window.chat_page.transcript.begin_edit(str(question))
    person.press(Key.Key_A, CONTROL)
    person.type("other")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended):
        person.press(Key.Key_Return, CONTROL)
    assert person.texts == ["other", "two"]
    QTest.mouseMove(person.window.chat_page.transcript.viewport(), person.window.rect().center())
    person.profile.chat.select_version(person.shown[0].id, -1)
    assert person.texts == ["first", "one", "first again", "one"]


def test_an_edit_is_begun_by_key_and_left_by_escape(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "one"}])
    person.say("first")
    person.press(Key.Key_E, CONTROL)
    person.type(" more")
    person.press(Key.Key_Escape)
    assert person.texts == ["first", "one"]
    assert not person.profile.chat.is_streaming


def test_an_edit_leaves_the_draft_in_the_message_box_alone(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "one"}])
    person.say("first")
    person.box.setFocus()
    person.type("half a thought")
    person.press(Key.Key_E, CONTROL)
    person.type(" changed")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended):
        person.press(Key.Key_Return, CONTROL)
    assert person.texts == ["first changed", "one"]
    assert person.written == "half a thought"
    person.profile.conversations.flush_drafts()
    person.wait(lambda: person.stored("SELECT draft FROM conversations") == [("half a thought",)])


def test_a_fast_double_enter_sends_once(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "one"}])
    person.box.setFocus()
    person.type("go")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended):
        person.press(Key.Key_Return, times=2)
    person.qtbot.wait(50)
    assert person.texts == ["go", "one"]


def test_what_is_typed_right_after_enter_stays(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.box.setFocus()
    person.type("go")
    person.press(Key.Key_Return)
    person.type("and then")
    person.wait(lambda: person.is_streaming)
    assert person.texts[0] == "go"
    assert person.written == "and then"


def test_enter_while_an_answer_streams_sends_nothing_and_keeps_the_text(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.say_and_wait_for_words("go")
    person.type("next")
    person.press(Key.Key_Return)
    assert person.written == "next"
    assert len(person.shown) == 2


def test_an_interrupted_answer_is_regenerated(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.say_and_wait_for_words("go")
    person.press(Key.Key_Escape)
    person.wait(lambda: not person.is_streaming)
    stopped = person.answer.id
    person.press(Key.Key_R, CONTROL)
    person.wait(lambda: person.is_streaming and person.answer.id != stopped and len(person.answer.text) > 10)


def test_versions_during_an_answer_do_no_harm(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.say_and_wait_for_words("go")
    person.press(Key.Key_Escape)
    person.wait(lambda: not person.is_streaming)
    person.press(Key.Key_R, CONTROL)
    person.wait(lambda: person.is_streaming and len(person.answer.text) > 10)
    running = person.answer.id
    person.press(Key.Key_Left, ALT)
    QApplication.processEvents()
    person.press(Key.Key_Right, ALT)
    assert person.answer.id == running
    person.wait(lambda: len(person.answer.text) > 100)
    person.press(Key.Key_Escape)
    person.wait(lambda: state(person) is MessageState.STOPPED)


def test_the_last_answer_is_copied(open_window: OpenWindow, qapp: QApplication) -> None:
    person = open_window(answers=[{"text": "**Bold** words"}])
    person.say("go")
    person.press(Key.Key_C, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    assert qapp.clipboard().text() == "**Bold** words"
    assert person.notice == "The answer was copied."


def test_figures_and_context_are_shown(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "one two three"}])
    person.say("go")
    usage = person.answer.usage
    assert usage is not None
    assert usage.completion_tokens == 3
    meter = person.window.findChild(ContextMeter)
    person.wait(lambda: "4,096 tokens" in meter.words())


def test_a_sent_message_does_not_come_back_as_a_draft(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "one"}])
    person.say("first")
    person.say("second")
    person.qtbot.wait(600)  # longer than drafts wait to be written
    assert person.stored("SELECT draft FROM conversations") == [("",)]


def test_only_the_last_answer_offers_to_be_continued(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"when": "slow", **SLOW}, {"text": "quick"}])
    person.say_and_wait_for_words("slow")
    person.press(Key.Key_Escape)
    person.wait(lambda: state(person) is MessageState.STOPPED)
    assert person.sees_button("Continue answer")
    person.say("and now")
    assert not person.sees_button("Continue answer")
    first = person.window.chat_page.transcript._rows.widget_for(1)
    first.setFocus(Qt.FocusReason.TabFocusReason)
    assert len(person.buttons("Copy answer")) == 2
    assert not person.sees_button("Continue answer")


def test_an_edit_that_is_sent_while_an_answer_streams_stays_in_its_editor(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"when": "slow", **SLOW}, {"text": "quick"}])
    person.say("first")
    person.press(Key.Key_E, CONTROL)
    person.type(" changed")
    person.say_and_wait_for_words("slow")
    person.click("Save")
    assert person.sees_button("Save")
    assert "Stop it first" in person.notice
    person.press(Key.Key_L, CONTROL)
    person.press(Key.Key_Escape)
    person.wait(lambda: not person.is_streaming)
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.click("Save")
    assert person.texts == ["first changed", "quick"]


def test_a_message_of_a_megabyte_is_edited(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "quick"}], loads=[{"context_length": 1_000_000}])
    person.paste("x" * 1_000_000)
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.press(Key.Key_Return)
    person.press(Key.Key_E, CONTROL)
    person.type("yz")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.press(Key.Key_Return, CONTROL)
    assert person.texts == ["x" * 1_000_000 + "yz", "quick"]
