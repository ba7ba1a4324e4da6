"""What an earlier run left beside a file, in whatever state it is."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.hub.download.file_lock import FileLock
from app.hub.download.part_file import Identity, PartFile, part_path, remove_part
from app.hub.download.running_hash import RunningHash

CONTENT = bytes(range(200))
IDENTITY = Identity("d" * 64, 1000)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
DONE = st.lists(st.lists(st.integers() | st.floats() | st.text(max_size=3), max_size=3), max_size=4) | JSON


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "model.gguf"


def test_what_was_synced_is_taken_up(target: Path) -> None:
    part = PartFile(target, IDENTITY)
    part.open()
    with part.writer() as file:
        file.write(CONTENT)
    part.wrote(0, 100)
    part.sync()
    part.wrote(100, 200)  # a power cut comes before the next sync
    again = PartFile(target, IDENTITY)
    again.open()
    assert again.written.spans == ((0, 100),)
    other = PartFile(target, Identity("e" * 64, 1000))
    other.open()
    assert other.written.spans == ()
    assert part_path(target).stat().st_size == 0
    with other.writer() as file:
        file.write(CONTENT)
    once_more = PartFile(target, IDENTITY)  # after a kill: the bytes are the other's
    once_more.open()
    assert once_more.written.spans == ()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(done=DONE, size=st.integers(0, 2**70) | st.just(1000), extra=JSON)
def test_any_journal_is_survived(target: Path, done: Any, size: int, extra: Any) -> None:
    target.parent.mkdir(exist_ok=True)
    part_path(target).write_bytes(CONTENT)
    journal = {"format": 1, "digest": "d" * 64, "size_bytes": size, "done": done, "more": extra}
    (target.parent / "model.gguf.part.json").write_text(json.dumps(journal))
    part = PartFile(target, IDENTITY)
    part.open()
    assert part.written.end <= len(CONTENT)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(text=st.binary(max_size=60) | st.just(b"[" * 100_000) | st.just(b" " * 2_000_000))
def test_any_bytes_in_place_of_a_journal_are_survived(target: Path, text: bytes) -> None:
    target.parent.mkdir(exist_ok=True)
    part_path(target).write_bytes(CONTENT)
    (target.parent / "model.gguf.part.json").write_bytes(text)
    part = PartFile(target, IDENTITY)
    part.open()
    assert part.written.spans == ()


@pytest.mark.parametrize("held_for", [2, 10_000])
def test_a_virus_scanner_that_holds_a_new_file_is_waited_for(
    target: Path, monkeypatch: pytest.MonkeyPatch, held_for: int
) -> None:
    monkeypatch.setattr("app.hub.durable_files._HELD_FOR_S", 20.0 if held_for == 2 else 0.3)
    rename, refused = Path.replace, [0]

    def held(source: Path, place: Path) -> Path:  # as Windows answers
        if refused[0] < held_for:
            refused[0] += 1
            error = PermissionError(errno.EACCES, "Access is denied")
            error.winerror = 5  # type: ignore[attr-defined]  # as on Windows
            raise error
        return rename(source, place)

    part = PartFile(target, Identity("d" * 64, len(CONTENT)))
    part.open()
    with part.writer() as file:
        file.write(CONTENT)
    monkeypatch.setattr(Path, "replace", held)
    if held_for == 2:
        part.finish()
        assert target.read_bytes() == CONTENT
    else:
        with pytest.raises(PermissionError):
            part.finish()


def test_removing_leaves_nothing(target: Path) -> None:
    part = PartFile(target, IDENTITY)
    part.open()
    with part.writer() as file:
        file.write(CONTENT)
    part.wrote(0, len(CONTENT))
    part.sync()
    (target.parent / "model.gguf.part.json.new").touch()  # of a run that was killed while it wrote
    assert len(list(target.parent.iterdir())) == 3
    remove_part(target)
    remove_part(target)
    assert list(target.parent.iterdir()) == []


def test_a_lock_is_exclusive_and_leaves_nothing(target: Path) -> None:
    target.parent.mkdir()
    path = target.parent / "model.lock"
    first, second = FileLock(path), FileLock(path)
    assert first.acquire()
    assert not second.acquire()
    first.release()
    first.release()
    assert second.acquire()
    second.release()
    assert not path.exists()


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be removed elsewhere")
def test_a_lock_whose_file_somebody_removed_is_not_mistaken_for_the_new_one(target: Path) -> None:
    target.parent.mkdir()
    path = target.parent / "model.lock"
    first, second = FileLock(path), FileLock(path)
    assert first.acquire()
    path.unlink()
    assert second.acquire()
    third = FileLock(path)
    assert not third.acquire()
    second.release()
    first.release()


def test_a_hash_follows_a_file_that_grows_in_two_places(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "part"
    path.write_bytes(CONTENT)
    running = RunningHash(path, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    running.offer(0, CONTENT[:50])
    running.offer(100, CONTENT[100:])  # not at its place: to be read back later
    assert running.position == 50
    assert running.catch_up(lambda: 100, 1.0)
    running.offer(100, CONTENT[100:150])
    assert not running.is_right
    assert running.catch_up(lambda: 200, 1.0)
    assert running.is_right
    running.start_over()
    assert not running.is_right
    path.write_bytes(b"")
    with pytest.raises(OSError, match="shorter"):
        running.catch_up(lambda: 200, 1.0)
