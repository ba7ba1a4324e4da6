"""Lines of any length in a text document.

Qt lays a paragraph out as a whole: one of a megabyte takes seconds for every key. So a long line is stored as several
paragraphs; those that go on with the one before carry a mark in their block format, which undo and redo keep. Reading
puts the line together again, so nobody but the layout notices.
"""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QTextBoundaryFinder
from PySide6.QtGui import QTextBlock, QTextBlockFormat, QTextCursor, QTextDocument, QTextFormat

PIECE_CHARS = 1_000
SPACE_WITHIN_CHARS = 200
PORTION_CHARS = 100_000
PORTION_LINES = 4_000
_CONTINUES = QTextFormat.Property.UserProperty.value
_PARAGRAPH_SEPARATOR = "\u2029"


def insert_text(cursor: QTextCursor, text: str) -> None:
    """Replace the cursor's selection by `text`. One step for undo."""
    cursor.beginEditBlock()
    cursor.removeSelectedText()
    waiting: list[str] = []
    is_first = True
    for line in text.split("\n"):
        if len(line) <= PIECE_CHARS and not is_first:
            waiting.append(line)
            continue
        _insert_short_lines(cursor, waiting)
        waiting = []
        if not is_first:
            insert_line_break(cursor)
        _insert_line(cursor, line)
        is_first = False
    _insert_short_lines(cursor, waiting)
    cursor.endEditBlock()


def portions(text: str) -> Iterator[str]:
    """The text in portions that can each be inserted within a frame, about 16 ms."""
    start = 0
    while start < len(text):
        end = start + PORTION_CHARS
        at = start - 1
        for _ in range(PORTION_LINES):
            at = text.find("\n", at + 1, end)
            if at < 0:
                break
        else:
            end = at + 1
        yield text[start:end]
        start = end


def insert_line_break(cursor: QTextCursor) -> None:
    """Begin a new line at the cursor."""
    cursor.insertBlock(QTextBlockFormat())


def text_of(document: QTextDocument) -> str:
    """The whole text, lines joined by line feeds."""
    if not any(format_.hasProperty(_CONTINUES) for format_ in document.allFormats()):
        return document.toRawText().replace(_PARAGRAPH_SEPARATOR, "\n")
    return _join(_blocks(document.begin()), 0, document.characterCount())


def selected_text(cursor: QTextCursor) -> str:
    """The selected text, lines joined by line feeds."""
    first = cursor.document().findBlock(cursor.selectionStart())
    return _join(_blocks(first), cursor.selectionStart(), cursor.selectionEnd())


def has_text(document: QTextDocument) -> bool:
    """Whether there is anything but white space; looks no further than it must."""
    return any(block.text().strip() for block in _blocks(document.begin()))


def _insert_short_lines(cursor: QTextCursor, lines: list[str]) -> None:
    if lines:
        insert_line_break(cursor)
        cursor.insertText("\n".join(lines))


def _insert_line(cursor: QTextCursor, line: str) -> None:
    going_on = QTextBlockFormat()
    going_on.setProperty(_CONTINUES, True)
    for number, piece in enumerate(_pieces(line)):
        if number:
            cursor.insertBlock(going_on)
        cursor.insertText(piece)


def _pieces(line: str) -> Iterator[str]:
    start = 0
    while len(line) - start > PIECE_CHARS:
        end = _breaking_point(line, start)
        yield line[start:end]
        start = end
    yield line[start:]


def _breaking_point(line: str, start: int) -> int:
    """Behind a space near the limit, else between two characters as a reader sees them."""
    limit = start + PIECE_CHARS
    space = line.rfind(" ", limit - SPACE_WITHIN_CHARS, limit)
    if space >= 0:
        return space + 1
    window = line[limit - SPACE_WITHIN_CHARS : limit + SPACE_WITHIN_CHARS]
    finder = QTextBoundaryFinder(QTextBoundaryFinder.BoundaryType.Grapheme, window)
    # The finder counts UTF-16 units, Python characters.
    finder.setPosition(len(window[:SPACE_WITHIN_CHARS].encode("utf-16-le")) // 2 + 1)
    boundary_units = finder.toPreviousBoundary()
    before = window.encode("utf-16-le")[: max(0, boundary_units) * 2].decode("utf-16-le")
    return limit - SPACE_WITHIN_CHARS + len(before) if before else limit


def _blocks(block: QTextBlock) -> Iterator[QTextBlock]:
    while block.isValid():
        yield block
        block = block.next()


def _join(blocks: Iterator[QTextBlock], start: int, end: int) -> str:
    """The text between two positions of the document, which count UTF-16 units."""
    parts: list[str] = []
    for block in blocks:
        at = block.position()
        if at > end:
            break
        if parts and not block.blockFormat().hasProperty(_CONTINUES):
            parts.append("\n")
        parts.append(_slice(block.text(), start - at, end - at))
    return "".join(parts)


def _slice(text: str, start: int, end: int) -> str:
    if start <= 0 and end >= 2 * len(text):
        return text
    units = text.encode("utf-16-le", "surrogatepass")
    return units[max(0, start) * 2 : max(0, end) * 2].decode("utf-16-le", "surrogatepass")
