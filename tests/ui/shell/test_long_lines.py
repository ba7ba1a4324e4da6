from __future__ import annotations

import pytest
from PySide6.QtGui import QTextCursor, QTextDocument
from PySide6.QtWidgets import QPlainTextDocumentLayout

from app.ui.long_lines import (
    PIECE_CHARS,
    PORTION_LINES,
    has_text,
    insert_line_break,
    insert_text,
    portions,
    selected_text,
    text_of,
)


@pytest.fixture
def document(qapp: object) -> QTextDocument:
    document = QTextDocument()
    document.setDocumentLayout(QPlainTextDocumentLayout(document))
    return document


def longest_block(document: QTextDocument) -> int:
    block, longest = document.begin(), 0
    while block.isValid():
        longest = max(longest, len(block.text()))
        block = block.next()
    return longest


TEXTS = {
    "empty": "",
    "line feeds only": "\n\n\n",
    "short lines": "one\ntwo\n\nthree\n",
    "one long line of words": "word " * 2_000,
    "one long line without spaces": "x" * 10_001,
    "long between short": "a\n" + "y" * 5_000 + "\nb\n" + "z " * 3_000 + "\n",
    "emoji of several code points": "👨‍👩‍👧‍👦" * 1_000,
    "combining marks": "e\u0301" * 4_000,
    "right to left": "مرحبا " * 2_000,
    "no-break spaces and tabs": "a\u00a0b\tc",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_text_comes_back_as_it_went_in(document: QTextDocument, text: str) -> None:
    insert_text(QTextCursor(document), text)
    assert text_of(document) == text
    assert longest_block(document) <= PIECE_CHARS + 200
    assert has_text(document) == bool(text.strip())


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_portions_make_up_the_text(text: str) -> None:
    assert "".join(portions(text * 50)) == text * 50
    assert all(portion.count("\n") <= PORTION_LINES for portion in portions("\n" * 30_000))


@pytest.mark.parametrize("line", ["👨‍👩‍👧‍👦" * 1_000, "e\u0301" * 4_000])
def test_no_character_is_torn(document: QTextDocument, line: str) -> None:
    insert_text(QTextCursor(document), line)
    unit = line[: 7 if line.startswith("👨") else 2]
    block = document.begin()
    while block.isValid():
        assert block.text().count(unit) * len(unit) == len(block.text())
        block = block.next()


def test_a_line_break_inside_a_long_line_stays_one(document: QTextDocument) -> None:
    insert_text(QTextCursor(document), "x" * 3_500)
    cursor = QTextCursor(document)
    cursor.setPosition(2_700)  # in a piece that goes on with the one before
    insert_line_break(cursor)
    assert text_of(document).count("\n") == 1
    cursor.insertText("y")
    insert_text(cursor, "one\ntwo")
    assert text_of(document).count("\n") == 2
    assert text_of(document).replace("\n", "").count("x") == 3_500


def test_undo_and_redo_keep_the_text(document: QTextDocument) -> None:
    text = "x" * 3_500 + "\nend"
    insert_text(QTextCursor(document), text)
    cursor = QTextCursor(document)
    cursor.select(QTextCursor.SelectionType.Document)
    cursor.removeSelectedText()
    assert text_of(document) == ""
    document.undo()
    assert text_of(document) == text
    document.undo()
    assert text_of(document) == ""
    document.redo()
    assert text_of(document) == text


def test_a_selection_over_pieces(document: QTextDocument) -> None:
    text = "start\n" + "".join(f"{number:05}" for number in range(1_000)) + "\n😀end"
    insert_text(QTextCursor(document), text)
    cursor = QTextCursor(document)
    cursor.select(QTextCursor.SelectionType.Document)
    assert selected_text(cursor) == text
    cursor.movePosition(QTextCursor.MoveOperation.End)
    cursor.movePosition(QTextCursor.MoveOperation.Left, QTextCursor.MoveMode.KeepAnchor, 3)
    assert selected_text(cursor) == "end"
    cursor.movePosition(QTextCursor.MoveOperation.Left, QTextCursor.MoveMode.KeepAnchor, 2)
    assert selected_text(cursor) == "\n😀end"


def test_a_selection_is_replaced(document: QTextDocument) -> None:
    insert_text(QTextCursor(document), "keep this line\nand " + "z" * 3_000)
    cursor = QTextCursor(document)
    cursor.setPosition(5)
    cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
    insert_text(cursor, "nothing\nelse")
    assert text_of(document) == "keep nothing\nelse"
