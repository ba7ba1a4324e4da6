"""Moving models between folders and drives: nothing is ever lost."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.errors import ErrorKind, UserError
from app.hub.file_moves import CancelledError, IsCancelled, Progress, hash_file, move_model
from app.hub.move_journal import MoveJournal
from tests.fixtures.small_drive import drive

__all__ = ["drive"]

SIZE = 9 * 1024 * 1024
CONTENT = bytes(range(256)) * (SIZE // 256)
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")


def never() -> bool:
    return False


def ignore(_: float) -> None:
    return


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "data" / "moves"


Mover = Callable[..., tuple[Path, ...]]


@pytest.fixture
def move(journal: Path) -> Iterator[Mover]:
    """Moves files; nothing is left in the journal when that is over and known."""

    def run(
        parts: list[Path], folder: Path, on_progress: Progress = ignore, is_cancelled: IsCancelled = never
    ) -> tuple[Path, ...]:
        moves = MoveJournal(journal)
        moved = move_model(parts, folder, moves, on_progress, is_cancelled)
        moves.forget(moved.entry)
        return moved.targets

    yield run
    assert not journal.exists() or list(journal.iterdir()) == []


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "here"
    folder.mkdir()
    paths = [folder / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for path in paths:
        path.write_bytes(CONTENT)
    return paths


def test_a_hash_is_that_of_the_content(parts: list[Path]) -> None:
    told: list[float] = []
    assert hash_file(parts[0], told.append, never) == hashlib.sha256(CONTENT).hexdigest()
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_hash_can_be_cancelled(parts: list[Path]) -> None:
    with pytest.raises(CancelledError):
        hash_file(parts[0], ignore, lambda: True)


def test_a_file_that_is_gone_has_no_hash(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        hash_file(tmp_path / "gone.gguf", ignore, never)
    assert caught.value.kind is ErrorKind.FILE_MISSING


def test_on_the_same_drive_files_are_renamed(move: Mover, parts: list[Path], tmp_path: Path) -> None:
    inode = parts[0].stat().st_ino
    moved = move(parts, tmp_path / "there" / "deeper")
    assert [path.name for path in moved] == [path.name for path in parts]
    assert moved[0].stat().st_ino == inode
    assert not any(path.exists() for path in parts)


def test_into_the_folder_where_it_lies_nothing_happens(move: Mover, parts: list[Path]) -> None:
    assert move(parts, parts[0].parent) == tuple(parts)
    assert all(path.read_bytes() == CONTENT for path in parts)


def test_to_another_drive_they_are_copied_compared_and_then_deleted(
    move: Mover, parts: list[Path], drive: Callable[[int], Path]
) -> None:
    folder = drive(100)
    other = folder / (parts[0].name + ".moving")
    other.write_bytes(b"whose that is nobody knows")
    told: list[float] = []
    moved = move(parts, folder, told.append)
    assert all(path.read_bytes() == CONTENT for path in moved)
    assert not any(path.exists() for path in parts)
    assert sorted(path.name for path in folder.iterdir()) == sorted([other.name, *(path.name for path in parts)])
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_drive_that_is_too_small_is_refused_before_anything_is_copied(
    move: Mover, parts: list[Path], drive: Callable[[int], Path]
) -> None:
    folder = drive(10)
    with pytest.raises(UserError) as caught:
        move(parts, folder)
    assert caught.value.kind is ErrorKind.DISK_SPACE
    assert caught.value.integer("needed_bytes") == 2 * SIZE
    assert list(folder.iterdir()) == []
    assert all(path.read_bytes() == CONTENT for path in parts)


def test_a_cancelled_move_leaves_everything_as_it_was(
    move: Mover, parts: list[Path], drive: Callable[[int], Path]
) -> None:
    folder = drive(100)
    told: list[float] = []
    with pytest.raises(CancelledError):
        move(parts, folder, told.append, lambda: len(told) > 3)
    assert list(folder.iterdir()) == []
    assert all(path.read_bytes() == CONTENT for path in parts)


def test_a_drive_that_fills_up_meanwhile_leaves_everything_as_it_was(
    move: Mover, parts: list[Path], drive: Callable[[int], Path]
) -> None:
    folder = drive(90)

    def fill(_: float) -> None:
        if not (folder / "other").exists():
            with pytest.raises(OSError, match="No space"):
                (folder / "other").write_bytes(bytes(90 * 1024 * 1024))

    with pytest.raises(UserError) as caught:
        move(parts, folder, fill)
    assert caught.value.kind is ErrorKind.MOVE_FAILED
    assert [path.name for path in folder.iterdir()] == ["other"]
    assert all(path.read_bytes() == CONTENT for path in parts)


def test_another_file_of_that_name_is_never_overwritten(move: Mover, parts: list[Path], tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / parts[1].name).write_bytes(b"another")
    with pytest.raises(UserError) as caught:
        move(parts, there)
    assert caught.value.kind is ErrorKind.MOVE_FAILED
    assert (there / parts[1].name).read_bytes() == b"another"
    assert all(path.read_bytes() == CONTENT for path in parts)


def test_a_file_that_comes_during_the_copy_is_not_overwritten(
    move: Mover, parts: list[Path], drive: Callable[[int], Path]
) -> None:
    folder = drive(100)

    def plant(_: float) -> None:
        (folder / parts[1].name).write_bytes(b"another")

    with pytest.raises(UserError) as caught:
        move(parts, folder, plant)
    assert caught.value.kind is ErrorKind.MOVE_FAILED
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [(parts[1].name, b"another")]
    assert all(path.read_bytes() == CONTENT for path in parts)


@needs_links
@pytest.mark.parametrize("is_relative", [True, False])
def test_a_link_still_leads_to_its_file_after_a_move(
    move: Mover, parts: list[Path], tmp_path: Path, is_relative: bool
) -> None:
    link = tmp_path / "links" / "m.gguf"
    link.parent.mkdir()
    link.symlink_to(Path("..", "here", parts[0].name) if is_relative else parts[0])
    (moved,) = move([link], tmp_path / "far" / "away" / "from here")
    assert moved.resolve() == parts[0]
    assert not os.path.lexists(link)
    assert parts[0].read_bytes() == CONTENT


@needs_links
def test_to_another_drive_goes_what_a_link_leads_to(
    move: Mover, parts: list[Path], tmp_path: Path, drive: Callable[[int], Path]
) -> None:
    link = tmp_path / "m.gguf"
    link.symlink_to(parts[0])
    (moved,) = move([link], drive(100))
    assert not moved.is_symlink()
    assert moved.read_bytes() == CONTENT
    assert not os.path.lexists(link)
    assert parts[0].read_bytes() == CONTENT


@needs_links
def test_a_link_into_nothing_is_not_overwritten_either(move: Mover, parts: list[Path], tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / parts[0].name).symlink_to(tmp_path / "unplugged" / "drive")
    with pytest.raises(UserError) as caught:
        move(parts, there)
    assert caught.value.kind is ErrorKind.MOVE_FAILED
    assert (there / parts[0].name).is_symlink()
    assert all(path.read_bytes() == CONTENT for path in parts)


def test_a_move_that_was_cancelled_before_it_began_does_nothing(move: Mover, parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(CancelledError):
        move(parts, tmp_path / "there", ignore, lambda: True)
    assert not (tmp_path / "there").exists()
    assert all(path.read_bytes() == CONTENT for path in parts)
