"""What the transcript shows, and how answers stream into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from app.core.events import PromptProgress
from app.core.messages import MessageState
from app.ui.transcript import TranscriptView
from app.ui.transcript.highlighting import LexerShelf
from app.ui.transcript.text_view import TextView
from app.ui.transcript.waiting import WaitingLine
from tests.ui.transcript.conftest import answer, many, question, streaming
from tests.ui.transcript.driving import all_text, button, click, has_button, row, rows, texts

Settle = Callable[[], None]


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


@pytest.mark.parametrize(
    "text", ["short", "just under the width of the bubble " * 2, "bla " * 300, "line\n" * 20, "x" * 900, "w " * 2900]
)
def test_every_line_of_a_message_is_in_sight(view: TranscriptView, settle: Settle, text: str) -> None:
    for message in (question("q", text), answer("a", text)):
        view.set_items([message])
        settle()
        assert texts(view)
        for shown in texts(view):
            assert shown.viewport().height() >= int(shown.document().size().height())
            assert shown.verticalScrollBar().maximum() == 0


def test_html_is_shown_as_it_was_written(view: TranscriptView) -> None:
    view.set_items([answer("a", "see <b>this</b> <img src='file:///etc/hostname'>")])
    assert "<b>this</b> <img src='file:///etc/hostname'>" in all_text(row(view, "a"))


def test_a_picture_is_never_loaded(view: TranscriptView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    plain = QTextDocument.loadResource

    def record(document: QTextDocument, kind: int, name: object) -> object:
        loaded.append(str(name))
        return plain(document, kind, name)

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


def test_an_answer_that_goes_on_shows_how_far_reading_has_come(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), answer("a", "Half", state=MessageState.STREAMING)])
    view.set_prompt_progress("a", PromptProgress(1, 450, 1000, 12_300.0))
    assert row(view, "a").findChild(WaitingLine) is not None
    view.append_text("a", " and whole")
    assert not any(w.isVisible() for w in row(view, "a").findChildren(WaitingLine))
    assert all_text(row(view, "a")) == "Half and whole"


def test_the_first_line_of_code_may_be_late(
    view: TranscriptView, settle: Settle, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def never(shelf: LexerShelf, language: str) -> bool:
        asked.append(language)
        return False

    with monkeypatch.context() as slow:
        slow.setattr(LexerShelf, "is_ready", never)
        view.set_items([question("q", "Go"), streaming("a")])
        view.append_text("a", "```python\n")
        qtbot.waitUntil(lambda: bool(asked), timeout=5_000)
        view.append_text("a", "def f():\n")
        QApplication.sendPostedEvents(None, 52)  # DeferredDelete
    qtbot.waitUntil(lambda: view.is_settled, timeout=5_000)
    view.append_text("a", "    return 1\n```\n")
    settle()
    assert texts(row(view, "a"))[0].document().firstBlock().layout().formats()


def test_markdown_about_pictures_is_shown_as_written(view: TranscriptView) -> None:
    view.set_items([answer("a", "Write `![](a.png)` for ![](b.png)")])
    assert all_text(row(view, "a")) == "Write ![](a.png) for b.png"


def test_prompt_progress_in_words(view: TranscriptView) -> None:
    view.set_items([question("q", "Go"), streaming("a")])
    line = row(view, "a").findChild(WaitingLine)
    assert line is not None
    assert "Waiting" in line.words
    view.set_prompt_progress("a", PromptProgress(1, 450, 1000, 12_300.0))
    assert line.words == "Reading your text… 45 %, about 12 s left"
    view.append_text("a", "x")
    assert not any(w.isVisible() for w in row(view, "a").findChildren(WaitingLine))


def test_a_formula_that_cannot_be_drawn_leaves_the_others_their_source(view: TranscriptView, settle: Settle) -> None:
    text = r"Not $\frac{1}{$ but $x^2$ and \(y\), then $z$"
    view.set_items([answer("a", text)])
    settle()
    shown = texts(row(view, "a"))[0]
    assert shown.toPlainText().count("￼") == 3
    assert shown.plain_text() == text


def test_a_formula_that_would_take_for_ever_is_given_up(view: TranscriptView, settle: Settle) -> None:
    braces = "$" + "{" * 12 + "x" + "}" * 12 + "$"
    view.set_items([answer("a", f"{braces} and $y$")])
    settle()
    assert texts(row(view, "a"))[0].toPlainText() == f"{braces} and ￼"
