"""A real engine child, spoken to through its pipes."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.core.events import CLOSING_EVENTS, Event, Loaded, ReasoningDelta, TextDelta
from app.core.messages import Role
from app.engine.command import engine_environment
from app.engine.protocol import ChatMessage, Generate, Load, Request, Stop, decode_event, encode

TIMEOUT_S = 30.0


@dataclass
class Run:
    """Everything that came for one request."""

    events: list[Any] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.of(TextDelta))

    @property
    def reasoning(self) -> str:
        return "".join(event.text for event in self.of(ReasoningDelta))

    @property
    def last(self) -> Any:
        return self.events[-1]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class EngineChild:
    """Starts a child and reads its events in a thread, so that no test waits for ever."""

    def __init__(self, *arguments: str, log_path: Path | None = None, timeout_s: float = TIMEOUT_S) -> None:
        command = [sys.executable, "-m", "app.engine.worker.main", *arguments]
        with (log_path or Path("/dev/null")).open("ab") as log:
            environment = {**os.environ, **engine_environment()}
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
            )
        self._timeout_s = timeout_s  # until the next event
        self._ids = itertools.count(1)
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._set_aside: defaultdict[int, Run] = defaultdict(Run)
        self._reader = threading.Thread(target=self._read, name="events")
        self._reader.start()
        self.ready = self.next_event()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(decode_event(line))
        self._events.put(None)

    def next_event(self, timeout_s: float | None = None) -> Any:
        """The next event; None when the child has closed its end."""
        return self._events.get(timeout=timeout_s or self._timeout_s)

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, request: Request) -> int:
        """Send a request under a fresh id, which is returned."""
        request = replace(request, id=next(self._ids))
        self.write(encode(request))
        return request.id

    def stop(self, request_id: int) -> None:
        self.write(encode(Stop(request_id)))

    def collect(self, request_id: int) -> Run:
        """All events of a request up to its last; those of others that come in between are kept for later."""
        run = self._set_aside.pop(request_id, Run())
        while not (run.events and isinstance(run.last, CLOSING_EVENTS)):
            event = self.next_event()
            assert event is not None, "the child ended"
            (run if event.request_id == request_id else self._set_aside[event.request_id]).events.append(event)
        return run

    def ask(self, request: Request) -> Run:
        return self.collect(self.send(request))

    def load(self, path: Path, context_length: int = 0) -> Run:
        run = self.ask(Load(0, str(path), context_length, threads=1))
        assert isinstance(run.last, Loaded), run.last
        return run

    def generate(self, messages: Sequence[ChatMessage], **fields: Any) -> Run:
        return self.ask(Generate(0, tuple(messages), **fields))

    @property
    def announced(self) -> list[Any]:
        """What came beside the requests that were collected, about the whole child."""
        return self._set_aside[0].events

    def wait_for(self, kind: type) -> Any:
        """Skip to the next event of a kind."""
        while not isinstance(event := self.next_event(), kind):
            assert event is not None
        return event

    def ends_within(self, timeout_s: float) -> float:
        """Wait for the end of the process; returns how long it took."""
        start = time.monotonic()
        self.process.wait(timeout_s)
        return time.monotonic() - start

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def user(text: str, name: str = "u") -> ChatMessage:
    return ChatMessage(name, Role.USER, text)


def assistant(text: str, name: str = "a") -> ChatMessage:
    return ChatMessage(name, Role.ASSISTANT, text)


def system(text: str, name: str = "s") -> ChatMessage:
    return ChatMessage(name, Role.SYSTEM, text)
