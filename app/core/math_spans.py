r"""Finds TeX formulas inside a paragraph of Markdown and puts one marker character in the place of each.

Markdown would take `_`, `*` and `\(` inside a formula for its own marks; a marker passes through it untouched and
is replaced by the drawn formula afterwards. Delimiters: `$…$` and `\(…\)` inline, `$$…$$` and `\[…\]` in display style.
A dollar sign is a delimiter only as Pandoc has it: no space inside next to it, no digit behind the closing one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MARKER_BASE = 0x100000
"""Markers are characters of plane 16, which is for private use: MARKER_BASE + index of the formula."""
MARKER_COUNT = 0xFFFD

_PRIVATE = re.compile("[\U00100000-\U0010fffd]")
_SPAN = re.compile(
    r"(?P<code>(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`))"  # code is left alone
    r"|(?P<escape>\\[\\$`])"
    r"|(?P<address>https?://[^\s<>]+)"  # may have dollar signs of its own
    r"|\$\$(?P<display>[^$]+?)\$\$"
    r"|\\\[(?P<bracket>.+?)\\\]"
    r"|\\\((?P<paren>.+?)\\\)"
    r"|(?<![\w$])\$(?![\s$])(?P<inline>(?:[^$\n\\]|\\.)+?)(?<!\s)\$(?![\d$])",
    re.DOTALL,
)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True, slots=True)
class Formula:
    """One formula: its TeX, its source with delimiters, and whether it is set in display style."""

    tex: str
    source: str
    display: bool = False


@dataclass(frozen=True, slots=True)
class MarkedText:
    """Markdown in which the i-th formula is the character `chr(MARKER_BASE + i)`."""

    text: str
    formulas: tuple[Formula, ...]


def mark_formulas(markdown: str) -> MarkedText:
    """Replace every formula outside code by its marker. Markers that a text brings along become U+FFFD."""
    if _PRIVATE.search(markdown):
        markdown = _PRIVATE.sub("\ufffd", markdown)
    if "$" not in markdown and "\\(" not in markdown and "\\[" not in markdown:
        return MarkedText(markdown, ())
    formulas: list[Formula] = []

    def replace(match: re.Match[str]) -> str:
        whole = match[0]
        tex = next((match[group] for group in ("display", "bracket", "paren", "inline") if match[group]), "")
        if not tex.strip() or _BLANK_LINE.search(tex) or len(formulas) >= MARKER_COUNT:
            return whole
        display = match["display"] is not None or match["bracket"] is not None
        formulas.append(Formula(tex.strip(), whole, display))
        return chr(MARKER_BASE + len(formulas) - 1)

    return MarkedText(_SPAN.sub(replace, markdown), tuple(formulas))
