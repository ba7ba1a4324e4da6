"""The transcript through its public face and real keys and clicks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QMouseEvent, QTextDocument
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QPlainTextEdit, QWidget
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.events import PromptProgress
from app.core.messages import MessageState
from app.services.explain import Action
from app.ui.cards import ErrorCard
from app.ui.theme import apply_theme
from app.ui.transcript import TranscriptView
from app.ui.transcript.message_widget import MessageWidget
from app.ui.transcript.text_view import TextView
from app.ui.transcript.waiting import WaitingLine
from tests.ui.transcript.conftest import USAGE, answer, many, question, streaming

pytestmark = pytest.mark.ui
Settle = Callable[[], None]


def rows(view: TranscriptView) -> list[MessageWidget]:
    return sorted(
        (w for w in view.viewport().findChildren(MessageWidget) if not w.isHidden()), key=lambda widget: widget.y()
    )


def row(view: TranscriptView, message_id: str) -> MessageWidget:
    return next(widget for widget in rows(view) if widget.message_id == message_id)


def texts(widget: QWidget) -> list[TextView]:
    return [text for text in widget.findChildren(TextView) if text.isVisible()]


def button(widget: QWidget, name: str) -> QAbstractButton:
    found = [
        b for b in widget.findChildren(QAbstractButton) if b.isVisible() and name in (b.text(), b.accessibleName())
    ]
    assert len(found) == 1, [b.accessibleName() or b.text() for b in widget.findChildren(QAbstractButton)]
    return found[0]


def has_button(widget: QWidget, name: str) -> bool:
    return any(b.isVisible() and name in (b.text(), b.accessibleName()) for b in widget.findChildren(QAbstractButton))


def hover(view: TranscriptView, widget: QWidget) -> None:
    QTest.mouseMove(widget, QPoint(widget.width() // 2, widget.height() // 2))
    QApplication.processEvents()


def click(widget: QWidget) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def all_text(widget: QWidget) -> str:
    return "\n".join(text.toPlainText() for text in texts(widget))


# -- content


def test_an_empty_transcript_shows_the_empty_widget(view: TranscriptView) -> None:
    empty = QLabel("Hello")
    view.set_empty_widget(empty)
    assert empty.isVisible()
    view.add_item(question("a", "Hi"))
    assert not empty.isVisible()
    view.set_items([])
    assert empty.isVisible()


def test_it_opens_at_the_end(view: TranscriptView) -> None:
    view.set_items(many(60))
    assert view.is_at_end
    assert view.verticalScrollBar().value() == view.verticalScrollBar().maximum()
    assert "Answer 59" in all_text(rows(view)[-1])


def test_messages_come_and_go(view: TranscriptView) -> None:
    view.set_items([question("q", "One"), answer("a", "Two")])
    view.add_item(question("q2", "Three"))
    assert [i.message.text for i in view.items()] == ["One", "Two", "Three"]
    assert (view.last_user_id(), view.last_assistant_id()) == ("q2", "a")
    view.remove_from("a")
    assert [i.message.id for i in view.items()] == ["q"]
    assert view.last_assistant_id() is None
    assert len(rows(view)) == 1


def test_markdown_is_drawn_and_a_question_is_not_markdown(view: TranscriptView) -> None:
    view.set_items([question("q", "**as** typed\n# so"), answer("a", "**bold** words\n\n# Head")])
    assert all_text(row(view, "q")) == "**as** typed\n# so"
    assert all_text(row(view, "a")) == "bold words\nHead"


def test_html_is_shown_as_it_was_written(view: TranscriptView) -> None:
    view.set_items([answer("a", "see <b>this</b> <img src='file:///etc/hostname'>")])
    assert "<b>this</b> <img src='file:///etc/hostname'>" in all_text(row(view, "a"))


def test_a_picture_is_never_loaded(view: TranscriptView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    plain = QTextDocument.loadResource

    def record(document: QTextDocument, kind: int, name: object) -> object:
        loaded.append(str(name))
        return plain(document, kind, name)  # type: ignore[arg-type]

    monkeypatch.setattr(QTextDocument, "loadResource", record)
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"not really one")
    view.set_items([answer("a", f"![a lighthouse]({picture.as_uri()}) and ![](https://example.org/x.png)")])
    view.viewport().grab()
    text = texts(row(view, "a"))[0]
    assert text.toPlainText() == "a lighthouse and https://example.org/x.png"
    assert "￼" not in text.toPlainText()
    assert loaded == []


def test_blocks_become_their_own_views(view: TranscriptView, settle: Settle) -> None:
    view.set_items(
        [answer("a", "Text $x^2$\n\n```python\nx = 1\n```\n\n| a |b|\n|---|---|\n| 1 | 2 |\n\n$$\\frac12$$")]
    )
    settle()
    assert len(texts(row(view, "a"))) == 4
    assert texts(row(view, "a"))[0].plain_text() == "Text $x^2$"


def test_a_formula_beyond_the_typesetter_is_shown_as_written(view: TranscriptView, settle: Settle) -> None:
    view.set_items([answer("a", r"Look: $\frac{1}{$ and $\undefinedmacro{x}{$.")])
    settle()
    assert r"$\frac{1}{$" in texts(row(view, "a"))[0].toPlainText()


def test_right_to_left_paragraphs_stand_right_and_code_stays_left(view: TranscriptView, settle: Settle) -> None:
    view.set_items([answer("a", "שלום עולם\n\n```python\nשלום = 1\n```")])
    settle()
    prose, code = texts(row(view, "a"))

    def left_edge(text: TextView) -> float:
        return text.document().firstBlock().layout().lineAt(0).naturalTextRect().left()

    assert left_edge(prose) > prose.width() / 2
    assert left_edge(code) < 5


# -- streaming


def test_text_streams_in_and_only_the_last_block_is_made_again(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), streaming("a")])
    view.append_text("a", "First.\n\n```py\nx = 1\n```\n\nLast")
    before = texts(row(view, "a"))
    view.append_text("a", " words")
    after = texts(row(view, "a"))
    assert after[:2] == before[:2]
    assert after[-1].toPlainText() == "Last words"
    assert view.items()[1].message.text.endswith("Last words")


def test_text_for_an_answer_out_of_sight_is_kept(view: TranscriptView) -> None:
    view.set_items([*many(60), streaming("a")])
    view.verticalScrollBar().setValue(0)
    view.append_text("a", "unseen ")
    view.append_text("a", "words")
    assert view.items()[-1].message.text == "unseen words"
    view.scroll_to_end()
    assert "unseen words" in all_text(row(view, "a"))


def test_streaming_keeps_the_end_in_sight_only_for_a_person_at_the_end(view: TranscriptView) -> None:
    view.set_items([*many(20), streaming("a")])
    bar = view.verticalScrollBar()
    for _ in range(20):
        view.append_text("a", "A line of text.\n\n")
    assert bar.value() == bar.maximum()
    bar.setValue(bar.value() - 300)
    where = bar.value()
    for _ in range(20):
        view.append_text("a", "A line of text.\n\n")
    assert bar.value() == where
    assert bar.maximum() > where + 300


def test_the_thought_is_open_while_it_runs_and_folds_afterwards(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), streaming("a")])
    view.append_reasoning("a", "Hmm, let me see.")
    assert "Hmm" in all_text(row(view, "a"))
    assert has_button(row(view, "a"), "Thinking…")
    view.append_text("a", "Yes.")
    assert all_text(row(view, "a")) == "Yes."
    click(button(row(view, "a"), "Thought"))
    assert "Hmm" in all_text(row(view, "a"))


def test_prompt_progress_in_words(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), streaming("a")])
    line = row(view, "a").findChild(WaitingLine)
    assert line is not None
    assert "Waiting" in line.words
    view.set_prompt_progress("a", PromptProgress(1, 450, 1000, 12_300.0))
    assert line.words == "Reading your text… 45 %, about 12 s left"
    view.append_text("a", "x")
    assert not any(w.isVisible() for w in row(view, "a").findChildren(WaitingLine))


# -- the list


def test_only_rows_near_the_screen_have_widgets(view: TranscriptView, settle: Settle) -> None:
    view.set_items(many(5_000))
    bar = view.verticalScrollBar()
    for share in (0.9, 0.5, 0.1, 0.0, 0.3, 0.7):
        bar.setValue(int(bar.maximum() * share))
        settle()
        QApplication.sendPostedEvents(None, 52)  # DeferredDelete
        assert len(view.viewport().findChildren(MessageWidget)) <= 30
        assert len(view.viewport().findChildren(TextView)) <= 120


def test_what_is_on_screen_stays_while_heights_above_become_known(view: TranscriptView, settle: Settle) -> None:
    items = many(200)
    items[100:180:2] = [question(f"m{i}", "A question of many words, " * 40) for i in range(100, 180, 2)]
    view.set_items(items)
    settle()
    bar = view.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    settle()
    for _ in range(60):
        seen = rows(view)
        marked = next(widget for widget in seen if widget.y() >= 0)
        y = marked.y()
        bar.setValue(bar.value() - 30)
        assert abs(marked.y() - (y + 30)) <= 1


def test_what_is_on_screen_stays_when_the_window_becomes_narrower(view: TranscriptView, settle: Settle) -> None:
    view.set_items(many(60))
    bar = view.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    settle()
    top = next(widget for widget in rows(view) if widget.y() >= 0)
    top_id, y = top.message_id, top.y()
    view.resize(520, 700)
    settle()
    assert abs(row(view, top_id).y() - y) <= 2


def test_a_huge_paste_is_folded_and_can_be_unfolded(view: TranscriptView, settle: Settle) -> None:
    text = "\n".join(f"line {i} of a very long paste" for i in range(33_000))
    view.set_items([question("q", text), answer("a", "Well.")])
    assert row(view, "q").height() < 700
    click(button(row(view, "q"), "Show all"))
    settle()
    assert view.verticalScrollBar().maximum() > 100_000
    assert len(texts(view.viewport())) < 20
    view.verticalScrollBar().setValue(view.verticalScrollBar().maximum())
    settle()
    click(button(row(view, "q"), "Show less"))
    settle()
    assert row(view, "q").height() < 700


def test_ten_thousand_emoji(view: TranscriptView) -> None:
    view.set_items([question("q", "😀" * 10_000), answer("a", "🎉" * 10_000)])
    assert view.items()[0].message.text == "😀" * 10_000
    click(button(row(view, "a"), "Copy answer"))
    assert QGuiApplication.clipboard().text() == "🎉" * 10_000


def test_another_version_further_up_leaves_the_screen_where_it_is(view: TranscriptView, settle: Settle) -> None:
    items = many(60)
    view.set_items(items)
    settle()
    view.verticalScrollBar().setValue(view.verticalScrollBar().maximum() // 2)
    settle()
    seen = next(widget for widget in rows(view) if widget.y() >= 0)
    seen_id, y = seen.message_id, seen.y()
    number = int(seen_id[1:])
    view.set_items([*items[: number + 1], *(answer(f"other{i}", "Another " * 50) for i in range(20))])
    assert row(view, seen_id) is seen
    assert seen.y() == y
    assert view.items()[number + 1].message.id == "other0"


def test_a_new_answer_is_followed_from_its_first_word(view: TranscriptView, settle: Settle) -> None:
    items = many(60)
    view.set_items(items)
    view.verticalScrollBar().setValue(0)
    view.set_items([*items[:-1], streaming("again")])
    view.append_text("again", "New words")
    settle()
    assert view.is_at_end
    assert all_text(row(view, "again")) == "New words"


def test_fifty_formulas_do_not_block(view: TranscriptView, settle: Settle) -> None:
    formulas = " and ".join(rf"$\frac{{x_{{{i}}}}}{{{i} + \sqrt{{y}}}}$" for i in range(50))
    view.set_items([answer("a", formulas)])
    settle()  # the watchdog of all tests of the window looks on
    assert texts(row(view, "a"))[0].plain_text() == formulas


# -- what can be done with a message


def test_the_last_answer_shows_its_buttons_and_figures(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), answer("a", "Yes.", usage=USAGE)])
    last = row(view, "a")
    assert has_button(last, "Copy answer")
    assert has_button(last, "Regenerate answer")
    assert not has_button(last, "Continue answer")
    assert not has_button(row(view, "q"), "Edit message")
    figures = next(label for label in last.findChildren(QLabel) if "tokens per second" in label.accessibleName())
    assert figures.accessibleName() == (
        "Testing 1B · 38.3 tokens per second · 0.64 s to first token · 512 tokens in, 230 out"
    )
    assert "128 were still in memory" in figures.toolTip()


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


# -- selecting


def test_a_selection_runs_across_messages(view: TranscriptView, settle: Settle) -> None:
    view.set_items([question("q", "First message"), answer("a", "Second **message**"), question("q2", "Third message")])
    settle()
    first, last = texts(row(view, "q"))[0], texts(row(view, "q2"))[0]
    QTest.mousePress(first.viewport(), Qt.MouseButton.LeftButton, pos=first.cursorRect().center())
    end = first.viewport().mapFromGlobal(last.mapToGlobal(QPoint(last.width() - 1, last.height() // 2)))
    _drag(first, end)
    QTest.mouseRelease(first.viewport(), Qt.MouseButton.LeftButton, pos=end)
    assert view.selected_text() == "First message\n\nSecond **message**\n\nThird message"
    QTest.keyClick(first, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == view.selected_text()


def _drag(text: TextView, point: QPoint) -> None:
    local, shown = QPointF(point), QPointF(text.viewport().mapToGlobal(point))
    left = Qt.MouseButton.LeftButton
    event = QMouseEvent(QEvent.Type.MouseMove, local, shown, left, left, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(text.viewport(), event)


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
    text = texts(row(view, "a"))[0]
    QTest.mouseClick(text.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(2, 10))
    for _ in range(3):
        QTest.mouseDClick(text.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(2, 10))
    assert text.plain_text(0, text.length) == "Then $x^2$ and $y$ follow"


# -- keyboard and screen readers


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
        "TextView",
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


# -- looks


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
    for text in texts(view.viewport()):
        left = text.mapTo(view.viewport(), QPoint(0, 0)).x()
        assert left >= 0
        assert left + text.width() <= view.viewport().width()
