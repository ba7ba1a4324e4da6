"""Selecting and copying, the keyboard, screen readers and looks."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.ui.theme import apply_theme
from app.ui.transcript import TranscriptView
from tests.ui.transcript.conftest import answer, many, question
from tests.ui.transcript.driving import all_text, drag, row, rows, select, texts

Settle = Callable[[], None]


def test_a_selection_runs_across_messages(view: TranscriptView, settle: Settle) -> None:
    view.set_items([question("q", "First message"), answer("a", "Second **message**"), question("q2", "Third message")])
    settle()
    first, last = texts(row(view, "q"))[0], texts(row(view, "q2"))[0]
    QTest.mousePress(first.viewport(), Qt.MouseButton.LeftButton, pos=first.cursorRect().center())
    end = first.viewport().mapFromGlobal(last.mapToGlobal(QPoint(last.width() - 1, last.height() // 2)))
    drag(first, end)
    QTest.mouseRelease(first.viewport(), Qt.MouseButton.LeftButton, pos=end)
    assert view.selected_text() == "First message\n\nSecond **message**\n\nThird message"
    QTest.keyClick(first, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == view.selected_text()


def test_a_double_click_selects_a_word(view: TranscriptView) -> None:
    view.set_items([answer("a", "Some words here")])
    text = texts(row(view, "a"))[0]
    QTest.mouseClick(text.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(8, 10))
    QTest.mouseDClick(text.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(8, 10))
    assert view.selected_text() == "Some"


def test_select_all_is_the_whole_transcript(view: TranscriptView) -> None:
    view.set_items(many(300))
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    text = view.selected_text()
    assert text.startswith("Question 0\n\nAnswer 1")
    assert "Answer 299" in text
    assert texts(rows(view)[-1])[0].textCursor().hasSelection()


def test_formulas_are_selected_as_their_source(view: TranscriptView, settle: Settle) -> None:
    view.set_items([answer("a", "Then $x^2$ and $y$ follow"), question("q", "Next")])
    settle()
    select(texts(row(view, "a"))[0], texts(row(view, "a"))[0])
    assert view.selected_text() == "Then $x^2$ and $y$ follow"


@pytest.mark.parametrize(
    "text", ["word " * 560, "x" * 2_900, "\n".join(f"line {i} " + "word " * 20 for i in range(25))]
)
def test_the_pieces_of_a_long_question_are_copied_as_they_were_typed(
    view: TranscriptView, settle: Settle, text: str
) -> None:
    view.set_items([question("q", text)])
    view.verticalScrollBar().setValue(0)
    settle()
    pieces = texts(row(view, "q"))
    assert len(pieces) == 2
    select(pieces[0], pieces[-1])
    assert view.selected_text().rstrip() == text.rstrip()


def test_the_pieces_of_a_long_list_are_copied_without_gaps(view: TranscriptView, settle: Settle) -> None:
    view.resize(900, 2_000)
    view.set_items([answer("a", "\n".join(f"- item {i} " + "word " * 8 for i in range(60)))])
    settle()
    pieces = texts(row(view, "a"))
    assert len(pieces) > 1
    select(pieces[0], pieces[-1])
    assert "\n\n" not in view.selected_text()


def test_copying_texts_out_of_sight_leaves_nothing_on_screen_out_of_place(view: TranscriptView, settle: Settle) -> None:
    view.set_items([answer("a", "\n\n".join(f"Paragraph {i} " + "word " * 250 for i in range(60)))])
    settle()
    bar = view.verticalScrollBar()
    bar.setValue(0)
    first = texts(row(view, "a"))[0]
    QTest.mouseClick(first.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(0, 2))
    bar.setValue(bar.maximum())
    last = texts(row(view, "a"))[-1]
    end = QPoint(last.width() - 1, last.height() - 2)
    QTest.mouseClick(last.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, end)
    assert view.selected_text().count("Paragraph") == 60
    settle()
    places = sorted((text.y(), text.geometry().bottom()) for text in texts(row(view, "a")))
    assert all(bottom < top for (_, bottom), (top, _) in itertools.pairwise(places))


def test_a_selection_in_a_text_that_became_shorter_ends_with_it(view: TranscriptView) -> None:
    view.set_items([answer("a", "Short now")])
    assert texts(row(view, "a"))[0].plain_text(0, 100) == "Short now"


def test_the_tab_key_walks_through_the_messages(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), answer("a", "See [this](https://example.org)\n\n```c\nint x;\n```\n")])
    view.setFocus()
    seen = []
    for _ in range(8):
        QTest.keyClick(QApplication.focusWidget() or view, Qt.Key.Key_Tab)
        focused = QApplication.focusWidget()
        assert focused is not None
        seen.append(focused.accessibleName() or type(focused).__name__)
    assert seen[:8] == [
        "Your message",
        "Copy message",
        "Edit message",
        "Answer by Testing 1B",
        "Text",
        "Copy code (c)",
        "Copy answer",
        "Regenerate answer",
    ]


def test_the_way_back_goes_through_the_same_stops(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), answer("a", "Yes"), question("q2", "More"), answer("a2", "No")])
    view.setFocus()
    forward = []
    for _ in range(12):
        QTest.keyClick(QApplication.focusWidget() or view, Qt.Key.Key_Tab)
        forward.append(QApplication.focusWidget())
    backward = [QApplication.focusWidget()]
    for _ in range(11):
        QTest.keyClick(QApplication.focusWidget() or view, Qt.Key.Key_Backtab, Qt.KeyboardModifier.ShiftModifier)
        backward.append(QApplication.focusWidget())
    assert backward == forward[::-1]


def test_what_the_keyboard_reaches_is_on_screen(view: TranscriptView, settle: Settle) -> None:
    code = "\n\n".join(f"```c\n{f'int x{i};' + chr(10) * 12}```" for i in range(8))
    view.set_items([answer("a", code), question("q", "More"), answer("a2", code)])
    view.verticalScrollBar().setValue(0)
    settle()
    view.setFocus()
    reached = set()
    for key in [Qt.Key.Key_Tab] * 22 + [Qt.Key.Key_Backtab] * 20:
        QTest.keyClick(QApplication.focusWidget() or view, key)
        settle()
        focused = QApplication.focusWidget()
        if focused is None or not view.viewport().isAncestorOf(focused):
            break
        reached.add(focused)
        top = focused.mapTo(view.viewport(), QPoint(0, 0)).y()
        assert top >= 0
        assert top + min(focused.height(), view.viewport().height()) <= view.viewport().height()
    assert len(reached) > 16, "every block of code has a button"


def test_links_are_reached_and_followed_by_the_keyboard(view: TranscriptView, qtbot: QtBot) -> None:
    view.set_items([answer("a", "See [this](https://example.org/1) and [that](https://example.org/2)")])
    view.setFocus()
    QTest.keyClick(view, Qt.Key.Key_Tab)
    for address in ("https://example.org/1", "https://example.org/2"):
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        with qtbot.waitSignal(view.link_activated) as activated:
            QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Return)
        assert activated.args == [address]


def test_the_tab_key_reaches_messages_out_of_sight(view: TranscriptView) -> None:
    view.set_items(many(40))
    view.verticalScrollBar().setValue(0)
    view.setFocus()
    for _ in range(60):
        QTest.keyClick(QApplication.focusWidget() or view, Qt.Key.Key_Tab)
    focused = QApplication.focusWidget()
    assert focused is not None
    assert view.isAncestorOf(focused)
    assert view.verticalScrollBar().value() > 0


def test_keys_scroll(view: TranscriptView) -> None:
    view.set_items(many(60))
    view.setFocus()
    bar = view.verticalScrollBar()
    QTest.keyClick(view, Qt.Key.Key_Home)
    assert bar.value() == 0
    QTest.keyClick(view, Qt.Key.Key_PageDown)
    assert bar.value() > 300
    QTest.keyClick(view, Qt.Key.Key_Down)
    QTest.keyClick(view, Qt.Key.Key_End)
    assert bar.value() == bar.maximum()
    assert view.is_at_end


def test_messages_tell_screen_readers_who_speaks_and_what(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), answer("a", "Yes, **now**.")])
    assert (row(view, "q").accessibleName(), row(view, "q").accessibleDescription()) == ("Your message", "Go")
    assert row(view, "a").accessibleName() == "Answer by Testing 1B"
    assert row(view, "a").accessibleDescription() == "Yes, **now**."


def test_the_theme_can_change_while_text_is_shown(view: TranscriptView, qapp: QApplication, settle: Settle) -> None:
    view.set_items(
        [question("q", "Go"), answer("a", "Text `code` [link](https://example.org)\n\n```python\nx = 1\n```")]
    )
    settle()
    bright = view.grab().toImage().pixelColor(5, 300)
    apply_theme(qapp, "dark", 100)
    qapp.processEvents()
    settle()
    dark = view.grab().toImage().pixelColor(5, 300)
    assert bright.lightness() > 200
    assert dark.lightness() < 60
    assert all_text(row(view, "a")).startswith("Text code link")


def test_larger_text_takes_more_room(view: TranscriptView, qapp: QApplication, settle: Settle) -> None:
    view.set_items(many(30))
    before = view.verticalScrollBar().maximum()
    apply_theme(qapp, "light", 150)
    qapp.processEvents()
    settle()
    assert view.verticalScrollBar().maximum() > before * 1.2


@pytest.mark.parametrize("width", [500, 700, 1600])
def test_nothing_is_wider_than_the_window(view: TranscriptView, width: int, settle: Settle) -> None:
    wide = "| " + " | ".join(f"column number {i}" for i in range(12)) + " |\n" + "|---" * 12 + "|\n" + "| x " * 12 + "|"
    view.resize(width, 700)
    view.set_items(
        [question("q", "word " * 60), answer("a", "word " * 200 + "\n\n```\n" + "x" * 400 + "\n```\n\n" + wide)]
    )
    settle()
    assert texts(view.viewport())
    for text in texts(view.viewport()):
        left = text.mapTo(view.viewport(), QPoint(0, 0)).x()
        assert left >= 0
        assert left + text.width() <= view.viewport().width()
