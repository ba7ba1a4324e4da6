"""Notices of the window: told on every page, each with its own action, taken away by key."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QWidget

from app.core.errors import ErrorKind, UserError
from app.ui.transcript.text_view import TextView
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import CONTROL

Key = Qt.Key
QUICK = {"text": "quick"}


@pytest.mark.parametrize("page", ["models", "trash", "settings", "help"])
def test_a_notice_is_told_on_the_page_that_is_shown(open_window: OpenWindow, page: str) -> None:
    person = open_window()
    person.window.show_page(page)
    person.profile.settings.save_failed.emit("the disk is full")
    assert "the disk is full" in person.notice
    person.window.show_page("chat")
    assert "the disk is full" in person.notice
    bar, box = person.button("Close the notice"), person.box
    assert bar.mapTo(person.window, QPoint()).y() < box.mapTo(person.window, QPoint()).y()
    person.window.show_page(page)
    assert "the disk is full" in person.notice


def test_a_page_has_the_whole_window_while_nothing_is_told(open_window: OpenWindow) -> None:
    person = open_window()
    for name in ("chat", "settings"):
        person.window.show_page(name)
        page = person.page(name)
        QApplication.processEvents()
        assert page.mapTo(person.window, QPoint(0, page.height())).y() == person.window.height()
    person.profile.settings.save_failed.emit("the disk is full")
    person.wait(lambda: page.mapTo(person.window, QPoint(0, page.height())).y() < person.window.height())


def test_each_undo_brings_back_its_own_chat(open_window: OpenWindow) -> None:
    person = open_window(answers=[QUICK, QUICK])
    person.say("first chat")
    person.press(Key.Key_N, CONTROL)
    person.say("second chat")
    person.wait(lambda: person.chats == ["Second chat", "First chat"])
    for _ in range(2):
        person.chat_list.setFocus()
        person.press(Key.Key_Home)
        person.press(Key.Key_Delete)
        person.qtbot.wait(100)
    person.wait(lambda: person.chats == [] and len(person.notices) == 2)
    undo_second = min(person.buttons("Undo"), key=lambda b: b.mapToGlobal(QPoint()).y())
    undo_second.click()
    person.wait(lambda: person.chats == ["Second chat"])
    assert person.notices == ["“First chat” was moved to the trash."]
    person.window.show_page("trash")
    person.click("Undo")
    person.wait(lambda: person.chats == ["Second chat", "First chat"])


def test_escape_takes_notices_away_one_by_one_once_nothing_streams(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "word ", "repeat": 2000, "tokens_per_second": 40}])
    person.say_and_wait_for_words("slow")
    person.window.notices.show_notice("One.")
    person.window.notices.show_notice("Two.")
    person.press(Key.Key_Escape)
    person.wait(lambda: not person.is_streaming)
    assert person.notices == ["One.", "Two."]
    person.press(Key.Key_Escape)
    assert person.notices == ["One."]
    person.window.show_page("models")
    person.press(Key.Key_Escape)
    assert person.notices == []
    assert person.page("models").isVisible()


@pytest.mark.parametrize("page", ["chat", "help"])
def test_f6_reaches_a_notice(open_window: OpenWindow, page: str) -> None:
    person = open_window()
    person.window.show_page(page)
    person.window.notices.show_notice("Moved.", "Undo", lambda: None)
    reached = []
    for _ in range(5):
        person.press(Key.Key_F6)
        reached.append(QApplication.focusWidget())
    assert person.button("Undo") in reached
    person.button("Undo").setFocus()
    person.press(Key.Key_Escape)
    assert person.notices == []
    assert person.window.pages.isAncestorOf(QApplication.focusWidget())


def test_a_failure_that_is_over_is_told_no_more(open_window: OpenWindow) -> None:
    person = open_window()
    page = person.window.chat_page
    person.window.show_page("models")
    page.show_failure(UserError(ErrorKind.DISK_FULL, path="x"))
    page.show_failure(UserError(ErrorKind.CORRUPT, path="x", reason="y"))
    assert len(person.notices) == 1
    page.clear_card()
    assert person.notices == []
    page.show_failure(UserError(ErrorKind.DISK_FULL, path="x"))
    person.press(Key.Key_1, CONTROL)
    assert person.notices == []
    assert person.card.title


def test_a_short_question_has_no_scroll_bar_after_the_chat_was_away(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "word\n\n" * 60}])
    person.say("How do tides work?")
    transcript = person.window.chat_page.transcript
    transcript.verticalScrollBar().setValue(0)
    person.wait(lambda: bool(question_bars(transcript)))
    person.window.show_page("models")
    person.window.chat_page.show_failure(UserError(ErrorKind.DISK_FULL, path="x"))
    person.window.resize(700, 600)
    person.qtbot.wait(100)
    person.window.show_page("chat")
    person.wait(lambda: bool(question_bars(transcript)))
    assert question_bars(transcript) == [Qt.ScrollBarPolicy.ScrollBarAlwaysOff]


def question_bars(transcript: QWidget) -> list[Qt.ScrollBarPolicy]:
    views = (view for view in transcript.findChildren(TextView) if view.isVisible())
    return [view.horizontalScrollBarPolicy() for view in views if "tides" in view.document().toPlainText()]
