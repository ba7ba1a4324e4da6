"""A title for a conversation from its first message."""

from __future__ import annotations

import re

MAX_TITLE_LENGTH = 48
_LEADING_MARKS = re.compile(r"[\s#>|]+")
_INLINE_MARKS = re.compile(r"`+|(?<!\w)[*_~]+(?=\S)|(?<=\S)[*_~]+(?!\w)")  # not those within a_name or 2*3
_GREETING = re.compile(
    r"^(?:hi|hello|hey|good (?:morning|afternoon|evening)|dear \w+)\b"
    r"(?: (?:there|hearth|all))?[,.!:;-]*(?: [ ,.!:;–-]*|$)",
    re.IGNORECASE,
)


def title_from(text: str) -> str:
    """The first line that says something, without Markdown marks and greeting, cut at a word to 48 characters.

    Empty when the text has no word at all.
    """
    for line in text.splitlines():
        line = line[match.end() :] if (match := _LEADING_MARKS.match(line)) else line
        words = " ".join(_INLINE_MARKS.sub("", line).split())
        words = _GREETING.sub("", words) or words
        if any(char.isalnum() for char in words):
            return _cut(words[0].upper() + words[1:])
    return ""


def _cut(words: str) -> str:
    if len(words) <= MAX_TITLE_LENGTH:
        return words
    head = words[: MAX_TITLE_LENGTH - 1]
    at = head.rfind(" ")
    return (head[:at] if at > MAX_TITLE_LENGTH // 2 else head).rstrip(" ,.;:-") + "…"
