"""Cuts Markdown into blocks while it is being written.

An answer arrives a few characters at a time. The splitter is fed every piece once and keeps two things: `done`, blocks
that no later text can change, and `tail`, the one block that still grows. A window then lays out only the tail again.

It knows just enough Markdown (CommonMark 0.31 and GitHub's tables) to see where blocks end: fences, display formulas,
tables and lists. What stands inside a block is left to the Markdown reader that draws it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

PROSE_LIMIT_CHARS = 1_200
"""A prose block ends at the first paragraph break behind this length, so that the tail stays cheap to lay out."""
LIST_LIMIT_CHARS = 2_400
"""A list goes on in another block from the first outermost item behind this length, or any item behind twice of it."""
LINE_LIMIT_CHARS = 3_000
"""A paragraph longer than this is cut, behind a sentence if it has any: no person's paragraph is that long."""
WORD_LIMIT_CHARS = 1_000
"""So much without a space or the end of a sentence is cut: so many emoji take 27 ms to be laid out."""
TABLE_LIMIT_LINES = 22
"""A table longer than this goes on in another block under the same head, as tables on the next page do."""
WHOLE_ROWS_FROM_LINES = 12
"""A table longer than this shows a row only when it is complete."""
FORMULA_LIMIT_LINES = 60
"""A display formula that has not ended after so many lines was no formula."""


class BlockKind(StrEnum):
    """What a block is drawn as."""

    PROSE = "prose"
    CODE = "code"
    MATH = "math"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Block:
    """One block.

    `source` is every character it was made from (the sources of all blocks, joined, are the text); `text` is what to
    show: prose without its list's indentation, code without its fences, a formula without its delimiters. `indent` is
    the column at which a block inside a list stands. `closed` is False while more text could belong to it.
    `continues_list` marks the further blocks of one long list; their numbers go on in `text`.
    """

    kind: BlockKind
    source: str
    text: str
    language: str = ""
    indent: int = 0
    closed: bool = True
    continues_list: bool = False


_FENCE = re.compile(r"[ \t]*(?P<fence>`{3,}(?=[^`]*$)|~{3,})[ \t]*(?P<info>.*)$")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)")
_ITEM_NUMBER = re.compile(r"([ \t]*)(\d{1,9})(?=[.)])")
_SENTENCE_END = re.compile(r"[.!?…](?: |$)|[。！？]")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$")
_DELIMITER_CELL = re.compile(r":?-+:?")
_ENVIRONMENT = re.compile(r"\\begin\{((?:equation|align|alignat|gather|multline|eqnarray)\*?)\}")
_CODE_LANGUAGE = re.compile(r"[\w+#.-]+")


def split(text: str) -> list[Block]:
    """All blocks of a finished text."""
    splitter = BlockSplitter()
    splitter.feed(text)
    splitter.finish()
    return splitter.blocks()


class BlockSplitter:
    """The state of a text that is still being written."""

    def __init__(self) -> None:
        self.done: list[Block] = []
        self._lines: list[str] = []  # the whole lines of the open block, as they came
        self._size = 0  # characters in _lines
        self._pending = ""  # the line that has not ended yet
        self._kind = BlockKind.PROSE
        self._fence = ""  # what opened the code block, e.g. "````"
        self._closer = ""  # what ends the formula: "$$", "\]" or "\end{...}"
        self._language = ""
        self._indent = 0
        self._in_list = False
        self._item_number: int | None = None  # of the last item on the outermost level, where those are numbered
        self._first_number: int | None = None  # what the first item of the open block must be numbered, if known
        self._continues_list = False
        self._table_head: list[str] = []  # the head and the delimiter row of the open table
        self._repeated_head: list[str] = []  # the same, where the open block is not the first of its table
        self._after_blank = True

    def feed(self, text: str) -> None:
        """Take more text; pieces may end anywhere."""
        *lines, pending = (self._pending + text).split("\n")
        for line in lines:
            self._take(self._cut_overlong(line) + "\n")
        self._pending = self._cut_overlong(pending)

    def finish(self) -> None:
        """Take the last line although no line break followed it. More text may still be fed as a new line."""
        line, self._pending = self._pending, ""
        if line:
            self._take(line)
        if self._kind is BlockKind.MATH:
            self._kind = BlockKind.PROSE  # it never ended: show what was written

    @property
    def tail(self) -> Block:
        """The block that still grows; its text is empty when there is none."""
        lines = self._lines
        if self._pending and self._shows_pending():
            lines = [*lines, self._pending]
        source = "".join(self._lines) + self._pending
        return self._make(lines, source, closed=False)

    def blocks(self) -> list[Block]:
        """Everything there is to show so far."""
        tail = self.tail
        return [*self.done, tail] if tail.text or tail.kind is BlockKind.CODE else list(self.done)

    # -- one line at a time

    def _take(self, line: str) -> None:
        match self._kind:
            case BlockKind.CODE:
                self._take_code(line)
            case BlockKind.MATH:
                self._take_math(line)
            case BlockKind.TABLE if "|" in line:
                self._take_row(line)
            case BlockKind.TABLE:
                self._close()
                self._take_prose(line)
            case BlockKind.PROSE:
                self._take_prose(line)

    def _take_code(self, line: str) -> None:
        self._push(line)
        mark = line.strip()
        if len(mark) >= len(self._fence) and not mark.strip(self._fence[0]):
            self._close()

    def _take_math(self, line: str) -> None:
        stripped = line.strip()
        has_content = any(part.strip(" \t\n$[\\") for part in self._lines)
        if (not stripped and has_content) or len(self._lines) > FORMULA_LIMIT_LINES:
            self._kind = BlockKind.PROSE  # no formula after all: show what was written
            self._take_prose(line)
            return
        self._push(line)
        if stripped.endswith(self._closer):
            self._close()

    def _take_row(self, line: str) -> None:
        if len(self._lines) >= TABLE_LIMIT_LINES:
            head, indent = self._table_head, self._indent
            self._close()
            self._kind = BlockKind.TABLE
            self._repeated_head, self._indent = head, indent
        self._push(line)

    def _take_prose(self, line: str) -> None:
        stripped = line.strip()
        if not stripped:
            self._push(line)
            self._after_blank = True
            return
        indent = _indent_of(line)
        starts_item = bool(_LIST_ITEM.match(line)) and not _RULE.match(line)
        if indent < 2 and not starts_item and self._ends_paragraph(line):
            self._in_list = False
        inside = self._in_list and indent >= 2
        if (indent <= 3 or inside) and (fence := _FENCE.match(line.rstrip("\n"))):
            self._open_code(line, fence, indent)
        elif (indent <= 3 or inside) and (closer := _formula_closer(stripped)):
            self._open_math(line, stripped, closer, indent)
        elif self._is_delimiter_row(line):
            self._open_table(line)
        else:
            self._push_prose(line, indent, starts_item)
        self._after_blank = False

    def _push_prose(self, line: str, indent: int, starts_item: bool) -> None:
        if self._has_text():
            leaves_indent = indent < self._indent
            long_enough = self._size > PROSE_LIMIT_CHARS and self._after_blank and indent <= 3
            endless = self._size > LINE_LIMIT_CHARS  # many lines without a paragraph break
            item_limit = LIST_LIMIT_CHARS if indent < 2 else 2 * LIST_LIMIT_CHARS
            if leaves_indent or ((long_enough or endless) and not self._in_list):
                self._close()
            elif starts_item and self._in_list and self._size > item_limit:
                self._close()
                self._continues_list = True
        if not self._has_text() and self._in_list and indent >= 2:
            self._indent = indent  # goes on inside a list that code or a formula interrupted
        if starts_item and indent < 2:
            self._count_item(line)
        self._in_list = self._in_list or starts_item
        self._push(line)

    def _ends_paragraph(self, line: str) -> bool:
        """Whether `line` cannot go on with the paragraph before it, and hence not with that paragraph's list item."""
        return self._after_blank or not self._has_text() or bool(_HEADING.match(line) or _RULE.match(line))

    def _count_item(self, line: str) -> None:
        """Number the items as Markdown does: by counting on from the first, whatever the later ones say."""
        match = _ITEM_NUMBER.match(line)
        if match is None:
            self._item_number = None
            return
        counts_on = self._in_list and self._item_number is not None
        self._item_number = (self._item_number or 0) + 1 if counts_on else int(match[2])
        if not self._has_text():
            self._first_number = self._item_number

    # -- opening and closing

    def _open_code(self, line: str, fence: re.Match[str], indent: int) -> None:
        self._close()
        language = _CODE_LANGUAGE.match(fence["info"].strip().removeprefix("{").lstrip("."))
        self._kind = BlockKind.CODE
        self._fence = fence["fence"]
        self._language = language[0] if language else ""
        self._indent = indent
        self._push(line)

    def _open_math(self, line: str, stripped: str, closer: str, indent: int) -> None:
        self._close()
        self._kind = BlockKind.MATH
        self._closer = closer
        self._indent = indent if indent >= 2 else 0
        self._push(line)
        if len(stripped) > len(closer) + 1 and stripped.endswith(closer):
            self._close()

    def _is_delimiter_row(self, line: str) -> bool:
        """Whether `line` makes the line before it the head of a table."""
        if "|" not in line or not self._lines or "|" not in self._lines[-1]:
            return False
        head, marks = self._lines[-1], _cells(line)
        is_marked = all(_DELIMITER_CELL.fullmatch(cell.strip()) for cell in marks)
        return is_marked and not _LIST_ITEM.match(head) and len(_cells(head)) == len(marks)

    def _open_table(self, line: str) -> None:
        head = self._lines.pop()
        self._size -= len(head)
        self._close()
        self._kind = BlockKind.TABLE
        self._indent = _indent_of(head) if self._in_list else 0
        self._table_head = [head, line]
        self._push(head)
        self._push(line)

    def _push(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line)

    def _has_text(self) -> bool:
        return any(line.strip() for line in self._lines)

    def _close(self) -> None:
        """Make the open block a done one; blank lines alone wait for the next block."""
        if self._kind is BlockKind.PROSE and not self._has_text():
            return
        self.done.append(self._make(self._lines, "".join(self._lines), closed=True))
        self._lines = []
        self._size = 0
        self._kind = BlockKind.PROSE
        self._indent = 0
        self._language = ""
        self._continues_list = False
        self._first_number = None
        self._repeated_head = []

    def _make(self, lines: list[str], source: str, *, closed: bool) -> Block:
        match self._kind:
            case BlockKind.CODE:
                text = _code_text(lines, self._indent, self._fence)
                if self._language == "math":  # GitHub's fence for formulas
                    return Block(BlockKind.MATH, source, text, indent=self._indent, closed=closed)
            case BlockKind.MATH:
                text = _formula_text("".join(lines))
            case _:
                text = _dedent([*self._repeated_head, *lines], self._indent).strip("\n")
                if self._first_number is not None:
                    text = _ITEM_NUMBER.sub(rf"\g<1>{self._first_number}", text, count=1)
        return Block(self._kind, source, text, self._language, self._indent, closed, self._continues_list)

    def _shows_pending(self) -> bool:
        """Whether the unfinished line is shown; the beginnings of fences and formulas would only flicker."""
        stripped = self._pending.strip()
        match self._kind:
            case BlockKind.CODE:
                return bool(stripped.strip(self._fence[0])) or not stripped
            case BlockKind.TABLE:
                return "|" in stripped and len(self._lines) < WHOLE_ROWS_FROM_LINES
            case BlockKind.PROSE:
                return not stripped.startswith(("```", "~~~", "$$", "\\[", "\\begin{"))
            case BlockKind.MATH:
                return True

    def _cut_overlong(self, line: str) -> str:
        while self._kind is BlockKind.PROSE and len(line) > (limit := _limit_chars(line)):
            sentences = [match.end() for match in _SENTENCE_END.finditer(line, 0, limit)]
            cut = sentences[-1] if sentences else line.rfind(" ", 0, limit) + 1 or limit
            self._take(line[:cut])
            self._close()
            line = line[cut:]
        return line


def _limit_chars(line: str) -> int:
    """How long a line may be; shorter when it begins with an endless word."""
    if len(line) <= WORD_LIMIT_CHARS or " " in line[:WORD_LIMIT_CHARS]:
        return LINE_LIMIT_CHARS
    return LINE_LIMIT_CHARS if _SENTENCE_END.search(line, 0, WORD_LIMIT_CHARS) else WORD_LIMIT_CHARS


def _indent_of(line: str) -> int:
    """Columns of white space in front of a line; tabs stand at every fourth column."""
    column = 0
    for char in line:
        if char == " ":
            column += 1
        elif char == "\t":
            column += 4 - column % 4
        else:
            break
    return column


def _dedent(lines: list[str], columns: int) -> str:
    """Join lines, each without up to `columns` columns of white space."""
    if not columns:
        return "".join(lines)
    cut = []
    for line in lines:
        start = column = 0
        while start < len(line) and column < columns and line[start] in " \t":
            column += 1 if line[start] == " " else 4 - column % 4
            start += 1
        cut.append(line[start:])
    return "".join(cut)


def _code_text(lines: list[str], indent: int, fence: str) -> str:
    """The lines between the fences."""
    first = next((i for i, line in enumerate(lines) if line.strip()), 0) + 1  # blank lines may stand before the fence
    last = len(lines)
    if last > first:
        mark = lines[-1].strip()
        if len(mark) >= len(fence) and not mark.strip(fence[0]):
            last -= 1
    text = _dedent(lines[first:last], indent)
    return text.removesuffix("\n").removesuffix("\r")


def _formula_closer(stripped: str) -> str:
    """What would end the display formula that this line begins; empty when it begins none."""
    if stripped.startswith("$$"):
        inner = stripped[2:].find("$$")
        # text behind the closing marks: a formula within a sentence
        return "$$" if inner < 0 or inner + 4 == len(stripped) else ""
    if stripped.startswith("\\["):
        inner = stripped.find("\\]")
        return "\\]" if inner < 0 or inner + 2 == len(stripped) else ""
    if environment := _ENVIRONMENT.match(stripped):
        return f"\\end{{{environment[1]}}}"
    return ""


def _formula_text(source: str) -> str:
    """TeX without the delimiters; an environment keeps them, they are part of its TeX."""
    text = source.strip()
    for opener, closer in (("$$", "$$"), ("\\[", "\\]")):
        if text.startswith(opener):
            return text.removeprefix(opener).removesuffix(closer).strip()
    return text


def _cells(row: str) -> list[str]:
    """The cells of a table row; a bar behind a backslash parts none."""
    return re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|"))
