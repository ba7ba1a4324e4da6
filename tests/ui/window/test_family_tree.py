"""The family tree over the recommended models, in the real window, by keys."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from app.ui.buttons import Button
from app.ui.models.family_tree import FamilyTree
from app.ui.models.page import ModelsPage
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import CONTROL, Person


def open_tree(person: Person) -> tuple[ModelsPage, FamilyTree]:
    person.click("Models")
    page = person.page("models")
    assert isinstance(page, ModelsPage)
    person.wait(lambda: bool(page.recommended.list.rows))
    person.click("Family tree", page)
    (tree,) = page.findChildren(FamilyTree)
    return page, tree


def test_the_tree_is_searched_and_left_by_keys(open_window: OpenWindow) -> None:
    person = open_window(loads=[{}])
    page, tree = open_tree(person)
    assert tree.picture.hasFocus()
    person.press(Qt.Key.Key_F, CONTROL)
    person.type("zephyr")
    person.press(Qt.Key.Key_Return)
    assert tree.picture.hasFocus()
    assert "zephyr" in tree.current_id
    found = tree.current_id
    person.press(Qt.Key.Key_Return)
    sheet = page.recommended.sheet()
    assert sheet is not None
    assert sheet.key == found
    assert not tree.isVisible()
    focused = QApplication.focusWidget()
    assert focused is not None
    assert page.recommended.isAncestorOf(focused)


def test_escape_leads_back_to_where_the_tree_was_opened(open_window: OpenWindow) -> None:
    person = open_window(loads=[{}])
    page, tree = open_tree(person)
    person.press(Qt.Key.Key_Escape)
    assert not tree.isVisible()
    focused = QApplication.focusWidget()
    assert isinstance(focused, Button)
    assert focused.text() == "Family tree"
    person.click("Family tree", page)
    assert tree.isVisible()
    assert len(page.findChildren(FamilyTree)) == 1
