"""A command's conversation with the engine child: send requests, take events until the last one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from PySide6.QtCore import QCoreApplication, QEventLoop, QTimer

from app.core.errors import UserError
from app.core.events import CLOSING_EVENTS, DevicesListed, Event, Failed
from app.engine.attempts import AttemptJournal, AttemptKind
from app.engine.client import EngineClient
from app.engine.command import engine_command, engine_environment
from app.engine.protocol import Count, Devices, Generate, Load, TestDevice, Unload
from app.paths import Paths
from app.services.device_choice import AUTOMATIC, DeviceChoice
from app.services.settings import SettingsService

SIGNAL_POLL_MS = 50
SHUTDOWN_MS = 2000


class Session:
    """One engine child for the length of a command. `call` waits, which is fine without a window."""

    def __init__(self, client: EngineClient, journal: AttemptJournal) -> None:
        """`journal`: in which the child notes what it tries (`app.engine.attempts`)."""
        self._client = client
        self._journal = journal
        self._loop = QEventLoop()
        self._last: Event | None = None
        self._trouble: Exception | None = None
        self._request_id = 0
        self._on_event: Callable[[Event], None] | None = None
        self.is_interrupted = False
        client.event_received.connect(self._take)
        client.died.connect(self._on_died)

    def next_id(self) -> int:
        """An id for the next request."""
        return self._client.next_id()

    def call(
        self,
        request: Load | Generate | Count | Devices | TestDevice | Unload,
        on_event: Callable[[Event], None] | None = None,
    ) -> Event:
        """Send a request, pass its events on, return the last.

        Where a backend ended the engine before the request was begun, another engine gets it, which goes without.
        Raises UserError when it failed, KeyboardInterrupt when Ctrl+C came before it, and whatever `on_event` raises.
        """
        self._request_id, self._on_event, self._last = request.id, on_event, None
        self._client.send(request)
        if self.is_interrupted:  # before there was this request to stop
            raise KeyboardInterrupt
        last = self._wait()
        while isinstance(last, Failed) and self._lost_a_backend():
            self._last = None
            self._client.send(request)
            last = self._wait()
        if isinstance(last, Failed):
            raise last.error
        return last

    def interrupt(self) -> None:
        """Ctrl+C: stop the running request."""
        self.is_interrupted = True
        self._client.stop(self._request_id)

    def _lost_a_backend(self) -> bool:
        """Whether the engine died of starting one. The next engine does not start that again, so this ends."""
        return any(attempt.kind is AttemptKind.BACKEND for attempt in self._journal.settle())

    def _wait(self) -> Event:
        if self._last is None:  # an engine that cannot even be started may have said so at once
            self._loop.exec()
        if self._trouble is not None:
            raise self._trouble
        if self._last is None:
            raise AssertionError("the wait ended before the request")
        return self._last

    def _take(self, event: Event) -> None:
        if getattr(event, "request_id", None) != self._request_id or self._trouble is not None:
            return
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception as error:  # Qt would print it and go on
                self._trouble = error
                self._loop.quit()
                return
        if isinstance(event, CLOSING_EVENTS):
            self._last = event
            self._loop.quit()

    def _on_died(self, error: UserError) -> None:
        self._take(Failed(self._request_id, error))


@contextmanager
def engine_session(paths: Paths) -> Iterator[Session]:
    """A session with its own Qt core application; Ctrl+C interrupts the running request instead of the program."""
    application = QCoreApplication.instance() or QCoreApplication(["hearth"])
    command = engine_command(attempts=paths.attempts)
    client = EngineClient(command, paths.engine_log, application, engine_environment())
    journal = AttemptJournal(paths.attempts)
    session = Session(client, journal)
    wake = QTimer(application)  # lets Python see signals while Qt waits
    wake.start(SIGNAL_POLL_MS)

    def on_signal(number: int, frame: FrameType | None) -> None:
        session.interrupt()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield session
    finally:
        signal.signal(signal.SIGINT, before)
        wake.stop()
        client.shutdown(SHUTDOWN_MS)
        if session.is_interrupted:
            journal.strike()


def has_flash_attention(paths: Paths) -> bool:
    """Whether the processor computes models by flash attention where it suits, as the engine itself says."""
    try:
        with engine_session(paths) as session:
            listed = session.call(Devices(session.next_id()))
    except UserError:  # what is asked of the hub needs no engine
        return False
    return isinstance(listed, DevicesListed) and any(device.flash_attention for device in listed.devices)


def chosen_device(paths: Paths, model: str) -> str:
    """What the window would load a model file on: the person's choice, or what was fastest when it was measured."""
    with _choice(paths) as choice:
        return choice.device_for(model) if choice is not None else AUTOMATIC


def named_servers(paths: Paths) -> tuple[str, ...]:
    """The RPC servers that the window would use."""
    with _choice(paths) as choice:
        return choice.rpc_servers if choice is not None else ()


@contextmanager
def _choice(paths: Paths) -> Iterator[DeviceChoice | None]:
    """What is known of devices; None where the data folder is not ours."""
    if not os.access(paths.data, os.R_OK | os.W_OK):
        yield None
        return
    settings = SettingsService(paths.settings)
    try:
        yield DeviceChoice(settings, paths.device_speeds)
    finally:
        settings.close()
