"""Chats in the sidebar: titles, switching, drafts, renaming, the trash, while answers stream."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QListWidget, QMessageBox

from app.core.messages import (
    Conversation,
    Message,
    MessageId,
    MessageState,
    Role,
    TextPart,
    new_conversation_id,
    new_message_id,
    utc_now,
)
from app.services.store import Stores
from tests.ui.window.conftest import OpenWindow, quit_hearth
from tests.ui.window.person import CONTROL, Person

SLOW = {"when": "slow", "text": "word ", "repeat": 10_000, "tokens_per_second": 200}
QUICK = {"text": "quick"}
Key = Qt.Key


def two_chats(open_window: OpenWindow, **more: object) -> Person:
    person = open_window(answers=[SLOW, QUICK], **more)
    person.say("first chat")
    person.press(Key.Key_N, CONTROL)
    person.say("second chat")
    person.wait(lambda: person.chats == ["Second chat", "First chat"])
    return person


def test_switching_by_click_and_by_key(open_window: OpenWindow) -> None:
    person = two_chats(open_window)
    person.click_chat("First chat")
    person.wait(lambda: person.texts == ["first chat", "quick"])
    assert person.window.windowTitle() == "First chat – Hearth"
    person.press(Key.Key_PageUp, CONTROL)
    person.wait(lambda: person.texts == ["second chat", "quick"])
    person.press(Key.Key_PageDown, CONTROL)
    person.wait(lambda: person.texts == ["first chat", "quick"])
    assert QApplication.focusWidget() is person.box


def test_an_answer_goes_on_behind_another_chat(open_window: OpenWindow) -> None:
    person = two_chats(open_window)
    person.click_chat("First chat")
    person.wait(lambda: person.texts[:1] == ["first chat"])
    person.say_and_wait_for_words("slow")
    person.click_chat("Second chat")
    person.wait(lambda: person.texts == ["second chat", "quick"])
    assert person.sees_button("Send")
    person.qtbot.wait(200)
    person.click_chat("First chat")
    person.wait(lambda: person.is_streaming and len(person.answer.text) > 100)
    assert person.sees_button("Stop")
    shown = len(person.answer.text)
    person.wait(lambda: len(person.answer.text) > shown)
    words = person.answer.text
    assert words == "word " * (len(words) // 5) + "word "[: len(words) % 5], "nothing twice, nothing missing"
    person.press(Key.Key_Escape)
    person.wait(lambda: person.answer.state is MessageState.STOPPED)


def test_a_question_waits_for_the_answer_in_another_chat(open_window: OpenWindow) -> None:
    person = open_window(answers=[{**SLOW, "repeat": 100}, QUICK])
    person.say_and_wait_for_words("slow")
    person.press(Key.Key_N, CONTROL)
    person.send("me too")
    person.wait(lambda: person.texts == ["me too", "quick"] and not person.is_streaming)


def test_fast_switching_ends_at_the_last_one(open_window: OpenWindow) -> None:
    person = two_chats(open_window)
    for _ in range(5):
        person.click_chat("First chat")
        person.click_chat("Second chat")
    person.qtbot.wait(300)
    assert person.texts == ["second chat", "quick"]
    assert person.window.windowTitle() == "Second chat – Hearth"


def test_drafts_belong_to_their_chats_and_survive_a_restart(open_window: OpenWindow) -> None:
    person = two_chats(open_window)
    person.type("to the second")
    person.click_chat("First chat")
    person.wait(lambda: person.texts[:1] == ["first chat"])
    assert person.written == ""
    person.box.setFocus()
    person.type("to the first")
    person.click_chat("Second chat")
    person.wait(lambda: person.written == "to the second")
    quit_hearth(person.window, person.profile)
    again = open_window(answers=[QUICK])
    again.wait(lambda: again.texts == ["second chat", "quick"])
    assert again.written == "to the second"
    again.click_chat("First chat")
    again.wait(lambda: again.written == "to the first")


def test_trash_and_undo_by_the_notice(open_window: OpenWindow) -> None:
    person = two_chats(open_window)
    person.chat_list.setFocus()
    person.press(Key.Key_Delete)
    person.wait(lambda: person.chats == ["First chat"])
    assert person.notice == "“Second chat” was moved to the trash."
    assert person.shown == []
    person.click("Undo")
    person.wait(lambda: person.chats == ["Second chat", "First chat"])
    person.chat_list.setFocus()
    person.press(Key.Key_Home)
    person.press(Key.Key_Delete)
    person.wait(lambda: person.chats == ["First chat"])
    person.press(Key.Key_Z, CONTROL)
    person.wait(lambda: person.chats == ["Second chat", "First chat"])


def test_the_chat_that_streams_goes_to_the_trash(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW, QUICK])
    person.say_and_wait_for_words("slow one")
    person.wait(lambda: person.chats == ["Slow one"])
    person.chat_list.setFocus()
    person.press(Key.Key_Delete)
    person.wait(lambda: person.chats == [] and not person.profile.chat.answers.conversations)
    person.click("Undo")
    person.wait(lambda: person.chats == ["Slow one"])
    person.click_chat("Slow one")
    person.wait(lambda: person.texts[:1] == ["slow one"])
    assert person.answer.state is MessageState.STOPPED
    assert person.answer.text.startswith("word")
    person.say("and now")
    assert person.answer.text == "quick"


def test_the_trash_page_restores_and_deletes(open_window: OpenWindow) -> None:
    person = two_chats(open_window)
    for _ in range(2):
        person.chat_list.setFocus()
        person.press(Key.Key_Home)
        person.press(Key.Key_Delete)
        person.qtbot.wait(100)
    person.wait(lambda: person.chats == [])
    person.click("Trash")
    page = person.page("trash")
    trashed = page.findChild(QListWidget)
    person.wait(lambda: trashed.count() == 2)
    person.press(Key.Key_Home)
    person.press(Key.Key_Space)
    person.wait(lambda: len(page.selected_ids()) == 1)
    person.click("Restore")
    person.wait(lambda: len(person.chats) == 1 and trashed.count() == 1)
    trashed.setFocus()
    person.press(Key.Key_A, CONTROL)
    person.press(Key.Key_Delete)
    question = page.findChild(QMessageBox)
    person.wait(lambda: question.isVisible())
    agree = next(b for b in question.findChildren(QAbstractButton) if b.text() == "Delete for ever")
    QTest.mouseClick(agree, Qt.MouseButton.LeftButton)
    person.wait(lambda: trashed.count() == 0)
    assert person.stored("SELECT COUNT(*) FROM conversations") == [(1,)]
    assert person.stored("SELECT COUNT(*) FROM messages") == [(2,)]


def test_renaming_while_the_answer_streams(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.say_and_wait_for_words("slow one")
    person.wait(lambda: person.chats == ["Slow one"])
    person.chat_list.setFocus()
    person.press(Key.Key_F2)
    person.press(Key.Key_A, CONTROL)
    person.type("My own title")
    person.qtbot.wait(600)
    person.press(Key.Key_Return)
    person.wait(lambda: person.chats == ["My own title"])
    person.wait(lambda: person.window.windowTitle() == "My own title – Hearth")
    person.box.setFocus()
    person.press(Key.Key_Escape)
    person.wait(lambda: person.answer.state is MessageState.STOPPED)
    person.press(Key.Key_G, CONTROL)
    person.wait(lambda: person.is_streaming)
    person.press(Key.Key_Escape)
    person.wait(lambda: not person.is_streaming)
    assert person.chats == ["My own title"]
    assert person.stored("SELECT title, title_is_custom FROM conversations") == [("My own title", 1)]


def test_a_renamed_chat_keeps_its_title_when_it_goes_on(open_window: OpenWindow) -> None:
    person = open_window(answers=[QUICK])
    person.say("first chat")
    person.wait(lambda: person.chats == ["First chat"])
    person.profile.conversations.rename(person.profile.chat.current.conversation.id, "Mine")
    person.wait(lambda: person.chats == ["Mine"])
    person.say("more")
    person.qtbot.wait(100)
    assert person.chats == ["Mine"]
    assert person.window.windowTitle() == "Mine – Hearth"


def test_the_filter_finds_titles(open_window: OpenWindow) -> None:
    person = two_chats(open_window)
    person.press(Key.Key_F, CONTROL)
    person.type("fir")
    person.wait(lambda: person.chats == ["First chat"])
    person.press(Key.Key_Escape)
    person.wait(lambda: len(person.chats) == 2)


def test_the_title_of_an_odd_first_message(open_window: OpenWindow) -> None:
    person = open_window(answers=[QUICK])
    person.paste("\n\n   ```python\nprint('x')\n```")
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.press(Key.Key_Return)
    person.wait(lambda: len(person.chats) == 1)
    assert person.chats[0].strip()


def test_an_example_starts_a_chat_and_leaves_the_draft(open_window: OpenWindow) -> None:
    person = open_window(answers=[QUICK])
    person.box.setFocus()
    person.type("half a thought")
    examples = [b for b in person.window.chat_page.welcome.findChildren(QAbstractButton) if b.isVisible()]
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        QTest.mouseClick(examples[0], Qt.MouseButton.LeftButton)
    assert len(person.shown) == 2
    assert person.written == "half a thought"


def test_a_new_chat_is_not_made_twice(open_window: OpenWindow) -> None:
    person = two_chats(open_window)
    person.press(Key.Key_N, CONTROL, times=3)
    person.qtbot.wait(200)
    assert len(person.chats) == 2
    assert person.stored("SELECT COUNT(*) FROM conversations") == [(2,)]


@pytest.fixture
def long_chat() -> tuple[Conversation, list[Message]]:
    conversation = Conversation(new_conversation_id(), "Long chat", updated_at=utc_now() - timedelta(days=3))
    messages: list[Message] = []
    parent: MessageId | None = None
    for number in range(5_000):
        role = Role.ASSISTANT if number % 2 else Role.USER
        text = f"Message {number}. " + ("Some **words** with `code` in a row. " * (number % 7 + 1))
        message = Message(new_message_id(), conversation.id, parent, role, (TextPart(text),), MessageState.COMPLETE)
        messages.append(message)
        parent = message.id
    return conversation, messages


def test_a_chat_of_5000_messages_opens_at_its_end(
    open_window: OpenWindow, long_chat: tuple[Conversation, list[Message]], tmp_path: Path
) -> None:
    conversation, messages = long_chat
    person = open_window(answers=[QUICK], loads=[{"context_length": 1_000_000}])

    def fill(stores: Stores) -> None:
        stores.conversations.save_exchange(conversation, messages, messages[-1].id)

    person.profile.store.run(fill, lambda _: person.profile.conversations.refresh())
    person.wait(lambda: person.chats == ["Long chat"])
    person.click_chat("Long chat")
    person.wait(lambda: len(person.shown) == 5_000)
    bar = person.window.chat_page.transcript.verticalScrollBar()
    assert bar.value() == bar.maximum() > 10_000
    person.say("and now")
    assert person.answer.text == "quick"
    person.window.chat_page.transcript.setFocus()
    person.press(Key.Key_Home)
    assert bar.value() == 0
    for _ in range(20):
        person.press(Key.Key_PageDown)
        QApplication.processEvents()
    person.press(Key.Key_End)
    assert bar.value() == bar.maximum()
