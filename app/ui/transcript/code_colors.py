"""Colours for code: one table for light and one for dark backgrounds, each at least 4.5 : 1 against its surface."""

from __future__ import annotations

from collections.abc import Mapping

from pygments.token import Token, _TokenType
from PySide6.QtGui import QColor, QTextCharFormat

_LIGHT = {
    Token.Keyword: "#7a3ec0",
    Token.Operator.Word: "#7a3ec0",
    Token.Name.Function: "#1a5fb4",
    Token.Name.Builtin: "#1a5fb4",
    Token.Name.Class: "#8f4a00",
    Token.Name.Decorator: "#8f4a00",
    Token.Name.Tag: "#1a6e3c",
    Token.Name.Attribute: "#8f4a00",
    Token.Literal.String: "#1a6e3c",
    Token.Literal.Number: "#a5274a",
    Token.Comment: "#646c77",
    Token.Generic.Deleted: "#b3261e",
    Token.Generic.Inserted: "#1a6e3c",
    Token.Generic.Heading: "#1a5fb4",
}
_DARK = {
    Token.Keyword: "#c9a6f5",
    Token.Operator.Word: "#c9a6f5",
    Token.Name.Function: "#82b8ff",
    Token.Name.Builtin: "#82b8ff",
    Token.Name.Class: "#f3b26b",
    Token.Name.Decorator: "#f3b26b",
    Token.Name.Tag: "#84d69a",
    Token.Name.Attribute: "#f3b26b",
    Token.Literal.String: "#84d69a",
    Token.Literal.Number: "#f29bb2",
    Token.Comment: "#949da9",
    Token.Generic.Deleted: "#ff8f86",
    Token.Generic.Inserted: "#84d69a",
    Token.Generic.Heading: "#82b8ff",
}


class CodeColors:
    """Finds the character format of a Pygments token; None for plain text."""

    def __init__(self, *, is_dark: bool) -> None:
        table: Mapping[_TokenType, str] = _DARK if is_dark else _LIGHT
        self._formats: dict[_TokenType, QTextCharFormat | None] = {Token: None}
        for token, color in table.items():
            text_format = QTextCharFormat()
            text_format.setForeground(QColor(color))
            self._formats[token] = text_format

    def format_of(self, token: _TokenType) -> QTextCharFormat | None:
        """The format of the nearest ancestor that has one."""
        if token not in self._formats:
            self._formats[token] = self.format_of(token.parent) if token.parent is not None else None
        return self._formats[token]
