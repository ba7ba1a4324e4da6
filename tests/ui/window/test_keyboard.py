"""Everything by keyboard: every shortcut does something, Tab reaches everything, everything has a name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QAction
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from app.core.errors import ErrorKind, UserError
from app.ui.shortcuts import SHORTCUTS
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import ALT, CONTROL, Person

Key = Qt.Key
CONTROLS = (
    QAbstractButton, QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QTextEdit,
)  # fmt: skip
PAGES = ("chat", "models", "trash", "settings", "help")


def is_inner(widget: QWidget) -> bool:
    """A part of one of Qt's own controls."""
    return isinstance(widget.parent(), QAbstractSpinBox | QLineEdit | QComboBox)


def controls(person: Person) -> Iterator[QWidget]:
    for widget in person.window.findChildren(QWidget):
        if isinstance(widget, CONTROLS) and widget.isVisible() and widget.isEnabled() and not is_inner(widget):
            yield widget


def a_chat(open_window: OpenWindow) -> Person:
    person = open_window(answers=[{"text": "Some **words**.\n\n```python\nx = 1\n```\n\n[link](https://example.org)"}])
    person.say("hello")
    person.press(Key.Key_R, CONTROL)
    person.wait(lambda: not person.is_streaming and person.profile.chat.current.tree.versions(
        person.answer.id).count == 2)  # fmt: skip
    return person


@pytest.mark.parametrize("page", PAGES)
def test_every_control_has_a_name(open_window: OpenWindow, page: str) -> None:
    person = a_chat(open_window)
    person.window.show_page(page)
    nameless = []
    for widget in controls(person):
        interface = QAccessible.queryAccessibleInterface(widget)
        if widget.focusPolicy() != Qt.FocusPolicy.NoFocus and not interface.text(QAccessible.Text.Name).strip():
            nameless.append((type(widget).__name__, widget.parent()))
    assert not nameless


@pytest.mark.parametrize("page", PAGES)
def test_tab_walks_through_everything(open_window: OpenWindow, page: str) -> None:
    person = a_chat(open_window)
    person.window.show_page(page)
    QApplication.processEvents()
    wanted = {w for w in controls(person) if w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.focusProxy() is None}
    seen: set[QWidget] = set()
    for _ in range(120):
        person.press(Key.Key_Tab)
        focused = QApplication.focusWidget()
        assert focused is not None
        if focused in seen and wanted <= seen:
            break
        seen.add(focused)
    left = [f"{type(w).__name__} {w.accessibleName()!r}" for w in wanted - seen if w.isVisible() and w.isEnabled()]
    assert not left
    person.press(Key.Key_Backtab, Qt.KeyboardModifier.ShiftModifier)
    assert QApplication.focusWidget() is not None


def test_f6_goes_round(open_window: OpenWindow) -> None:
    person = a_chat(open_window)
    person.box.setFocus()
    stops = []
    for _ in range(4):
        person.press(Key.Key_F6)
        focused = QApplication.focusWidget()
        assert focused is not None
        parts = (person.window.sidebar, person.window.chat_page.transcript, person.window.chat_page.composer)
        stops.append(next(n for n, part in enumerate(parts) if part is focused or part.isAncestorOf(focused)))
    assert stops == [0, 1, 2, 0]
    for page in ("models", "settings", "help"):
        person.window.show_page(page)
        places = set()
        for _ in range(3):
            person.press(Key.Key_F6)
            places.add(person.window.sidebar.isAncestorOf(QApplication.focusWidget()))
        assert places == {True, False}, page


def test_f6_leaves_a_message_in_the_middle_of_the_transcript(open_window: OpenWindow) -> None:
    person = a_chat(open_window)
    person.window.chat_page.transcript.setFocus()
    person.press(Key.Key_Tab, times=3)
    person.press(Key.Key_F6)
    assert QApplication.focusWidget() is person.box


def test_every_shortcut_of_the_window_has_an_action(open_window: OpenWindow) -> None:
    person = open_window()
    names = {action.objectName() for action in person.window.findChildren(QAction)}
    for shortcut in SHORTCUTS:
        assert (shortcut.id in names) is not shortcut.local, shortcut.id


def test_every_shortcut_of_the_window_works(open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    person = a_chat(open_window)
    asked: list[str] = []

    def ask(*arguments: object) -> tuple[str, str]:
        asked.append("file")
        return "", ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", ask)
    done: list[str] = []

    def note(action: QAction, checked: bool = False) -> None:
        done.append(action.objectName())

    for action in person.window.actions():
        action.triggered.connect(partial(note, action))
    for action in person.window.actions():
        if action.objectName() == "quit":
            continue
        for sequence in action.shortcuts():
            person.window.show_page("chat")
            person.box.setFocus()
            key = sequence[0]
            person.press(key.key(), key.keyboardModifiers())
            assert done[-1:] == [action.objectName()], sequence.toString()
            done.clear()
            for window in QApplication.topLevelWidgets():
                if window is not person.window and window.isVisible():
                    window.close()
            person.window.activateWindow()
            person.qtbot.waitUntil(person.window.isActiveWindow)
            if person.window.sidebar.isHidden():
                person.window.sidebar.show()
            person.wait(lambda: not person.profile.chat.answers.conversations)
            person.press(Key.Key_Escape)
    assert asked == ["file"]


def test_pages_by_key_and_the_sheet(open_window: OpenWindow) -> None:
    person = open_window()
    for key, modifiers, page in (
        (Key.Key_2, CONTROL, person.page("models")),
        (Key.Key_Comma, CONTROL, person.page("settings")),
        (Key.Key_F1, Qt.KeyboardModifier.NoModifier, person.page("help")),
        (Key.Key_1, CONTROL, person.window.chat_page),
    ):
        person.press(key, modifiers)
        assert page.isVisible()
    assert QApplication.focusWidget() is person.box
    person.press(Key.Key_Slash, CONTROL)
    person.wait(lambda: person.window._sheet is not None and person.window._sheet.isVisible())
    person.window._sheet.close()


def test_quit_by_key_closes_the_window(open_window: OpenWindow) -> None:
    person = open_window()
    person.press(Key.Key_Q, CONTROL)
    person.wait(lambda: not person.window.isVisible())


def test_the_keyboard_goes_on_where_a_card_or_a_notice_was(open_window: OpenWindow) -> None:
    """Not to the first button of the window, which makes a new chat."""
    person = open_window()
    page = person.window.chat_page
    page.show_failure(UserError(ErrorKind.DISK_FULL, path="x"))
    person.button("Try again").setFocus()
    person.press(Key.Key_Space)
    assert person.cards == []
    assert QApplication.focusWidget() is person.box
    page.notices.show_notice("Done.")
    person.button("Close the notice").setFocus()
    person.press(Key.Key_Space)
    assert person.notice == ""
    assert QApplication.focusWidget() is person.box


@pytest.mark.parametrize(("key", "modifiers"), [(Key.Key_R, CONTROL), (Key.Key_E, CONTROL), (Key.Key_Left, ALT)])
def test_keys_for_answers_first_bring_the_chat_into_sight(
    open_window: OpenWindow, key: Qt.Key, modifiers: Qt.KeyboardModifier
) -> None:
    person = a_chat(open_window)
    shown = person.answer.id
    person.window.show_page("settings")
    person.press(key, modifiers)
    assert person.window.chat_page.isVisible()
    assert person.answer.id == shown
    assert not person.sees_button("Save")
