"""The help topics that come with the app: one source for the help page and for the built-in model's answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HelpTopic:
    """One topic; `answer` is the short form in plain text, `body` the full one in Markdown."""

    id: str
    section: str
    title: str
    answer: str
    body: str
    keywords: tuple[str, ...]

    def matches(self, words: list[str]) -> bool:
        """Whether every word (lower case) occurs somewhere in the topic."""
        text = " ".join((self.title, self.answer, self.body, *self.keywords)).casefold()
        return all(word in text for word in words)


def load_help_topics(path: Path) -> list[HelpTopic]:
    """The topics in the order of the file. Raises OSError, ValueError or KeyError for a damaged installation."""
    return [
        HelpTopic(
            id=item["id"],
            section=item["section"],
            title=item["title"],
            answer=item["answer"],
            body=item["body"],
            keywords=tuple(item["keywords"]),
        )
        for item in json.loads(path.read_text("utf-8"))
    ]
