"""Ends the engine child when nothing was asked of it for a while: its memory is the person's."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer

from app.core.events import CLOSING_EVENTS, Event
from app.engine.client import EngineClient
from app.services.models import ModelService
from app.services.settings import SettingsService

MINUTE_MS = 60_000
_LONGEST_MS = 24 * 60 * MINUTE_MS  # timers count in 32 bits


class EngineRest(QObject):
    """Watches what is asked of the engine, and lets the model rest after the minutes that the person set.

    Only a child that has nothing to do is ended; counting the tokens of a draft or deleting chats wakes nobody.
    """

    def __init__(
        self,
        engine: EngineClient,
        models: ModelService,
        settings: SettingsService,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._models = models
        self._settings = settings
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_timeout)
        engine.event_received.connect(self._on_event)
        models.touched.connect(self._restart)
        settings.changed.connect(self._on_setting_changed)

    def _restart(self) -> None:
        minutes = self._settings.integer("model.idle_minutes")
        if minutes and self._engine.is_running:
            self._timer.start(min(minutes * MINUTE_MS, _LONGEST_MS))
        else:
            self._timer.stop()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, CLOSING_EVENTS):
            self._restart()

    def _on_setting_changed(self, key: str) -> None:
        if key == "model.idle_minutes":
            self._restart()

    def _on_timeout(self) -> None:
        if self._engine.is_busy or self._models.is_loading:
            self._restart()
        elif self._engine.is_running:
            self._models.rest()
