from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QAbstractButton, QListWidget, QMessageBox
from pytestqt.qtbot import QtBot

from app.core.messages import Conversation, ConversationId
from app.paths import resources
from app.services.help_topics import load_help_topics
from app.ui.pages.help_page import HelpPage
from app.ui.pages.topic_browser import TopicBrowser
from app.ui.pages.trash_page import TrashPage
from app.ui.search_field import SearchField
from tests.ui.shell.values import NOW, TOPICS, Recorder


def click(widget: QAbstractButton, qtbot: QtBot) -> None:
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def button(parent: object, words: str) -> QAbstractButton:
    found = [b for b in parent.findChildren(QAbstractButton) if b.text() == words]
    assert len(found) == 1
    return found[0]


# -- help


@pytest.fixture
def help_page(qtbot: QtBot) -> HelpPage:
    page = HelpPage()
    qtbot.addWidget(page)
    page.resize(540, 500)
    page.set_topics(TOPICS)
    with qtbot.waitExposed(page):
        page.show()
    page.activateWindow()
    page.setFocus()
    return page


def search_of(page: HelpPage) -> SearchField:
    field = page.findChild(SearchField)
    assert field is not None
    return field


def test_help_shows_the_first_topic_and_all_in_order(help_page: HelpPage) -> None:
    assert help_page.shown_topics() == ["send", "new", "context"]
    assert help_page.current_topic() == "send"
    assert "Press Enter" in help_page.body_text()


def test_help_search_prefers_titles(qtbot: QtBot, help_page: HelpPage) -> None:
    qtbot.keyClicks(search_of(help_page), "CONTEXT")
    assert help_page.shown_topics() == ["new", "context"]
    assert help_page.current_topic() == "context"
    qtbot.keyClick(search_of(help_page), Qt.Key.Key_Escape)
    assert help_page.shown_topics() == ["send", "new", "context"]


def test_help_search_finds_keywords_and_says_when_nothing(qtbot: QtBot, help_page: HelpPage) -> None:
    qtbot.keyClicks(search_of(help_page), "window memory")
    assert help_page.shown_topics() == ["context"]
    qtbot.keyClicks(search_of(help_page), "zebra")
    assert help_page.shown_topics() == []
    assert help_page._nothing.isVisible()
    assert "zebra" in help_page._nothing.text()


def test_help_by_keyboard(qtbot: QtBot, help_page: HelpPage) -> None:
    qtbot.keyClick(search_of(help_page), Qt.Key.Key_Down)
    topics = help_page.findChild(QListWidget)
    assert topics is not None
    assert topics.hasFocus()
    qtbot.keyClick(topics, Qt.Key.Key_Down)
    assert help_page.current_topic() == "new"
    qtbot.keyClick(topics, Qt.Key.Key_Down)  # over the heading
    assert help_page.current_topic() == "context"
    qtbot.keyClick(topics, Qt.Key.Key_Home)
    assert help_page.current_topic() == "send"


def test_help_topic_by_id(help_page: HelpPage) -> None:
    help_page.show_topic("context")
    assert help_page.current_topic() == "context"
    help_page.show_topic("unknown")
    assert help_page.current_topic() == "context"


def test_help_text_loads_nothing_and_knows_no_html(qtbot: QtBot, tmp_path: Path) -> None:
    picture = tmp_path / "x.png"
    picture.write_bytes(b"")
    browser = TopicBrowser()
    qtbot.addWidget(browser)
    browser.show_markdown(f"![x]({picture.as_uri()}) <b>bold</b> <img src='{picture.as_uri()}'>")
    assert browser.loadResource(QTextDocument.ResourceType.ImageResource.value, QUrl(picture.as_uri())) is None
    assert "<b>" in browser.toPlainText() or "bold" in browser.toPlainText()
    assert not browser.openLinks()


def test_the_topics_that_come_with_the_app(qtbot: QtBot, help_page: HelpPage) -> None:
    topics = load_help_topics(resources() / "help" / "en.json")
    assert topics
    help_page.set_topics(topics)
    for topic in topics:
        help_page.show_topic(topic.id)
        assert help_page.current_topic() == topic.id
        assert topic.title in help_page.body_text()


# -- trash


def trashed(number: int, title: str, days_ago: float) -> Conversation:
    return Conversation(ConversationId(f"c{number}"), title, deleted_at=NOW - timedelta(days=days_ago))


@pytest.fixture
def trash_page(qtbot: QtBot) -> TrashPage:
    page = TrashPage()
    qtbot.addWidget(page)
    page.resize(540, 500)
    page.set_conversations([trashed(0, "Old", 29.5), trashed(1, "New", 0.1), trashed(2, "", 5)], NOW)
    with qtbot.waitExposed(page):
        page.show()
    page.activateWindow()
    return page


def trash_rows(page: TrashPage) -> list[str]:
    items = page.findChild(QListWidget)
    assert items is not None
    return [items.item(row).data(Qt.ItemDataRole.AccessibleTextRole) for row in range(items.count())]


def trash_list(page: TrashPage) -> QListWidget:
    items = page.findChild(QListWidget)
    assert items is not None
    items.setFocus()
    return items


def test_trash_tells_when_and_how_long(trash_page: TrashPage) -> None:
    new, untitled, old = trash_rows(trash_page)
    assert new.startswith("New, Deleted on ")
    assert new.endswith("30 days left")
    assert untitled.startswith("New chat, ")
    assert old.endswith("1 day left")


def test_restore_by_key_and_button(qtbot: QtBot, trash_page: TrashPage) -> None:
    items = trash_list(trash_page)
    assert not button(trash_page, "Restore").isEnabled()
    items.setCurrentRow(0)
    with qtbot.waitSignal(trash_page.restore_requested) as restored:
        qtbot.keyClick(items, Qt.Key.Key_Return)
    assert restored.args == ["c1"]
    items.selectAll()
    told = Recorder()
    trash_page.restore_requested.connect(told)
    click(button(trash_page, "Restore"), qtbot)
    assert sorted(told.calls) == [("c0",), ("c1",), ("c2",)]


def open_question(qtbot: QtBot, page: TrashPage) -> QMessageBox:
    box: QMessageBox | None = page.findChild(QMessageBox)
    assert box is not None
    qtbot.waitUntil(box.isVisible)
    return box


def test_deleting_for_ever_is_asked_first(qtbot: QtBot, trash_page: TrashPage) -> None:
    items = trash_list(trash_page)
    items.setCurrentRow(2)
    told = Recorder()
    trash_page.delete_requested.connect(told)
    qtbot.keyClick(items, Qt.Key.Key_Delete)
    question = open_question(qtbot, trash_page)
    assert question.text() == "Delete this chat for ever?"
    question.button(QMessageBox.StandardButton.Cancel).click()
    assert told.calls == []
    qtbot.waitUntil(lambda: trash_page.findChild(QMessageBox) is None)
    click(button(trash_page, "Delete for ever"), qtbot)
    button(open_question(qtbot, trash_page), "Delete for ever").click()
    assert told.calls == [("c0",)]
    qtbot.waitUntil(lambda: trash_page.findChild(QMessageBox) is None)


def test_only_what_was_asked_about_is_deleted(qtbot: QtBot, trash_page: TrashPage) -> None:
    items = trash_list(trash_page)
    items.setCurrentRow(2)
    told = Recorder()
    trash_page.delete_requested.connect(told)
    qtbot.keyClick(items, Qt.Key.Key_Delete)
    question = open_question(qtbot, trash_page)
    trash_page.set_conversations([trashed(1, "New", 0.1)], NOW)  # its thirty days are over
    button(question, "Delete for ever").click()
    assert told.calls == [("c0",)]
    qtbot.waitUntil(lambda: trash_page.findChild(QMessageBox) is None)


def test_emptying_is_asked_first(qtbot: QtBot, trash_page: TrashPage) -> None:
    click(button(trash_page, "Empty trash"), qtbot)
    question = open_question(qtbot, trash_page)
    assert question.text() == "Delete all 3 chats in the trash for ever?"
    with qtbot.waitSignal(trash_page.empty_requested):
        button(question, "Empty trash").click()
    qtbot.waitUntil(lambda: trash_page.findChild(QMessageBox) is None)


def test_the_next_row_is_selected_when_one_goes(trash_page: TrashPage) -> None:
    trash_list(trash_page).setCurrentRow(1)
    trash_page.set_conversations([trashed(0, "Old", 29.5), trashed(1, "New", 0.1)], NOW)
    assert trash_page.selected_ids() == ["c0"]


def test_an_empty_trash_says_so(trash_page: TrashPage) -> None:
    trash_page.set_conversations([], NOW)
    assert trash_page._empty.isVisible()
    assert not button(trash_page, "Empty trash").isEnabled()
