"""Asks the engine how many tokens a conversation has."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from app.core.errors import UserError
from app.core.events import Counted, Event
from app.engine.client import EngineClient
from app.engine.protocol import ChatMessage, Count


class TokenCounter(QObject):
    """Answers come in their own time; none is forgotten, even when the engine dies. Main thread only."""

    def __init__(self, engine: EngineClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._waiting: dict[int, Callable[[Counted | None], None]] = {}
        engine.event_received.connect(self._on_event)
        engine.died.connect(self._on_died)

    def count(self, messages: list[ChatMessage], then: Callable[[Counted | None], None]) -> None:
        """Ask for the number of tokens; `then` gets None when the engine cannot say."""
        request = Count(self._engine.next_id(), tuple(messages))
        self._waiting[request.id] = then
        self._engine.send(request)

    def _on_event(self, event: Event) -> None:
        then = self._waiting.pop(getattr(event, "request_id", -1), None)
        if then is not None:
            then(event if isinstance(event, Counted) else None)

    def _on_died(self, error: UserError) -> None:
        waiting, self._waiting = list(self._waiting.values()), {}
        for then in waiting:
            then(None)
