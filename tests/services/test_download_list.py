"""The list of downloads on the disk, where the program may end at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.downloads import Download, DownloadFile, DownloadId, DownloadState
from app.core.errors import UserError
from app.services.download_list import DownloadList
from app.services.store import StoreService

WAIT_MS = 15_000


@pytest.fixture
def store(tmp_path: Path, qtbot: QtBot) -> Iterator[StoreService]:
    service = StoreService(tmp_path / "hearth.db", tmp_path / "backups")
    with qtbot.waitSignal(service.opened, timeout=WAIT_MS):
        service.open()
    yield service
    service.close()


def load(store: StoreService, qtbot: QtBot) -> DownloadList:
    """The list as a program that starts now finds it."""
    errors: list[UserError] = []
    found = DownloadList(store, errors.append)
    found.load(lambda old: None)
    qtbot.waitUntil(lambda: found.is_loaded, timeout=WAIT_MS)
    assert errors == []
    return found


def test_the_order_survives_a_kill(store: StoreService, qtbot: QtBot) -> None:
    downloads = load(store, qtbot)
    for name in "abcde":
        file = DownloadFile(f"maker/{name}", f"{name}.gguf")
        downloads.append(Download(DownloadId(name), name, file.repo, "", (file,), "/models"))
    for name in "ab":
        downloads.drop(DownloadId(name))
    downloads.put(replace(downloads.require(DownloadId("e")), state=DownloadState.PAUSED))
    assert [download.name for download in load(store, qtbot).shown] == ["c", "d", "e"]
