"""The colours of the theme for the kinds of words in code."""

from __future__ import annotations

from pygments.token import Token, _TokenType
from PySide6.QtGui import QColor, QTextCharFormat

from app.ui.theme import ThemeColors


class CodeColors:
    """Finds the character format of a Pygments token; None for plain text."""

    def __init__(self, theme: ThemeColors) -> None:
        self._formats: dict[_TokenType, QTextCharFormat | None] = {Token: None}
        for token, color in (
            (Token.Keyword, theme.code_keyword),
            (Token.Operator, theme.code_operator),
            (Token.Operator.Word, theme.code_keyword),
            (Token.Name.Function, theme.code_name),
            (Token.Name.Class, theme.code_name),
            (Token.Name.Tag, theme.code_keyword),
            (Token.Name.Attribute, theme.code_name),
            (Token.Name.Decorator, theme.code_builtin),
            (Token.Name.Builtin, theme.code_builtin),
            (Token.Keyword.Type, theme.code_builtin),
            (Token.Literal.String, theme.code_string),
            (Token.Literal.Number, theme.code_number),
            (Token.Comment, theme.code_comment),
            (Token.Generic.Deleted, theme.code_deleted),
            (Token.Generic.Inserted, theme.code_inserted),
            (Token.Generic.Heading, theme.code_name),
        ):
            text_format = QTextCharFormat()
            text_format.setForeground(QColor(color))
            self._formats[token] = text_format

    def format_of(self, token: _TokenType) -> QTextCharFormat | None:
        """The format of the nearest ancestor that has one."""
        if token not in self._formats:
            self._formats[token] = self.format_of(token.parent) if token.parent is not None else None
        return self._formats[token]
