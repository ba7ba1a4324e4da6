"""Colours for code, laid over a document a few lines at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

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


@lru_cache(maxsize=32)
def _lexer_for(language: str) -> Lexer:
    try:
        return get_lexer_by_name(language or "text", stripnl=False, ensurenl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False, ensurenl=False)


def highlight(document: QTextDocument, code: str, language: str, colors: CodeColors) -> Job:
    """A job that colours `document`, whose text begins with `code`. Layout is untouched: colours change no widths."""
    yield 0  # the first slice pays for nothing but being queued
    lexer = _lexer_for(language)
    if isinstance(lexer, TextLexer) or len(code) > LIMIT_CHARS:
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
