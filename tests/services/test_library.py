"""The library over a real database and real files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.library import FoundFile, LibraryModel, Owner
from app.core.messages import utc_now
from app.hub.adopt.places import Places
from app.hub.file_moves import move_model
from app.hub.move_journal import MoveJournal
from app.services.library import DUPLICATES, LibraryService, Trashed
from app.services.store import StoreService
from app.services.tasks import MAX_THREADS, Tasks
from app.storage.models import ModelUse
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.small_drive import drive

__all__ = ["drive"]

WAIT_MS = 10_000


class Library:
    """A library with everything below it, and what it said."""

    def __init__(self, folder: Path, qtbot: QtBot) -> None:
        self.own = folder / "own"
        self.home = folder / "home"
        self.own.mkdir(exist_ok=True)
        self.store = StoreService(folder / "data" / "hearth.db", folder / "data" / "backups")
        (folder / "data").mkdir(exist_ok=True)
        self.tasks = Tasks()
        self.places = Places(self.home, {}, "linux", folder / "root")
        self.service = LibraryService(
            self.store, self.tasks, lambda: self.places, lambda: self.own, folder / "data" / "moves"
        )
        self.failures: list[UserError] = []
        self.service.failed.connect(self.failures.append)
        self._qtbot = qtbot

    def open(self) -> None:
        with self._qtbot.waitSignal(self.service.scanned, timeout=WAIT_MS):
            self.store.open()

    def scan(self) -> None:
        with self._qtbot.waitSignal(self.service.scanned, timeout=WAIT_MS):
            self.service.scan()
        with self._qtbot.waitSignal(self.service.listed, timeout=WAIT_MS):  # with what was found
            pass

    def until(self, condition: Callable[[], bool]) -> None:
        self._qtbot.waitUntil(condition, timeout=WAIT_MS)

    def names(self) -> list[str]:
        return [model.name for model in self.service.models]

    def only(self) -> LibraryModel:
        (model,) = self.service.models
        return model

    def close(self) -> None:
        self.service.shut_down()
        self.tasks.shut_down()
        self.store.close()


@pytest.fixture
def library(tmp_path: Path, qtbot: QtBot) -> Iterator[Library]:
    library = Library(tmp_path, qtbot)
    yield library
    library.close()


def model_file(path: Path, template: str | None = tiny.CHATML, **facts: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return tiny.write_model(path, tiny.bpe_vocabulary(), template=template, **facts)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_lies_in_the_own_folder_is_in_the_library(library: Library) -> None:
    path = model_file(library.own / "tiny-Q8_0.gguf")
    (library.own / "broken.gguf").write_bytes(b"nothing of the kind")
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    model = library.only()
    assert (model.path, model.owner, model.size_bytes) == (str(path), Owner.HEARTH, path.stat().st_size)
    assert (model.quantization, model.has_template, model.is_missing) == ("Q8_0", True, False)
    assert model.parameters > 0
    assert model.context_length > 0
    assert library.failures == []


def test_a_file_that_vanished_is_missing_until_it_is_back(library: Library, tmp_path: Path) -> None:
    path = model_file(library.own / "a.gguf")
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    path.rename(tmp_path / "away")
    library.scan()
    library.until(lambda: library.only().is_missing)
    (tmp_path / "away").rename(path)
    library.scan()
    library.until(lambda: not library.only().is_missing)


def test_a_file_that_was_replaced_is_read_again(library: Library) -> None:
    path = model_file(library.own / "a.gguf")
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    model_file(path, template=None)
    os.utime(path, ns=(1, 1))
    library.scan()
    library.until(lambda: not library.only().has_template)


def test_folders_are_watched_until_they_are_not(library: Library, tmp_path: Path) -> None:
    model_file(tmp_path / "drive" / "below" / "a.gguf")
    library.open()
    with library._qtbot.waitSignal(library.service.scanned, timeout=WAIT_MS):
        library.service.add_folder(str(tmp_path / "drive"))
    library.until(lambda: len(library.service.models) == 1)
    assert library.service.folders == [str(library.own), str(tmp_path / "drive")]
    library.service.remove_folder(str(tmp_path / "drive"))
    library.until(lambda: library.service.models == [])
    assert library.service.folders == [str(library.own)]
    library.scan()
    assert library.service.models == []


def elsewhere(library: Library) -> Path:
    return model_file(library.home / ".lmstudio" / "models" / "acme" / "Tiny-GGUF" / "tiny-Q4_0.gguf")


def offered(library: Library, *, again: bool = False) -> list[FoundFile]:
    with library._qtbot.waitSignal(library.service.found_elsewhere, timeout=WAIT_MS) as caught:
        library.service.look_elsewhere(again=again)
    assert caught.args is not None
    return list(caught.args[0])


def test_what_another_program_keeps_is_offered_and_used_where_it_lies(library: Library) -> None:
    path = elsewhere(library)
    before = everything_under(library.home)
    library.open()
    found = offered(library)
    assert [each.path for each in found] == [str(path)]
    library.service.adopt(found)
    library.until(lambda: len(library.service.models) == 1 and library.only().has_template)
    model = library.only()
    assert (model.owner, model.repo, model.is_read_only) == (Owner.LM_STUDIO, "acme/Tiny-GGUF", True)
    assert offered(library, again=True) == []
    assert everything_under(library.home) == before


def test_what_was_declined_is_offered_only_when_asked_for(library: Library, qtbot: QtBot) -> None:
    elsewhere(library)
    library.open()
    found = offered(library)
    with qtbot.waitSignal(library.service.listed, timeout=WAIT_MS):
        library.service.decline(found)
    told: list[object] = []
    library.service.found_elsewhere.connect(told.append)
    library.service.look_elsewhere()
    library.scan()
    assert told == []
    assert library.service.models == []
    assert [each.path for each in offered(library, again=True)] == [each.path for each in found]


def test_what_was_declined_is_not_offered_under_another_name(library: Library) -> None:
    programs_with_models(library.home)
    library.open()
    found = [each for each in offered(library) if each.owner is Owner.OLLAMA]
    library.service.decline(found)
    other = library.home / "drive"
    shutil.move(library.home / ".ollama" / "models", other)
    library.places = replace(library.places, environment={"OLLAMA_MODELS": str(other)})
    assert Owner.OLLAMA not in {each.owner for each in offered(library)}
    assert Owner.OLLAMA in {each.owner for each in offered(library, again=True)}


def everything_under(folder: Path) -> dict[str, tuple[int, int, int, bytes | str]]:
    """What is in a folder, to the last bit: kind and rights, identity, time of the last change, content."""
    found: dict[str, tuple[int, int, int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = status.st_mode, status.st_ino, status.st_mtime_ns, content
    return found


def programs_with_models(home: Path) -> None:
    """A home in which several programs keep one model each."""
    plain = model_file(home / ".lmstudio" / "models" / "acme" / "Tiny-GGUF" / "tiny-Q4_0.gguf")
    content = plain.read_bytes()
    sha256 = digest(plain)
    models = home / ".ollama" / "models"
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{sha256}", "size": len(content)}]
    files = {
        models / "blobs" / f"sha256-{sha256}": content + b"1",
        models / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "1b": json.dumps(
            {"layers": layers}
        ).encode(),
        home / ".cache" / "gpt4all" / "tiny-Q4_0.gguf": content + b"12",
        home / ".cache" / "llama.cpp" / "acme_tiny.gguf": content + b"123",
        home / ".config" / "Jan" / "data" / "llamacpp" / "models" / "t" / "model.gguf": content + b"1234",
        home / ".cache" / "huggingface" / "hub" / "models--a--b" / "blobs" / ("b" * 64): content + b"12345",
    }
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    snapshot = home / ".cache" / "huggingface" / "hub" / "models--a--b" / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "tiny.gguf").symlink_to(Path("..", "..", "blobs", "b" * 64))


@pytest.mark.skipif(sys.platform == "win32", reason="the hub's cache is made of links")
def test_nothing_of_other_programs_is_ever_changed(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "share").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    programs_with_models(library.home)
    before = everything_under(library.home)
    library.open()
    library.service.adopt(offered(library))
    library.until(lambda: len(library.service.models) == 6 and all(m.has_template for m in library.service.models))
    assert len({model.owner for model in library.service.models}) == 6
    for model in library.service.models:
        assert model.is_read_only
        library.service.rename(model.path, "Mine")
        library.service.trash(model.path)
        library.service.move(model.path, str(tmp_path / "there"))
        library.service.compute_hash(model.path)
    library.until(lambda: all(m.name == "Mine" and m.sha256 for m in library.service.models))
    with library._qtbot.waitSignal(library.service.duplicates_found, timeout=WAIT_MS):
        library.service.find_duplicates()
    for model in library.service.models:
        library.service.remove(model.path)
    library.until(lambda: library.service.models == [])
    library.scan()
    assert everything_under(library.home) == before
    assert not (tmp_path / "there").exists()


def opened(library: Library, path: Path, size_bytes: int = 0) -> None:
    """What is stored when a person opened a file and it was loaded."""
    use = ModelUse(str(path), "Opened", size_bytes or path.stat().st_size, "llama", 1, utc_now())
    with library._qtbot.waitSignal(library.service.listed, timeout=WAIT_MS):
        library.store.run(lambda stores: stores.models.remember(use), lambda _: library.service.refresh())


@pytest.mark.parametrize("how", ["opened", "watched"])
def test_a_file_of_another_program_is_theirs_however_it_came_to_the_list(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (tmp_path / "share").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    path = elsewhere(library)
    mine = model_file(tmp_path / "mine" / "mine.gguf")
    before = everything_under(library.home)
    library.open()
    if how == "opened":
        opened(library, path)
        opened(library, mine)
    else:
        library.service.add_folder(str(path.parents[3]))
        library.service.add_folder(str(mine.parent))
    library.until(
        lambda: {m.owner for m in library.service.models if m.has_template} == {Owner.LM_STUDIO, Owner.HEARTH}
    )
    theirs = library.service.model(str(path))
    assert theirs is not None
    assert (theirs.owner, theirs.repo) == (Owner.LM_STUDIO, "acme/Tiny-GGUF")
    library.service.trash(str(path))
    library.service.move(str(path), str(tmp_path / "there"))
    with library._qtbot.waitSignal(library.service.trashed, timeout=WAIT_MS):
        library.service.trash(str(mine))  # comes after the others
    assert everything_under(library.home) == before
    assert not mine.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
def test_a_file_that_another_program_only_links_to_is_not_theirs(library: Library, tmp_path: Path) -> None:
    mine = model_file(tmp_path / "mine" / "mine.gguf")
    link = library.home / ".lmstudio" / "models" / "acme" / "Tiny-GGUF" / "linked.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(mine)
    (tmp_path / "way").symlink_to(library.home / ".lmstudio")
    theirs = elsewhere(library)
    library.open()
    library.service.add_folder(str(mine.parent))
    library.service.add_folder(str(tmp_path / "way" / "models"))
    library.until(lambda: len(library.service.models) == 3)
    assert {Path(model.path).name: model.owner for model in library.service.models} == {
        "mine.gguf": Owner.HEARTH,
        "linked.gguf": Owner.LM_STUDIO,
        theirs.name: Owner.LM_STUDIO,
    }


def test_what_hearth_downloaded_stays_hearths_where_others_see_it(library: Library) -> None:
    path = elsewhere(library)
    library.open()
    library.service.adopt([FoundFile(Owner.HEARTH, (str(path),), path.stat().st_size, repo="acme/Tiny-GGUF")])
    library.until(lambda: len(library.service.models) == 1 and library.only().has_template)
    assert library.only().owner is Owner.HEARTH


def test_a_split_model_that_was_opened_moves_with_all_its_parts(library: Library, tmp_path: Path) -> None:
    first = model_file(tmp_path / "here" / "m-00001-of-00002.gguf")
    second = Path(shutil.copy(first, first.with_name("m-00002-of-00002.gguf")))
    library.open()
    opened(library, first, 2 * first.stat().st_size)
    library.until(lambda: [model.has_template for model in library.service.models] == [True])
    assert library.only().parts == (str(first), str(second))
    assert library.only().size_bytes == 2 * first.stat().st_size
    library.service.move(str(first), str(tmp_path / "there"))
    library.until(lambda: library.only().path == str(tmp_path / "there" / first.name))
    assert [path.exists() for path in (first, second)] == [False, False]


def test_a_file_that_was_replaced_has_neither_the_hash_nor_the_commit_of_the_one_before(library: Library) -> None:
    path = model_file(library.own / "a.gguf")
    library.open()
    found = FoundFile(Owner.HEARTH, (str(path),), path.stat().st_size, "", digest(path), "acme/Tiny-GGUF", "c" * 40)
    library.service.adopt([found])
    library.until(lambda: len(library.service.models) == 1 and library.only().commit == "c" * 40)
    library.scan()
    assert library.only().sha256 == digest(path)
    model_file(path, template=None)
    os.utime(path, ns=(1, 1))
    library.scan()
    library.until(lambda: not library.only().has_template)
    assert (library.only().sha256, library.only().commit, library.only().repo) == ("", "", "acme/Tiny-GGUF")


def test_the_name_of_another_program_comes_back(library: Library) -> None:
    programs_with_models(library.home)
    library.open()
    found = [each for each in offered(library) if each.owner is Owner.OLLAMA]
    library.service.adopt(found)
    library.until(lambda: library.names() == ["tiny:1b"])
    library.service.rename(found[0].path, "Mine")
    os.utime(found[0].path, ns=(1, 1))  # it is read again
    library.scan()
    library.until(lambda: library.names() == ["Mine"])
    library.service.rename(found[0].path, "")
    library.until(lambda: library.names() == ["tiny:1b"])


@pytest.mark.skipif(sys.platform == "win32", reason="no files that can be kept waiting")
def test_work_on_many_files_leaves_threads_for_everything_else(library: Library, tmp_path: Path) -> None:
    """Hashes of files on a drive that does not answer: others wait for their turn, and can be cancelled meanwhile."""
    library.open()
    paths = [str(tmp_path / f"slow-{number}.gguf") for number in range(MAX_THREADS + 1)]
    settled: list[str] = []
    library.service.settled.connect(settled.append)
    for path in paths:
        os.mkfifo(path)
        library.service.compute_hash(path)
    answers: list[int] = []
    library.tasks.run(lambda: 42, answers.append)
    library.until(lambda: answers == [42])
    library.service.cancel(paths[-1])
    assert settled == [paths[-1]]
    assert not library.service.is_busy(paths[-1])
    with ThreadPoolExecutor() as drive:
        for path in paths[:-1]:
            drive.submit(Path(path).write_bytes, b"")  # waits until somebody reads
        library.until(lambda: sorted(settled) == sorted(paths))
    assert library.failures == []


def test_names_are_the_persons_and_the_file_keeps_its_own(library: Library) -> None:
    path = model_file(library.own / "a.gguf")
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    original = library.only().name
    library.service.rename(str(path), "  Mine ")
    library.until(lambda: library.names() == ["Mine"])
    library.service.rename(str(path), "")
    library.until(lambda: library.names() == [original])
    assert path.is_file()


def test_what_is_taken_off_the_list_can_be_put_back(library: Library) -> None:
    path = model_file(library.own / "a.gguf")
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    library.service.remove(str(path))
    library.until(lambda: library.service.models == [])
    library.scan()
    assert library.service.models == []
    library.service.restore(str(path))
    library.until(lambda: len(library.service.models) == 1)


def test_duplicates_are_found_by_content(library: Library) -> None:
    first = model_file(library.own / "a.gguf")
    second = Path(shutil.copy(first, library.own / "b.gguf"))
    third = Path(shutil.copy(first, library.own / "c.gguf"))
    content = bytearray(third.read_bytes())
    content[-1] ^= 1
    third.write_bytes(content)
    library.open()
    library.until(lambda: len(library.service.models) == 3)
    with library._qtbot.waitSignal(library.service.duplicates_found, timeout=WAIT_MS) as caught:
        library.service.find_duplicates()
    assert caught.args is not None
    assert [set(group) for group in caught.args[0]] == [{str(first), str(second)}]
    library.until(lambda: all(model.sha256 for model in library.service.models))
    by_path = {model.path: model for model in library.service.models}
    assert by_path[str(first)].same_as == (str(second),)
    assert by_path[str(third)].same_as == ()
    assert by_path[str(first)].sha256 == digest(first)
    assert not library.service.is_busy(DUPLICATES)


def test_a_model_moves_with_all_its_parts_and_all_that_is_known_of_it(library: Library, tmp_path: Path) -> None:
    path = model_file(library.own / "a.gguf")
    content = path.read_bytes()
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    library.service.rename(str(path), "Mine")
    with library._qtbot.waitSignal(library.service.settled, timeout=WAIT_MS):
        library.service.move(str(path), str(tmp_path / "drive"))
    moved = tmp_path / "drive" / "a.gguf"
    library.until(lambda: [model.path for model in library.service.models] == [str(moved)])
    assert library.names() == ["Mine"]
    assert moved.read_bytes() == content
    assert not path.exists()


def large_model(library: Library) -> Path:
    """One whose copy takes some blocks."""
    path = model_file(library.own / "a.gguf")
    os.truncate(path, 96 * 1024 * 1024)
    return path


def test_a_move_that_was_over_when_it_was_cancelled_is_not_forgotten(
    library: Library, drive: Callable[[int], Path]
) -> None:
    path = large_model(library)
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    library.service.progressed.connect(lambda path, fraction: library.service.cancel(path) if fraction == 1 else None)
    folder = drive(200)
    library.service.move(str(path), str(folder))
    library.until(lambda: [model.path for model in library.service.models] == [str(folder / "a.gguf")])
    assert not library.only().is_missing


def test_a_move_that_the_library_was_not_told_of_is_known_at_the_next_start(
    tmp_path: Path, qtbot: QtBot, library: Library
) -> None:
    path = model_file(library.own / "a.gguf")
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    library.service.rename(str(path), "Mine")
    library.until(lambda: library.names() == ["Mine"])
    library.close()
    notes = tmp_path / "data" / "moves"
    target = tmp_path / "there" / "a.gguf"
    move_model([path], target.parent, MoveJournal(notes), lambda _: None, lambda: False)  # and then it was killed

    library = Library(tmp_path, qtbot)
    followed: list[tuple[str, str]] = []
    library.service.moved.connect(lambda before, now: followed.append((before, now)))
    library.open()
    library.until(
        lambda: [(model.path, model.is_missing) for model in library.service.models] == [(str(target), False)]
    )
    assert library.names() == ["Mine"]
    assert followed == [(str(path), str(target))]
    library.until(lambda: list(notes.iterdir()) == [])
    library.close()


def test_a_cancelled_move_leaves_the_model_where_it_was(library: Library, drive: Callable[[int], Path]) -> None:
    path = large_model(library)
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    folder = drive(200)
    library.service.move(str(path), str(folder))
    with library._qtbot.waitSignal(library.service.settled, timeout=WAIT_MS):
        library.service.cancel(str(path))
    assert path.is_file()
    assert list(folder.iterdir()) == []
    assert library.failures == []
    assert not library.service.is_busy(str(path))


def test_the_end_of_hearth_ends_a_move_and_leaves_no_half_copy(library: Library, drive: Callable[[int], Path]) -> None:
    path = large_model(library)
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    folder = drive(200)
    with library._qtbot.waitSignal(library.service.progressed, timeout=WAIT_MS):
        library.service.move(str(path), str(folder))
    library.close()
    assert path.is_file() or (folder / "a.gguf").is_file()
    assert not list(folder.glob("*.moving"))


def test_what_is_being_moved_is_not_deleted_meanwhile(library: Library, tmp_path: Path) -> None:
    path = model_file(library.own / "a.gguf")
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    library.service.move(str(path), str(tmp_path / "there"))
    library.service.trash(str(path))
    moved = tmp_path / "there" / "a.gguf"
    library.until(lambda: [model.path for model in library.service.models] == [str(moved)])
    assert moved.is_file()
    assert library.failures == []


def test_a_move_onto_another_file_is_refused(library: Library, tmp_path: Path) -> None:
    path = model_file(library.own / "a.gguf")
    other = tmp_path / "drive" / "a.gguf"
    other.parent.mkdir()
    other.write_bytes(b"another")
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    library.service.move(str(path), str(other.parent))
    library.until(lambda: library.failures != [])
    assert library.failures[0].kind is ErrorKind.MOVE_FAILED
    assert path.is_file()
    assert other.read_bytes() == b"another"


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the trash of a home folder is made up as Linux has it"
)
def test_what_is_deleted_goes_to_the_trash_and_comes_back(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "share").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    path = model_file(library.own / "a.gguf")
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    with library._qtbot.waitSignal(library.service.trashed, timeout=WAIT_MS) as caught:
        library.service.trash(str(path))
    assert caught.args is not None
    (trashed,) = caught.args
    assert isinstance(trashed, Trashed)
    library.until(lambda: library.service.models == [])
    assert not path.exists()
    library.service.untrash(trashed)
    library.until(lambda: len(library.service.models) == 1)
    assert path.is_file()
    library.until(lambda: not library.only().is_missing)


def test_what_cannot_be_deleted_stays_and_says_so(library: Library) -> None:
    path = model_file(library.own / "a.gguf")
    library.open()
    library.until(lambda: len(library.service.models) == 1)
    path.unlink()
    library.service.trash(str(path))
    library.until(lambda: library.failures != [])
    assert library.failures[0].kind is ErrorKind.TRASH_FAILED
