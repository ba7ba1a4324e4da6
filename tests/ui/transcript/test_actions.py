"""What can be done with a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAccessible, QContextMenuEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QMenu, QPlainTextEdit, QToolTip
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.messages import MessageState
from app.services.explain import Action
from app.ui.cards import ErrorCard
from app.ui.theme import apply_theme
from app.ui.transcript import TranscriptView
from tests.ui.transcript.conftest import USAGE, answer, many, question, streaming
from tests.ui.transcript.driving import all_text, button, click, has_button, hover, row, texts

Settle = Callable[[], None]
FIGURES = "Testing 1B · 38.3 tokens per second · 0.64 s to first token · 512 tokens in, 230 out"


def test_the_last_answer_shows_its_buttons_and_figures(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), answer("a", "Yes.", usage=USAGE)])
    last = row(view, "a")
    assert has_button(last, "Copy answer")
    assert has_button(last, "Regenerate answer")
    assert not has_button(last, "Continue answer")
    assert not has_button(row(view, "q"), "Edit message")
    figures = button(last, FIGURES)
    assert "128 were still in memory" in figures.toolTip()


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Space])
def test_the_exact_figures_are_had_by_keyboard_and_screen_reader(view: TranscriptView, key: Qt.Key) -> None:
    usage = replace(USAGE, drafted_tokens=12, accepted_tokens=7)
    view.set_items([question("q", "Go"), answer("a", "Yes.", usage=usage)])
    button(row(view, "a"), "Regenerate answer").setFocus()
    QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    figures = QApplication.focusWidget()
    assert figures is not None
    assert figures.accessibleName() == FIGURES
    told = QAccessible.queryAccessibleInterface(figures)
    assert "7 were right" in told.text(QAccessible.Text.Description)
    assert not QToolTip.text()
    QTest.keyClick(figures, key)
    assert "Guessed ahead: 12 tokens, of which 7 were right" in QToolTip.text()
    QToolTip.hideText()


def test_buttons_ask_for_what_they_say(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_items([question("q", "Go"), answer("a", "Half", state=MessageState.STOPPED, version=(1, 3))])
    last = row(view, "a")
    with qtbot.waitSignal(view.regenerate_requested) as regenerated:
        click(button(last, "Regenerate answer"))
    assert regenerated.args == ["a"]
    with qtbot.waitSignal(view.continue_requested) as continued:
        click(button(last, "Continue answer"))
    assert continued.args == ["a"]
    with qtbot.waitSignal(view.version_requested) as earlier:
        click(button(last, "Earlier version"))
    assert earlier.args == ["a", -1]
    with qtbot.waitSignal(view.version_requested) as later:
        click(button(last, "Later version"))
    assert later.args == ["a", 1]


def test_while_an_answer_streams_nothing_can_be_regenerated_or_edited(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), answer("a", "Yes.")])
    view.set_busy(True)
    assert not has_button(row(view, "a"), "Regenerate answer")
    view.begin_edit("q")
    assert view.findChildren(QPlainTextEdit) == []
    view.set_busy(False)
    assert has_button(row(view, "a"), "Regenerate answer")


def test_an_interrupted_answer_explains_itself(view: TranscriptView, qtbot: QtBot) -> None:
    error = UserError(ErrorKind.ENGINE_CRASHED, reason="killed")
    view.set_items([question("q", "Go"), answer("a", "Half", state=MessageState.INTERRUPTED, error=error)])
    last = row(view, "a")
    assert any(label.text() == "Interrupted" for label in last.findChildren(QLabel))
    with qtbot.waitSignal(view.action_requested) as asked:
        click(button(last.findChild(ErrorCard), "Continue"))
    assert asked.args[0] == "a"
    assert isinstance(asked.args[1], Action)
    view.update_item(answer("a", "Half and whole"))
    assert not has_button(row(view, "a"), "Continue")
    assert all_text(row(view, "a")) == "Half and whole"


def test_editing_a_message(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_items([question("q", "Go"), answer("a", "Yes.")])
    hover(view, row(view, "q"))
    click(button(row(view, "q"), "Edit message"))
    box = view.findChild(QPlainTextEdit)
    assert box is not None
    assert box.toPlainText() == "Go"
    assert QApplication.focusWidget() is box
    QTest.keyClicks(box, " on")
    with qtbot.waitSignal(view.edit_submitted) as submitted:
        QTest.keyClick(box, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert submitted.args == ["q", "Go on"]
    assert not box.isVisible()


def test_an_edit_can_be_cancelled(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_items([question("q", "Go"), answer("a", "Yes.")])
    view.begin_edit("q")
    box = view.findChild(QPlainTextEdit)
    assert box is not None
    QTest.keyClicks(box, "something")
    with qtbot.assertNotEmitted(view.edit_submitted):
        QTest.keyClick(box, Qt.Key.Key_Escape)
    assert all_text(row(view, "q")) == "Go"


def test_an_edit_survives_scrolling_and_a_change_of_theme(view: TranscriptView, qapp: QApplication) -> None:
    view.set_items([question("q", "Go"), *many(60)[1:]])
    view.verticalScrollBar().setValue(0)
    view.begin_edit("q")
    box = view.findChild(QPlainTextEdit)
    assert box is not None
    QTest.keyClicks(box, " on")
    apply_theme(qapp, "dark", 100)
    qapp.processEvents()
    qapp.sendPostedEvents(None, 52)
    boxes = [box for box in view.findChildren(QPlainTextEdit) if box.isVisible()]
    assert [box.toPlainText() for box in boxes] == ["Go on"]


def test_a_message_out_of_sight_can_be_edited(view: TranscriptView) -> None:
    view.set_items(many(60))
    view.verticalScrollBar().setValue(0)
    view.begin_edit("m58")
    box = QApplication.focusWidget()
    assert isinstance(box, QPlainTextEdit)
    assert box.isVisible()
    assert box.toPlainText() == "Question 58"


def test_an_edit_out_of_sight_is_not_begun_anew(view: TranscriptView) -> None:
    view.set_items(many(60))
    view.begin_edit("m58")
    QTest.keyClicks(QApplication.focusWidget(), " changed")
    view.setFocus()
    view.verticalScrollBar().setValue(0)
    view.begin_edit("m58")
    box = QApplication.focusWidget()
    assert isinstance(box, QPlainTextEdit)
    assert box.toPlainText() == "Question 58 changed"


def test_the_tab_key_leaves_an_empty_editor(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), answer("a", "Yes.")])
    view.begin_edit("q")
    box = QApplication.focusWidget()
    assert isinstance(box, QPlainTextEdit)
    box.clear()
    seen = []
    for _ in range(2):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        focused = QApplication.focusWidget()
        assert focused is not None
        seen.append(focused.accessibleName() or focused.property("text"))
    assert seen == ["Cancel", "Answer by Testing 1B"]


def test_a_link_is_copied_by_the_menu(view: TranscriptView) -> None:
    view.set_items([answer("a", "[link](https://example.org/page)")])
    text = texts(row(view, "a"))[0]
    point = text.viewport().mapToGlobal(QPoint(8, 10))
    place = view.viewport().mapFromGlobal(point)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, point)
    QApplication.sendEvent(view.viewport(), event)
    menu = view.findChild(QMenu)
    assert menu is not None
    next(action for action in menu.actions() if action.text() == "Copy link").trigger()
    menu.close()
    assert QGuiApplication.clipboard().text() == "https://example.org/page"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (MessageState.COMPLETE, ["Answer finished: Half"]),
        (MessageState.STOPPED, ["Answer stopped: Half"]),
        (MessageState.CUT_SHORT, ["Answer cut off: Half"]),
        (MessageState.CONTEXT_FULL, ["Answer cut off: Half"]),
        (MessageState.INTERRUPTED, ["Answer interrupted: Half"]),
        (MessageState.FAILED, []),
    ],
)
def test_screen_readers_hear_how_an_answer_ended(
    view: TranscriptView, monkeypatch: pytest.MonkeyPatch, state: MessageState, words: list[str]
) -> None:
    said: list[str] = []
    monkeypatch.setattr("app.ui.transcript.view.announce", lambda _widget, sentence: said.append(sentence))
    view.set_items([question("q", "Go"), streaming("a")])
    view.update_item(answer("a", "Half", state=state))
    assert said == words


def test_code_is_copied_by_its_button(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_items([answer("a", "```python\nx = 1\n    y\n```")])
    copy = button(row(view, "a"), "Copy code (python)")
    with qtbot.waitSignal(view.copied):
        click(copy)
    assert QGuiApplication.clipboard().text() == "x = 1\n    y"
    assert copy.text() == "Copied"
    qtbot.waitUntil(lambda: copy.text() == "Copy", timeout=3_000)


def test_links_are_only_reported(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_items([answer("a", "[link](https://example.org/page)")])
    text = texts(row(view, "a"))[0]
    with qtbot.waitSignal(view.link_activated) as activated:
        QTest.mouseClick(text.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(8, 10))
    assert activated.args == ["https://example.org/page"]


def test_the_boundary_is_drawn_above_a_message(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), answer("a", "Yes."), question("q2", "And?")])
    before = row(view, "q2").height()
    view.set_boundary("q2")
    QApplication.processEvents()
    assert row(view, "q2").height() == before + 40
    view.set_boundary(None)
    QApplication.processEvents()
    assert row(view, "q2").height() == before
