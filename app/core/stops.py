"""Finds stop strings in text that arrives in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NESTED_CHARACTERS = 64


def partial_suffix_pattern(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Matches the longest end of a string that may be the beginning of one of `texts`; None if there is no such.

    Complete occurrences are not its business; look for them first.
    """
    arms = [_proper_prefixes(text) for text in texts if len(text) > 1]
    return re.compile(rf"(?:{'|'.join(arms)})\Z") if arms else None


def _proper_prefixes(text: str) -> str:
    """A pattern for `text` without its last character, without its last two and so on, longest first.

    Behind the first characters of a very long text anything goes, since patterns cannot be nested without end: then
    more waits than must.
    """
    pattern = r"[\s\S]*" if len(text) > _NESTED_CHARACTERS else ""
    for character in reversed(text[:-1][:_NESTED_CHARACTERS]):
        pattern = f"{re.escape(character)}(?:{pattern})?" if pattern else re.escape(character)
    return pattern


class StopFinder:
    """Lets text through up to the first stop string; what may be the beginning of one waits for more.

    `found` is the stop string that was met; after that nothing comes through.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        texts = sorted({stop for stop in stops if stop}, key=len, reverse=True)
        self._whole = re.compile("|".join(map(re.escape, texts))) if texts else None
        self._partial = partial_suffix_pattern(texts)
        self._longest = max(map(len, texts), default=0)
        self._held = ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        """More text; returns what is certainly not part of a stop string."""
        if self._whole is None:
            return text
        if self.found is not None:
            return ""
        text = self._held + text
        if match := self._whole.search(text):
            self.found = match.group()
            self._held = ""
            return text[: match.start()]
        if self._partial is not None and (partial := self._partial.search(text, max(0, len(text) - self._longest + 1))):
            self._held = text[partial.start() :]
            return text[: partial.start()]
        self._held = ""
        return text

    def finish(self) -> str:
        """No more text comes: returns what was held back."""
        held, self._held = self._held, ""
        return held
