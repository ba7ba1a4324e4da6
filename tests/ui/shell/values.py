"""Values that the pages show, shaped as the services give them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.services.help_topics import HelpTopic

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class ModelValue:
    path: str
    name: str
    size_bytes: int = 4_400_000_000
    architecture: str = "llama"
    parameters: int = 7_250_000_000
    last_used_at: datetime = NOW


@dataclass(frozen=True)
class BackupValue:
    created_at: datetime = NOW
    size_bytes: int = 2_400_000


@dataclass(frozen=True)
class Recorder:
    """Collects what a signal says."""

    calls: list[tuple[object, ...]] = field(default_factory=list)

    def __call__(self, *args: object) -> None:
        self.calls.append(args)


def topic(topic_id: str, section: str, title: str, body: str = "", *keywords: str) -> HelpTopic:
    return HelpTopic(topic_id, section, title, body, body or title, keywords)


TOPICS = [
    topic("send", "Start", "Send a message", "Press Enter in the message box.", "enter"),
    topic("new", "Start", "Start a new chat", "Press **Ctrl+N**. A context is fresh."),
    topic("context", "Models", "What the context is", "How much the model sees.", "window", "memory"),
]
