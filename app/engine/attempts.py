"""The journal of attempts: which GPU is being tried right now, so that a crash is not repeated at the next start.

Drivers can take the process, the session or the whole computer down. Before the engine child touches one it writes that
down, and strikes it out when it worked. What a dead process left behind is a failure: it is not tried again until the
person says so, or until the engine or the driver of a device is another.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

log = logging.getLogger(__name__)

_Change = Callable[[list["Attempt"], list["Attempt"]], tuple[list["Attempt"], list["Attempt"]]]


class AttemptKind(StrEnum):
    """What was tried."""

    BACKEND = "backend"  # a backend's library with the drivers it asks for: name is the backend's, "vulkan"
    DEVICE = "device"  # computing on a device: name is ggml's, "Vulkan0"
    DRAFT = "draft"  # loading a draft model: name and path are its file's


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: on what, for which model file (may be empty), with which engine and by which process."""

    kind: AttemptKind
    name: str
    path: str = ""
    engine: str = ""
    pid: int = 0
    process_started_at: float = 0.0  # seconds since 1970, to tell a process from a later one with its number

    @property
    def is_alive(self) -> bool:
        """Whether the process that made it still runs."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            ended = process.status() == psutil.STATUS_ZOMBIE
            return not ended and abs(process.create_time() - self.process_started_at) < 1.0
        return False


class AttemptJournal:
    """A small file that child and window read and write, never both at one moment.

    No error of the disk stops anything: an attempt that cannot be written down is made all the same.
    """

    def __init__(self, path: Path | None) -> None:
        """None: nothing is kept."""
        self._path = path
        self._lock = threading.Lock()

    @contextmanager
    def attempt(self, kind: AttemptKind, name: str, path: str = "", engine: str = "") -> Iterator[None]:
        """Written down, with the disk's word for it, before the body runs; struck out when it ended in any way."""
        process = psutil.Process()
        entry = Attempt(kind, name, path, engine, process.pid, process.create_time())
        self._change(lambda running, failed: ([*running, entry], failed))
        try:
            yield
        finally:
            self._change(lambda running, failed: ([each for each in running if each != entry], failed))

    @property
    def is_open(self) -> bool:
        """Whether something is being tried, or was when its process died."""
        return bool(self._read()[0])

    def settle(self) -> tuple[Attempt, ...]:
        """Attempts that a dead process left behind become failures; returns these."""
        dead = tuple(each for each in self._read()[0] if not each.is_alive)
        names = {(each.kind, each.name) for each in dead}
        if dead:
            log.info("attempts that ended a process: %s", ", ".join(each.name for each in dead))
            self._change(
                lambda running, failed: (
                    [each for each in running if each not in dead],
                    [*(each for each in failed if (each.kind, each.name) not in names), *dead],
                )
            )
        return dead

    def strike(self) -> None:
        """Forget attempts of processes that were ended on purpose."""
        if any(not each.is_alive for each in self._read()[0]):
            self._change(lambda running, failed: ([each for each in running if each.is_alive], failed))

    def forget(self, path: str | None = None) -> None:
        """Forget failures, all or those of one model file: they may be tried again."""
        if self._read()[1]:
            self._change(lambda running, failed: (running, [f for f in failed if path is not None and f.path != path]))

    def forgive(self, name: str) -> None:
        """Forget what a device did: the person names it once more."""
        if any(each.name == name for each in self._read()[1]):
            self._change(lambda running, failed: (running, [each for each in failed if each.name != name]))

    def failed(self, kind: AttemptKind, engine: str = "") -> dict[str, Attempt]:
        """What is not to be tried, by name; what another engine did is forgiven."""
        found = (each for each in self._read()[1] if each.kind is kind)
        return {each.name: each for each in found if not (engine and each.engine and each.engine != engine)}

    def _read(self) -> tuple[list[Attempt], list[Attempt]]:
        """What runs and what failed; a file that cannot be read is as good as none."""
        if self._path is None:
            return [], []
        try:
            data = json.loads(self._path.read_text("utf-8"))
            return [_attempt(each) for each in data["running"]], [_attempt(each) for each in data["failed"]]
        except FileNotFoundError:
            return [], []
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.info("the journal of attempts cannot be read: %s", error)
            return [], []

    def _change(self, change: _Change) -> None:
        if self._path is None:
            return
        with self._lock:
            running, failed = change(*self._read())
            data = {"running": [asdict(each) for each in running], "failed": [asdict(each) for each in failed]}
            try:
                self._write(json.dumps(data))
            except OSError as error:
                log.info("the journal of attempts cannot be written: %s", error)

    def _write(self, text: str) -> None:
        assert self._path is not None
        if not self._path.parent.is_dir():
            self._path.parent.mkdir(parents=True)
        new = self._path.with_suffix(f".{os.getpid()}.new")
        with new.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(self._path)


def _attempt(data: dict[str, Any]) -> Attempt:
    """Raises ValueError or TypeError."""
    entry = Attempt(**data)
    if not (isinstance(entry.name, str) and isinstance(entry.pid, int) and entry.pid >= 0):
        raise ValueError(f"no attempt: {data}")
    return replace(entry, kind=AttemptKind(entry.kind), process_started_at=float(entry.process_started_at))
