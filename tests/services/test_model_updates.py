"""Whether the hub has a newer file of a model, asked of a real server."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.downloads import DownloadFile
from app.core.errors import ErrorKind, UserError
from app.core.library import LibraryModel, Owner
from app.hub.access import DIRECT, HubAccess
from app.services.model_updates import ModelUpdate, ModelUpdates
from app.services.tasks import Tasks
from tests.hub.hub_server import HubServer

REPO = "maker/tiny-GGUF"
FILE = b"GGUF and weights"
NEWER = b"GGUF and better weights"
Check = Callable[[LibraryModel], object]


@pytest.fixture(name="hub")
def hub_server() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def check(qtbot: QtBot, hub: HubServer, tmp_path: Path) -> Iterator[Check]:
    """Checks a model and gives what was told of it."""
    tasks = Tasks()
    updates = ModelUpdates(tasks, lambda: HubAccess(hub.url, proxy=DIRECT, cache_folder=tmp_path / "answers"))
    told: list[object] = []
    for signal in (updates.checked, updates.not_found, updates.failed):
        signal.connect(told.append)

    def ask(model: LibraryModel) -> object:
        updates.check(model)
        qtbot.waitUntil(lambda: bool(told), timeout=10_000)
        return told.pop()

    yield ask
    tasks.shut_down()


def model(path: str = "/models/tiny.gguf", content: bytes = FILE, **facts: object) -> LibraryModel:
    known = LibraryModel(path, "Tiny", Owner.HEARTH, (path,), len(content), sha256=sha256(content), repo=REPO)
    return replace(known, **facts)  # type: ignore[arg-type]  # any field by its name


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_newer_file_is_told_with_all_that_a_download_needs(hub: HubServer, check: Check) -> None:
    commit = hub.add_repo(REPO, {"tiny.gguf": NEWER})
    newer = ModelUpdate(model(), (DownloadFile(REPO, "tiny.gguf", commit, sha256(NEWER), len(NEWER)),))
    assert check(model()) == newer
    same_size = model(content=b"GGUF AND BETTER WEIGHTS")
    assert check(same_size) == replace(newer, model=same_size)


def test_what_the_hub_said_an_hour_ago_does_not_count(hub: HubServer, check: Check) -> None:
    hub.add_repo(REPO, {"tiny.gguf": FILE})
    assert check(model()) == ModelUpdate(model(), ())
    hub.add_repo(REPO, {"tiny.gguf": NEWER})
    found = check(model())
    assert isinstance(found, ModelUpdate)
    assert found.files


def test_the_same_file_is_the_newest(hub: HubServer, check: Check) -> None:
    hub.add_repo(REPO, {"tiny.gguf": FILE})
    for mine in (model(), model(sha256="")):
        assert check(mine) == ModelUpdate(mine, ())


def test_a_file_that_another_program_calls_otherwise_is_known_by_its_content(hub: HubServer, check: Check) -> None:
    hub.add_repo(REPO, {"tiny.gguf": FILE})
    blob = model(f"/ollama/blobs/sha256-{sha256(FILE)}", owner=Owner.OLLAMA)
    assert check(blob) == ModelUpdate(blob, ())


def test_of_files_with_one_name_the_one_in_the_same_folder_is_meant(hub: HubServer, check: Check) -> None:
    files: dict[str, bytes | Path] = {"Q4_0/model.gguf": b"GGUF rounded", "Q8_0/model.gguf": NEWER}
    hub.add_repo(REPO, files)
    found = check(model("/models/Q8_0/model.gguf"))
    assert isinstance(found, ModelUpdate)
    assert [file.path for file in found.files] == ["Q8_0/model.gguf"]


def test_all_parts_of_a_split_model_are_told(hub: HubServer, check: Check) -> None:
    names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
    hub.add_repo(REPO, dict(zip(names, (NEWER, FILE), strict=True)))
    found = check(model("/models/m-00001-of-00002.gguf"))
    assert isinstance(found, ModelUpdate)
    assert [file.path for file in found.files] == names


def test_a_file_that_the_hub_has_no_more(hub: HubServer, check: Check) -> None:
    hub.add_repo(REPO, {"other.gguf": NEWER})
    assert check(model()) == model()
    gone = check(model(repo="maker/gone"))
    assert isinstance(gone, UserError)
    assert gone.kind is ErrorKind.NOT_ON_HUB


def test_nothing_is_asked_offline(qtbot: QtBot, hub: HubServer) -> None:
    tasks = Tasks()
    updates = ModelUpdates(tasks, lambda: HubAccess(hub.url, offline=True))
    with qtbot.waitSignal(updates.failed, timeout=10_000) as told:
        updates.check(model())
    tasks.shut_down()
    assert told.args == [UserError(ErrorKind.OFFLINE)]
    assert hub.requests == []
