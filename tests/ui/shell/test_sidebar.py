from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QContextMenuEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu
from pytestqt.qtbot import QtBot

from app.core.messages import Conversation, ConversationId
from app.ui.buttons import Button
from app.ui.conversation_list import ConversationListModel
from app.ui.conversation_view import ConversationView
from app.ui.sidebar import Sidebar
from app.ui.theme import LIGHT

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TODAY = date(2026, 3, 10)
TITLES = ["Baking bread", "Trip to Oslo", "Bread again", "خبز بدون خميرة", ""]


def conversation(number: int, title: str, days_ago: float) -> Conversation:
    return Conversation(ConversationId(f"c{number}"), title, updated_at=NOW - timedelta(days=days_ago))


@pytest.fixture
def conversations() -> list[Conversation]:
    return [
        conversation(n, title, days) for n, (title, days) in enumerate(zip(TITLES, (0, 0.1, 1, 40, 400), strict=True))
    ]


@pytest.fixture
def sidebar(qtbot: QtBot, conversations: list[Conversation]) -> Sidebar:
    sidebar = Sidebar(zone=UTC)
    qtbot.addWidget(sidebar)
    sidebar.resize(260, 600)
    sidebar.set_conversations(conversations, TODAY, {ConversationId("c1")})
    with qtbot.waitExposed(sidebar):
        sidebar.show()
    sidebar.activateWindow()
    return sidebar


def view_of(sidebar: Sidebar) -> ConversationView:
    view = sidebar.findChild(ConversationView)
    assert view is not None
    return view


def filter_of(sidebar: Sidebar) -> QLineEdit:
    box = sidebar.findChild(QLineEdit)
    assert box is not None
    return box


def rows(sidebar: Sidebar) -> list[str]:
    model = view_of(sidebar).model()
    return [str(model.index(row, 0).data()) for row in range(model.rowCount())]


def go_to(sidebar: Sidebar, conversation_id: str) -> None:
    view = view_of(sidebar)
    model = view.model()
    assert isinstance(model, ConversationListModel)
    view.setCurrentIndex(model.index_of(conversation_id))
    sidebar.focus_list()


def spoken(sidebar: Sidebar, conversation_id: str) -> str:
    model = view_of(sidebar).model()
    assert isinstance(model, ConversationListModel)
    return str(model.index_of(conversation_id).data(Qt.ItemDataRole.AccessibleTextRole))


def test_groups_newest_first(sidebar: Sidebar) -> None:
    today, yesterday = ["Today", "Baking bread", "Trip to Oslo"], ["Yesterday", "Bread again"]
    months = ["January", "خبز بدون خميرة", "February 2025", "New chat"]
    assert rows(sidebar) == [*today, *yesterday, *months]
    assert sidebar.shown_ids() == ["c0", "c1", "c2", "c3", "c4"]


def test_rows_tell_screen_readers_what_the_eye_sees(sidebar: Sidebar) -> None:
    sidebar.set_current("c0")
    assert spoken(sidebar, "c0") == "Baking bread, Today, open"
    assert spoken(sidebar, "c1") == "Trip to Oslo, Today, answering"
    assert spoken(sidebar, "c2") == "Bread again, Yesterday"


def test_filter_shows_titles_with_every_word_and_escape_clears(qtbot: QtBot, sidebar: Sidebar) -> None:
    sidebar.focus_filter()
    qtbot.keyClicks(filter_of(sidebar), "BREAD")
    assert sidebar.shown_ids() == ["c0", "c2"]
    qtbot.keyClicks(filter_of(sidebar), " again")
    assert sidebar.shown_ids() == ["c2"]
    qtbot.keyClick(filter_of(sidebar), Qt.Key.Key_Escape)
    assert filter_of(sidebar).text() == ""
    assert len(sidebar.shown_ids()) == len(TITLES)


def test_filter_without_result_says_so(qtbot: QtBot, sidebar: Sidebar) -> None:
    qtbot.keyClicks(filter_of(sidebar), "zebra")
    assert sidebar._empty.isVisible()
    assert sidebar._empty.text() == "No chat has a title like this."
    filter_of(sidebar).clear()
    assert not sidebar._empty.isVisible()


def test_an_empty_list_says_what_will_be_there(sidebar: Sidebar) -> None:
    sidebar.set_conversations([], TODAY, set())
    assert sidebar._empty.isVisible()
    assert "listed here" in sidebar._empty.text()


def test_the_focus_stays_when_the_last_chat_goes(qtbot: QtBot, sidebar: Sidebar) -> None:
    go_to(sidebar, "c0")
    sidebar.set_conversations([], TODAY, set())
    assert sidebar.list_has_focus()
    with qtbot.waitSignal(sidebar.undo_requested):
        qtbot.keyClick(view_of(sidebar), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)


def test_keys_move_over_headings_and_enter_opens(qtbot: QtBot, sidebar: Sidebar) -> None:
    go_to(sidebar, "c0")
    view = view_of(sidebar)
    for key, expected in (
        (Qt.Key.Key_Down, "c1"),
        (Qt.Key.Key_Down, "c2"),
        (Qt.Key.Key_Up, "c1"),
        (Qt.Key.Key_End, "c4"),
        (Qt.Key.Key_Home, "c0"),
    ):
        qtbot.keyClick(view, key)
        assert view.current_conversation() == expected
    with qtbot.waitSignal(sidebar.opened) as opened:
        qtbot.keyClick(view, Qt.Key.Key_Return)
    assert opened.args == ["c0"]


def test_typing_goes_to_a_title(qtbot: QtBot, sidebar: Sidebar) -> None:
    go_to(sidebar, "c0")
    qtbot.keyClicks(view_of(sidebar), "tri")
    assert view_of(sidebar).current_conversation() == "c1"


def test_down_in_the_filter_leads_to_the_list(qtbot: QtBot, sidebar: Sidebar) -> None:
    sidebar.focus_filter()
    qtbot.keyClick(filter_of(sidebar), Qt.Key.Key_Down)
    assert sidebar.list_has_focus()
    assert view_of(sidebar).current_conversation() == "c0"


def test_a_click_opens(qtbot: QtBot, sidebar: Sidebar) -> None:
    view = view_of(sidebar)
    model = view.model()
    assert isinstance(model, ConversationListModel)
    place = view.visualRect(model.index_of("c2")).center()
    with qtbot.waitSignal(sidebar.opened) as opened:
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert opened.args == ["c2"]


def edit_title(qtbot: QtBot, sidebar: Sidebar, conversation_id: str) -> QLineEdit:
    go_to(sidebar, conversation_id)
    qtbot.keyClick(view_of(sidebar), Qt.Key.Key_F2)
    editor = view_of(sidebar).findChild(QLineEdit)
    assert editor is not None
    assert editor.accessibleName()
    return editor


def test_rename_in_place(qtbot: QtBot, sidebar: Sidebar) -> None:
    editor = edit_title(qtbot, sidebar, "c0")
    assert editor.selectedText() == "Baking bread"
    qtbot.keyClicks(editor, "  Sourdough ")
    with qtbot.waitSignal(sidebar.rename_requested) as renamed:
        qtbot.keyClick(editor, Qt.Key.Key_Return)
    assert renamed.args == ["c0", "Sourdough"]


@pytest.mark.parametrize("typed", ["", "   ", "Baking bread"])
def test_a_title_without_change_is_no_rename(qtbot: QtBot, sidebar: Sidebar, typed: str) -> None:
    editor = edit_title(qtbot, sidebar, "c0")
    editor.setText(typed)
    with qtbot.assertNotEmitted(sidebar.rename_requested):
        qtbot.keyClick(editor, Qt.Key.Key_Return)


def test_escape_drops_the_new_title(qtbot: QtBot, sidebar: Sidebar) -> None:
    editor = edit_title(qtbot, sidebar, "c0")
    qtbot.keyClicks(editor, "Other")
    with qtbot.assertNotEmitted(sidebar.rename_requested):
        qtbot.keyClick(editor, Qt.Key.Key_Escape)


def test_news_wait_until_the_title_is_typed(qtbot: QtBot, sidebar: Sidebar, conversations: list[Conversation]) -> None:
    editor = edit_title(qtbot, sidebar, "c2")
    sidebar.set_conversations(conversations[:3][::-1], TODAY, set())
    assert editor.isVisible()
    assert len(sidebar.shown_ids()) == 5
    qtbot.keyClick(editor, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: len(sidebar.shown_ids()) == 3)


def test_delete_key_trashes_and_the_cursor_stays_near(
    qtbot: QtBot, sidebar: Sidebar, conversations: list[Conversation]
) -> None:
    go_to(sidebar, "c1")
    with qtbot.waitSignal(sidebar.trash_requested) as trashed:
        qtbot.keyClick(view_of(sidebar), Qt.Key.Key_Delete)
    assert trashed.args == ["c1"]
    sidebar.set_conversations([c for c in conversations if c.id != "c1"], TODAY, set())
    assert view_of(sidebar).current_conversation() == "c2"


def test_undo_key(qtbot: QtBot, sidebar: Sidebar) -> None:
    go_to(sidebar, "c1")
    with qtbot.waitSignal(sidebar.undo_requested):
        qtbot.keyClick(view_of(sidebar), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)


def open_menu(sidebar: Sidebar) -> QMenu:
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def test_menu_by_mouse(qtbot: QtBot, sidebar: Sidebar) -> None:
    view = view_of(sidebar)
    model = view.model()
    assert isinstance(model, ConversationListModel)
    place = view.visualRect(model.index_of("c3")).center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, view.viewport().mapToGlobal(place))
    QApplication.sendEvent(view.viewport(), event)
    menu = open_menu(sidebar)
    assert [action.text() for action in menu.actions()] == ["Rename…", "Move to trash"]
    with qtbot.waitSignal(sidebar.trash_requested) as trashed:
        menu.actions()[1].trigger()
    assert trashed.args == ["c3"]
    menu.close()


@pytest.mark.parametrize("by", ["menu key", "shift+f10"])
def test_menu_by_keyboard(qtbot: QtBot, sidebar: Sidebar, by: str) -> None:
    go_to(sidebar, "c1")
    view = view_of(sidebar)
    if by == "menu key":
        event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(0, 0), view.mapToGlobal(QPoint(0, 0)))
        QApplication.sendEvent(view, event)
    else:
        qtbot.keyClick(view, Qt.Key.Key_F10, Qt.KeyboardModifier.ShiftModifier)
    menu = open_menu(sidebar)
    with qtbot.waitSignal(sidebar.trash_requested) as trashed:
        menu.actions()[1].trigger()
    assert trashed.args == ["c1"]
    menu.close()


def test_no_menu_on_a_heading(sidebar: Sidebar) -> None:
    view = view_of(sidebar)
    place = view.visualRect(view.model().index(0, 0)).center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, view.viewport().mapToGlobal(place))
    QApplication.sendEvent(view.viewport(), event)
    assert QApplication.activePopupWidget() is None


def test_buttons(qtbot: QtBot, sidebar: Sidebar) -> None:
    with qtbot.waitSignal(sidebar.new_requested):
        qtbot.mouseClick(sidebar._new, Qt.MouseButton.LeftButton)
    for page in ("models", "trash", "settings", "help"):
        sidebar.add_page(page, page.title())
        with qtbot.waitSignal(sidebar.page_requested) as requested:
            qtbot.mouseClick(sidebar._page_buttons[page], Qt.MouseButton.LeftButton)
        assert requested.args == [page]
    sidebar.set_page("trash")
    assert [name for name, button in sidebar._page_buttons.items() if button.isChecked()] == ["trash"]


def test_a_change_of_title_keeps_scrolling_and_cursor(qtbot: QtBot, sidebar: Sidebar) -> None:
    many = [conversation(n, f"Chat {n}", n / 24) for n in range(3000)]
    sidebar.set_conversations(many, TODAY, set())
    go_to(sidebar, "c2000")
    view = view_of(sidebar)
    scrolled = view.verticalScrollBar().value()
    assert scrolled > 0
    many[5] = conversation(5, "Renamed", 5 / 24)
    sidebar.set_conversations(many, TODAY, {many[7].id})
    assert view.verticalScrollBar().value() == scrolled
    assert view.current_conversation() == "c2000"
    assert "Renamed" in rows(sidebar)


def test_opening_another_chat_brings_it_into_view(sidebar: Sidebar) -> None:
    many = [conversation(n, f"Chat {n}", n / 24) for n in range(500)]
    sidebar.set_conversations(many, TODAY, set())
    sidebar.set_current("c400")
    assert sidebar.current_id() == "c400"
    view = view_of(sidebar)
    assert view.viewport().rect().intersects(view.visualRect(view.currentIndex()))
    sidebar.set_current("c0")
    assert view.verticalScrollBar().value() == 0


def test_a_page_shows_how_far_something_is(sidebar: Sidebar) -> None:
    sidebar.add_page("models", "Models")
    QApplication.processEvents()
    button = next(each for each in sidebar.findChildren(Button) if each.text() == "Models")

    def filled_px() -> int:
        line = button.grab().toImage()
        colors = [line.pixelColor(x, line.height() - 1) for x in range(line.width())]
        return sum(color == QColor(LIGHT.accent) for color in colors)

    assert filled_px() == 0
    sidebar.set_progress("models", 0.25, "Downloads: 25 %")
    quarter = filled_px()
    assert 0 < quarter < button.width() / 3
    assert button.accessibleDescription() == button.toolTip() == "Downloads: 25 %"
    sidebar.set_progress("models", 0.75, "Downloads: 75 %")
    assert 2 * quarter < filled_px() < button.width()
    sidebar.set_progress("models", None, "")
    assert filled_px() == 0
