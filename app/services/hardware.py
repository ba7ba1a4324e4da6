"""What the engine runs on: lists devices, and measures them once, when nobody waits for the engine."""

from __future__ import annotations

import logging

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import UserError
from app.core.events import HOST, DevicesListed, DeviceTested, Event, Failed, LoadCancelled, ModelInfo
from app.engine.attempts import AttemptJournal
from app.engine.client import EngineClient
from app.engine.protocol import Devices, Stop, TestDevice
from app.services.device_choice import DeviceChoice
from app.services.explain_devices import self_test_crashed
from app.services.models import ModelService

log = logging.getLogger(__name__)
SELF_TEST_DELAY_MS = 5_000


class HardwareService(QObject):
    """Asks the engine for its devices whenever a model has been loaded: the free memory is then another.

    Devices whose speed is not known, or in doubt, are tested some seconds later, one by one; a person who does anything
    comes first.
    """

    devices_listed = Signal(object)  # DevicesListed
    noticed = Signal(str)

    def __init__(
        self,
        engine: EngineClient,
        models: ModelService,
        choice: DeviceChoice,
        journal: AttemptJournal,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.listed: DevicesListed | None = None  # as it was last
        self._engine = engine
        self._models = models
        self._journal = journal
        self.choice = choice
        self._list_id = 0
        self._test: TestDevice | None = None
        self._failed: set[str] = set()  # devices whose test failed: not again before the next start
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SELF_TEST_DELAY_MS)
        self._timer.timeout.connect(self._test_next)
        engine.event_received.connect(self._on_event)
        engine.died.connect(self._on_died)
        models.loaded.connect(self._on_loaded)
        models.unloaded.connect(self._timer.stop)
        models.touched.connect(self._on_touched)
        choice.changed.connect(models.reload_if_idle)
        choice.servers_changed.connect(self._on_servers_changed)
        choice.doubted.connect(self._timer.start)

    def refresh(self) -> None:
        """Ask for the devices again."""
        request = Devices(self._engine.next_id(), self.choice.rpc_servers)
        self._list_id = request.id
        self._engine.send(request)

    def retry(self) -> None:
        """Try devices again that failed, with a fresh engine."""
        self._journal.forget()
        self._failed.clear()
        self._models.restart()

    def _on_loaded(self, model: ModelInfo) -> None:
        self.refresh()

    def _on_servers_changed(self) -> None:
        self._failed.clear()
        if self.listed is not None:  # else a model is about to be loaded, and this is asked then
            self.refresh()

    def _on_touched(self) -> None:
        if self._test is not None:
            # Not by `EngineClient.stop`, which would end a child that is slow to stop: a driver may be compiling.
            self._engine.send(Stop(self._test.id))
        if self._timer.isActive():
            self._timer.start()

    def _test_next(self) -> None:
        due = next((name for name in self.choice.due if name not in self._failed), None)
        if due is None or self._test is not None or self._models.info is None:
            return
        if self._engine.is_busy:
            self._timer.start()
            return
        self._test = TestDevice(self._engine.next_id(), due, "")
        self._engine.send(self._test)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, DevicesListed) and event.request_id == self._list_id:
            self.choice.take(event)
            self.listed = event
            self.devices_listed.emit(event)
            self._timer.start()
            return
        if self._test is None or getattr(event, "request_id", 0) != self._test.id:
            return
        match event:
            case DeviceTested():
                self._test = None
                self.choice.record(event)
                self._test_next()
            case LoadCancelled():
                self._test = None
                self._timer.start()
            case Failed(error=error):
                log.info("the self-test of %s failed: %s", self._test.device, error)
                self._failed.add(self._test.device)
                self._test = None
                self._test_next()

    def _on_died(self, error: UserError) -> None:
        """A device that ended the engine is out, by the journal; the model comes back without it."""
        test, self._test = self._test, None
        self._timer.stop()
        if test is not None:
            if test.device == HOST:  # which is in no journal
                self.choice.give_up(HOST)
            self._failed.add(test.device)
            self._journal.settle()
            self.noticed.emit(self_test_crashed(next((d for d in self.choice.devices if d.name == test.device), None)))
            self._models.ensure_loaded()
