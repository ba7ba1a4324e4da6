"""What the engine runs on."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.core.events import DevicesListed, Event, ModelInfo
from app.engine.client import EngineClient
from app.engine.protocol import Devices
from app.services.models import ModelService


class HardwareService(QObject):
    """Asks the engine for its devices whenever a model has been loaded: the free memory is then another."""

    devices_listed = Signal(object)  # DevicesListed

    def __init__(self, engine: EngineClient, models: ModelService, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._request_id = 0
        engine.event_received.connect(self._on_event)
        models.loaded.connect(self._on_loaded)

    def refresh(self) -> None:
        """Ask again."""
        request = Devices(self._engine.next_id())
        self._request_id = request.id
        self._engine.send(request)

    def _on_loaded(self, model: ModelInfo) -> None:
        self.refresh()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, DevicesListed) and event.request_id == self._request_id:
            self.devices_listed.emit(event)
