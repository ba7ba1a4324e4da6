from __future__ import annotations

import pytest
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QGuiApplication, QInputMethodEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.services.explanation import Action, ActionKind, Explanation
from app.ui.cards import ErrorCard
from app.ui.composer import Composer
from app.ui.message_edit import MOST_LINES, MessageEdit, clean_text

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def composer(qtbot: QtBot) -> Composer:
    composer = Composer()
    qtbot.addWidget(composer)
    composer.resize(600, 200)
    with qtbot.waitExposed(composer):
        composer.show()
    composer.activateWindow()
    composer.focus()
    return composer


def edit_of(composer: Composer) -> MessageEdit:
    edit = composer.findChild(MessageEdit)
    assert edit is not None
    return edit


def paste(composer: Composer, text: str) -> None:
    data = QMimeData()
    data.setText(text)
    edit_of(composer).insertFromMimeData(data)


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Enter])
def test_enter_sends_and_keeps_the_text(qtbot: QtBot, composer: Composer, key: Qt.Key) -> None:
    qtbot.keyClicks(edit_of(composer), "Hello")
    with qtbot.waitSignal(composer.submitted) as submitted:
        qtbot.keyClick(edit_of(composer), key)
    assert submitted.args == ["Hello"]
    assert composer.text() == "Hello"


def test_shift_enter_begins_a_new_line(qtbot: QtBot, composer: Composer) -> None:
    edit = edit_of(composer)
    with qtbot.assertNotEmitted(composer.submitted):
        qtbot.keyClicks(edit, "a")
        qtbot.keyClick(edit, Qt.Key.Key_Return, SHIFT)
        qtbot.keyClicks(edit, "b")
    assert composer.text() == "a\nb"


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
def test_nothing_is_not_sent(qtbot: QtBot, composer: Composer, text: str) -> None:
    composer.set_text(text)
    with qtbot.assertNotEmitted(composer.submitted):
        qtbot.keyClick(edit_of(composer), Qt.Key.Key_Return)
    assert not composer._send.isEnabled()


def test_enter_belongs_to_the_input_method_while_it_composes(qtbot: QtBot, composer: Composer) -> None:
    edit = edit_of(composer)
    qtbot.keyClicks(edit, "x")
    QApplication.sendEvent(edit, QInputMethodEvent("にほん", []))
    assert edit.is_composing()
    with qtbot.assertNotEmitted(composer.submitted):
        qtbot.keyClick(edit, Qt.Key.Key_Return)
    done = QInputMethodEvent()
    done.setCommitString("日本")
    QApplication.sendEvent(edit, done)
    assert not edit.is_composing()
    with qtbot.waitSignal(composer.submitted) as submitted:
        qtbot.keyClick(edit, Qt.Key.Key_Return)
    assert submitted.args == ["x日本"]


def test_while_streaming_the_button_stops_and_enter_waits(qtbot: QtBot, composer: Composer) -> None:
    composer.set_text("next question")
    composer.set_streaming(True)
    assert composer._stop.isVisible()
    with qtbot.assertNotEmitted(composer.submitted):
        qtbot.keyClick(edit_of(composer), Qt.Key.Key_Return)
    with qtbot.waitSignal(composer.stop_requested):
        qtbot.mouseClick(composer._stop, Qt.MouseButton.LeftButton)
    composer.set_streaming(False)
    with qtbot.waitSignal(composer.submitted):
        qtbot.mouseClick(composer._send, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize(
    "text",
    ["x" * 1_000_000, "word " * 200_000, "a line of text\n" * 60_000, "😀" * 10_000],
    ids=["no spaces", "one line", "many lines", "emoji"],
)
def test_a_large_paste_arrives_whole(qtbot: QtBot, composer: Composer, text: str) -> None:
    paste(composer, text)
    edit = edit_of(composer)
    qtbot.waitUntil(lambda: not edit.isReadOnly(), timeout=20_000)
    assert composer.text() == text
    qtbot.keyClick(edit, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert composer.text() == ""


def test_text_asked_for_in_the_middle_of_a_paste_is_whole(composer: Composer) -> None:
    text = "line\n" * 20_000
    paste(composer, "before " + text)
    assert composer.text() == "before " + text
    composer.set_text(text)
    composer.set_text("another draft")
    assert composer.text() == "another draft"


def test_a_long_draft_is_no_edit(qtbot: QtBot, composer: Composer) -> None:
    with qtbot.assertNotEmitted(composer.text_edited):
        composer.set_text("line\n" * 20_000)
        qtbot.waitUntil(lambda: not edit_of(composer).isReadOnly())


def test_pasted_text_is_plain_and_clean(composer: Composer) -> None:
    data = QMimeData()
    data.setHtml("<b>bold</b>")
    data.setText("plain\0\r\ntext")
    edit_of(composer).insertFromMimeData(data)
    assert composer.text() == "plain\ntext"


def test_nul_and_lone_surrogates() -> None:
    assert clean_text("a\0b\ud800c\udfffd😀") == "ab\ufffdc\ufffdd😀"


def test_files_are_no_text(composer: Composer) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/models/a.gguf")])
    assert not edit_of(composer).canInsertFromMimeData(data)
    edit_of(composer).insertFromMimeData(data)
    assert composer.text() == ""


def test_copy_gives_the_lines_as_they_are(qtbot: QtBot, composer: Composer) -> None:
    text = "y" * 3_000 + "\nsecond"
    paste(composer, text)
    edit_of(composer).selectAll()
    edit_of(composer).copy()
    assert QGuiApplication.clipboard().text() == text


def test_the_box_grows_to_its_limit_and_shrinks(qtbot: QtBot, composer: Composer) -> None:
    composer.resize(600, 400)
    edit = edit_of(composer)
    qtbot.waitUntil(lambda: edit.height() == edit.sizeHint().height())
    one, line_px = edit.height(), edit.fontMetrics().lineSpacing()
    paste(composer, "a\nb\nc")
    qtbot.waitUntil(lambda: edit.height() == one + 2 * line_px)
    paste(composer, "\n" * 50)
    qtbot.waitUntil(lambda: edit.height() == one + (MOST_LINES - 1) * line_px)
    composer.clear()
    qtbot.waitUntil(lambda: edit.height() == one)
    paste(composer, "word " * 60)  # wraps
    qtbot.waitUntil(lambda: edit.height() > one)


def test_a_low_window_gives_less_and_the_text_scrolls(qtbot: QtBot, composer: Composer) -> None:
    composer.resize(600, 120)
    paste(composer, "line\n" * 7)
    edit = edit_of(composer)
    qtbot.waitUntil(lambda: edit.verticalScrollBar().maximum() > 0)
    assert edit.geometry().bottom() < composer._meter.geometry().top()


def test_everything_is_seen_while_it_fits(qtbot: QtBot, composer: Composer) -> None:
    composer.set_text("first\nsecond\nthird")
    qtbot.wait(20)
    assert edit_of(composer).verticalScrollBar().value() == 0


def test_edits_by_the_person_are_told_and_others_not(qtbot: QtBot, composer: Composer) -> None:
    with qtbot.assertNotEmitted(composer.text_edited):
        composer.set_text("draft")
        composer.clear()
    with qtbot.waitSignal(composer.text_edited):
        qtbot.keyClicks(edit_of(composer), "x")


def test_context_in_words(composer: Composer) -> None:
    composer.set_context(312, 4096)
    assert composer._meter.words() == "312 of 4,096 tokens"
    composer.set_context(3700, 4096)
    assert "almost full" in composer._meter.words()
    composer.set_context(17_187, 4096)
    assert composer._meter.words() == "17,187 of 4,096 tokens · full: the oldest messages are left out"
    composer.set_context(None, 4096)
    assert composer._meter.words() == ""


def test_an_error_stands_above_the_box_until_cleared(qtbot: QtBot, composer: Composer) -> None:
    action = Action(ActionKind.RETRY, "Try again")
    composer.set_text("kept")
    composer.show_error(Explanation("The disk is full", "Make room.", (action,)))
    card = composer.findChild(ErrorCard)
    assert card is not None
    assert card.isVisible()
    assert card.geometry().bottom() < composer._box.geometry().top()
    assert card.accessibleName() == "The disk is full. Make room."
    button = next(b for b in card.findChildren(type(composer._send)) if b.text() == "Try again")
    with qtbot.waitSignal(composer.action_requested) as requested:
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert requested.args == [action]
    assert composer.text() == "kept"
    composer.show_error(None)
    assert card.isHidden()


def test_tab_leaves_the_box(qtbot: QtBot, composer: Composer) -> None:
    qtbot.keyClicks(edit_of(composer), "x")
    qtbot.keyClick(edit_of(composer), Qt.Key.Key_Tab)
    assert composer._send.hasFocus()
    assert composer.text() == "x"


def test_undo_takes_back_a_paste(qtbot: QtBot, composer: Composer) -> None:
    qtbot.keyClicks(edit_of(composer), "a")
    paste(composer, "b" * 5_000)
    qtbot.keyClick(edit_of(composer), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert composer.text() == "a"


def large(edit: MessageEdit) -> str:
    """A text that takes several portions; the box is still taking it in when this returns."""
    text = "line of text\n" * 30_000
    data = QMimeData()
    data.setText(text)
    edit.insertFromMimeData(data)
    assert edit.isReadOnly()
    return text


def test_a_click_in_the_middle_of_a_paste_does_not_tear_it(composer: Composer) -> None:
    edit = edit_of(composer)
    text = large(edit)
    edit.selectAll()
    assert composer.text() == text


def test_keys_in_the_middle_of_a_paste_are_not_lost(qtbot: QtBot, composer: Composer) -> None:
    edit = edit_of(composer)
    text = large(edit)
    qtbot.keyClicks(edit, "end")
    with qtbot.waitSignal(composer.submitted, timeout=20_000) as submitted:
        qtbot.keyClick(edit, Qt.Key.Key_Return)
    assert submitted.args == [text + "end"]


def test_another_draft_is_not_sent_for_the_one_that_was_to_be_sent(qtbot: QtBot, composer: Composer) -> None:
    edit = edit_of(composer)
    large(edit)
    edit.send()
    with qtbot.assertNotEmitted(composer.submitted, wait=50):
        composer.set_text("the draft of another chat")
    assert composer.text() == "the draft of another chat"
