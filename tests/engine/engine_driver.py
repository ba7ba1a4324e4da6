"""Drives an EngineClient with a real child from a test: sends, waits, and keeps everything that came."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QCoreApplication, QEventLoop, QTimer

from app.core import events
from app.core.errors import UserError
from app.core.messages import Role
from app.engine.client import EngineClient
from app.engine.command import engine_command, engine_environment
from app.engine.protocol import ChatMessage, Count, Devices, Generate, Load, Unload
from app.engine.stall_watch import StallLimits

REPOSITORY = Path(__file__).resolve().parents[2]
_E = TypeVar("_E")
CLOSING = (
    events.Loaded,
    events.LoadCancelled,
    events.Finished,
    events.Counted,
    events.DevicesListed,
    events.Unloaded,
    events.Failed,
)


def write_script(folder: Path, **parts: Any) -> Path:
    path = folder / "script.json"
    path.write_text(json.dumps(parts), encoding="utf-8")
    return path


class EngineDriver:
    def __init__(
        self,
        folder: Path,
        backend: str = "llama",
        environment: Mapping[str, str] | None = None,
        stall_limits: StallLimits = StallLimits(),  # noqa: B008 - a frozen value
    ) -> None:
        self.log_path = folder / "logs" / "engine.log"
        environment = {**engine_environment(), **(environment or {})}
        command = engine_command(backend)
        self.client = EngineClient(command, self.log_path, None, environment, stall_limits)
        self.events: list[events.Event] = []
        self.deaths: list[UserError] = []
        self.client.event_received.connect(self.events.append)
        self.client.died.connect(self.deaths.append)

    def close(self) -> None:
        self.client.shutdown()
        self.client.deleteLater()
        QCoreApplication.sendPostedEvents(None, 0)

    def wait(self, done: Callable[[], Any], timeout_s: float = 20.0) -> None:
        """Run the event loop until `done` says so."""
        loop = QEventLoop()
        poll = QTimer(loop, interval=2)
        poll.timeout.connect(lambda: loop.quit() if done() else None)
        poll.start()
        QTimer.singleShot(int(timeout_s * 1000), loop, loop.quit)
        if not done():
            loop.exec()
        poll.stop()
        assert done(), f"waited {timeout_s} s; events {self.events[-5:]}, deaths {self.deaths}, log {self.log()}"

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")[-2000:] if self.log_path.exists() else ""

    def of(self, request_id: int, kind: type[_E]) -> list[_E]:
        return [e for e in self.events if isinstance(e, kind) and getattr(e, "request_id", None) == request_id]

    def closing(self, request_id: int) -> events.Event | None:
        return next((e for e in self.events if isinstance(e, CLOSING) and e.request_id == request_id), None)

    def text(self, request_id: int) -> str:
        return "".join(event.text for event in self.of(request_id, events.TextDelta))

    def send_load(self, path: Path | str, context_length: int = 0) -> int:
        request_id = self.client.next_id()
        self.client.send(Load(request_id, str(path), context_length, threads=1))
        return request_id

    def send_question(self, text: str = "hello world", **fields: Any) -> int:
        request_id = self.client.next_id()
        self.client.send(Generate(request_id, (ChatMessage("u1", Role.USER, text),), **fields))
        return request_id

    def load(self, path: Path | str, context_length: int = 0, timeout_s: float = 20.0) -> events.Event:
        return self.end_of(self.send_load(path, context_length), timeout_s)

    def ask(self, text: str = "hello world", timeout_s: float = 20.0, **fields: Any) -> events.Event:
        return self.end_of(self.send_question(text, **fields), timeout_s)

    def count(self, text: str) -> events.Event:
        request_id = self.client.next_id()
        self.client.send(Count(request_id, (ChatMessage("u1", Role.USER, text),)))
        return self.end_of(request_id)

    def devices(self) -> events.Event:
        request_id = self.client.next_id()
        self.client.send(Devices(request_id))
        return self.end_of(request_id)

    def unload(self) -> events.Event:
        request_id = self.client.next_id()
        self.client.send(Unload(request_id))
        return self.end_of(request_id)

    def end_of(self, request_id: int, timeout_s: float = 20.0) -> events.Event:
        """The closing event of a request; fails the test if the child dies first."""
        deaths = len(self.deaths)
        self.wait(lambda: self.closing(request_id) or len(self.deaths) > deaths, timeout_s)
        found = self.closing(request_id)
        assert found is not None, f"died: {self.deaths}, log {self.log()}"
        return found

    def settle(self, seconds: float) -> None:
        """Let the event loop run for a while."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= end, seconds + 5)
