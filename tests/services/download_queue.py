"""One run of the queue of downloads over a real database and a hub on loopback."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.downloads import Download, DownloadFile, DownloadState
from app.core.settings import Value
from app.hub.access import HubAccess
from app.services.downloads import DownloadService
from app.services.settings import SettingsService
from app.services.store import StoreService
from app.services.tasks import Tasks
from tests.hub.hub_server import HubServer

WAIT_MS = 15_000
CONTENT = random.Random(7).randbytes(2_000_000)
SLOW_BYTES_PER_S = 400_000


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        for name in ("one", "two", "three"):
            server.add_repo(f"maker/{name}", {f"{name}.gguf": CONTENT})
        yield server


class Queue:
    """One run of the program, as far as downloads go, and what it said."""

    def __init__(self, folder: Path, hub: HubServer, qtbot: QtBot, values: dict[str, Value]) -> None:
        folder.mkdir(exist_ok=True)
        self.own = folder / "models"
        self.access = HubAccess(hub.url)
        self.store = StoreService(folder / "hearth.db", folder / "backups")
        self.tasks = Tasks()
        self.settings = SettingsService(folder / "settings.json")
        for key, value in values.items():
            self.settings.set_value(key, value)
        self.service = DownloadService(self.store, self.tasks, self.settings, lambda: self.access, self.own)
        self.finished: list[Download] = []
        self.failed: list[Download] = []
        self.changes: list[tuple[float, Download]] = []
        self.service.finished.connect(self.finished.append)
        self.service.failed.connect(self.failed.append)
        self.service.changed.connect(lambda download: self.changes.append((time.monotonic(), download)))
        self._qtbot = qtbot

    def open(self) -> None:
        with self._qtbot.waitSignal(self.service.listed, timeout=WAIT_MS):
            self.store.open()

    def add(self, name: str, **options: object) -> Download:
        return self.service.add([DownloadFile(f"maker/{name}", f"{name}.gguf")], name, **options)  # type: ignore[arg-type]  # any option by its name

    def until(self, condition: Callable[[], bool]) -> None:
        self._qtbot.waitUntil(condition, timeout=WAIT_MS)

    def states(self) -> list[DownloadState]:
        return [download.state for download in self.service.downloads]

    def names(self) -> list[str]:
        return [download.name for download in self.service.downloads]

    def now(self, download: Download) -> Download:
        found = self.service.download(download.id)
        assert found is not None
        return found

    def until_state(self, download: Download, *states: DownloadState) -> None:
        self.until(lambda: self.now(download).state in states)

    def until_received(self, download: Download) -> None:
        self.until(lambda: self.now(download).done_bytes > 100_000)

    def until_idle(self) -> None:
        """Until no thread works for a download any more, which may be some time after it was told to rest."""
        self.until(lambda: not self.service._workers)

    def end(self) -> None:
        self.service.shut_down()
        self.settings.close()
        self.tasks.shut_down()
        self.store.close()


Start = Callable[..., Queue]


@pytest.fixture
def start(tmp_path: Path, hub: HubServer, qtbot: QtBot) -> Iterator[Start]:
    queues: list[Queue] = []

    def begin(*, is_open: bool = True, **values: Value) -> Queue:
        named = {key.replace("__", "."): value for key, value in values.items()}
        queue = Queue(tmp_path / "data", hub, qtbot, named)
        queues.append(queue)
        if is_open:
            queue.open()
        return queue

    yield begin
    for queue in queues:
        queue.end()
