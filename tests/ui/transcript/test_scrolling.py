"""The long list: what has widgets, and what stays where it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from app.ui.transcript import TranscriptView, slices
from app.ui.transcript.message_widget import MessageWidget
from app.ui.transcript.text_view import TextView
from tests.ui.transcript.conftest import answer, many, question, streaming
from tests.ui.transcript.driving import all_text, button, click, row, rows, texts

Settle = Callable[[], None]


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


@pytest.mark.parametrize("turns", range(1, 8))
def test_other_messages_may_come_while_neighbours_are_being_made(
    view: TranscriptView, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    monkeypatch.setattr(slices, "SLICE_MS", 0.01)  # one step per turn of the event loop
    view.set_items(many(60))
    for _ in range(turns):
        QApplication.processEvents()
    view.set_items([question("other", "Short")])
    for _ in range(5):
        QApplication.processEvents()
    assert [widget.message_id for widget in rows(view)] == ["other"]
