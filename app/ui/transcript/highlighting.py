"""Colours for code, laid over a document a few lines at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound
from PySide6.QtGui import QTextDocument, QTextLayout

from app.ui.transcript.code_colors import CodeColors
from app.ui.transcript.slices import Job

LIMIT_CHARS = 200_000
"""Code beyond this length stays in one colour."""
_TOKENS_PER_STEP = 60
_WAIT_MS = 15  # while a lexer is being loaded


class LexerShelf:
    """The lexers in use, by language. Their modules are large: each is loaded beside the main thread."""

    def __init__(self) -> None:
        self._lexers: dict[str, Lexer | None] = {}
        self._asked_for: set[str] = set()

    def is_ready(self, language: str) -> bool:
        """Whether `lexer` can answer; the first call begins to load."""
        if language not in self._asked_for:
            self._asked_for.add(language)
            threading.Thread(target=self._load, args=(language,), name="code-lexer").start()
        return language in self._lexers

    def lexer(self, language: str) -> Lexer | None:
        """The lexer of a language; None when there is none, or nothing to colour."""
        return self._lexers.get(language)

    def _load(self, language: str) -> None:
        lexer: Lexer | None = None
        try:
            lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
            next(iter(lexer.get_tokens("x")), None)  # compiles its regular expressions
        except ClassNotFound:
            pass
        finally:
            self._lexers[language] = None if isinstance(lexer, TextLexer) else lexer


def highlight(document: QTextDocument, code: str, language: str, shelf: LexerShelf, colors: CodeColors) -> Job:
    """A job that colours `document`, whose text begins with `code`. Layout is untouched: colours change no widths."""
    if len(code) > LIMIT_CHARS:
        return
    while not shelf.is_ready(language):
        yield _WAIT_MS
    lexer = shelf.lexer(language)
    if lexer is None:
        return
    block = document.begin()
    dirty_from = 0
    for count, formats in enumerate(_line_formats(lexer, code, colors)):
        if not block.isValid():
            return
        if formats is not None:
            block.layout().setFormats(formats)
            block = block.next()
        if count % _TOKENS_PER_STEP == _TOKENS_PER_STEP - 1:
            end = block.position() if block.isValid() else document.characterCount()
            document.markContentsDirty(dirty_from, end - dirty_from)
            dirty_from = end
            yield 0
    document.markContentsDirty(dirty_from, document.characterCount() - dirty_from)


def _line_formats(lexer: Lexer, code: str, colors: CodeColors) -> Iterator[list[QTextLayout.FormatRange] | None]:
    """For every token None, and for every finished line its ranges (columns in UTF-16 units, as Qt counts)."""
    line: list[QTextLayout.FormatRange] = []
    column = 0
    for token, value in lexer.get_tokens(code):
        text_format = colors.format_of(token)
        for index, part in enumerate(value.split("\n")):
            if index:
                yield line
                line, column = [], 0
            length = len(part) if part.isascii() else len(part.encode("utf-16-le", "surrogatepass")) // 2
            if text_format is not None and length:
                span = QTextLayout.FormatRange()
                span.start, span.length, span.format = column, length, text_format
                line.append(span)
            column += length
        yield None
    yield line
