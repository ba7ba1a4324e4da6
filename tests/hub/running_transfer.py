"""A transfer in a thread of its own, and what it downloads."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.downloads import DownloadFile
from app.hub.access import HubAccess
from app.hub.download.transfer import Transfer
from tests.hub.hub_server import HubServer

CONTENT = random.Random(4).randbytes(3_000_000)
REPO = "maker/tiny"
NAME = "tiny.Q4_0.gguf"
WAIT_S = 20.0


@pytest.fixture
def file(hub: HubServer) -> DownloadFile:
    commit = hub.add_repo(REPO, {NAME: CONTENT, "README.md": b"# Tiny"})
    return DownloadFile(REPO, NAME, commit, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "maker"


@pytest.fixture
def transfer_of(hub: HubServer, folder: Path) -> Callable[..., Transfer]:
    def make(*files: DownloadFile, token: str | None = None, **options: object) -> Transfer:
        return Transfer(HubAccess(hub.url, token), files, folder, **options)  # type: ignore[arg-type]  # any option by its name

    return make


class Running:
    """A transfer in its thread."""

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.transfer.run()
        except Exception as error:
            self.error = error

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, self.transfer.snapshot()
            assert self._thread.is_alive(), self.error
            time.sleep(0.01)

    def stop(self) -> None:
        self.transfer.stop()
        self.end()

    def end(self) -> None:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


@pytest.fixture
def start() -> Iterator[Callable[[Transfer], Running]]:
    running: list[Running] = []

    def begin(transfer: Transfer) -> Running:
        running.append(Running(transfer))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}
