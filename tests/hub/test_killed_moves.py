"""A Hearth that is killed while it moves a model: at the next start the model is in one folder, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.hub.file_moves import Moved, recover_moves
from app.hub.move_journal import Move, MoveJournal, Stamp
from tests.fixtures.small_drive import drive

__all__ = ["drive"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and fork")
CONTENTS = {"m-00001-of-00002.gguf": b"first" * 1000, "m-00002-of-00002.gguf": b"second" * 1000}
ROOT = Path(__file__).resolve().parents[2]
MOST_CHANGES = 100  # of the disk, in one move
WAIT_S = 20


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def journal(tmp_path: Path) -> MoveJournal:
    return MoveJournal(tmp_path / "moves")


@contextmanager
def mover(notes: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.hub.killed_mover", str(notes), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process
        process.kill()


def tell(process: subprocess.Popen[str], command: object, folder: Path) -> None:
    assert process.stdin is not None
    process.stdin.write(" ".join([str(command), *(str(folder / name) for name in CONTENTS)]) + "\n")
    process.stdin.flush()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_mended(journal: MoveJournal, notes: Path, here: Path, there: Path) -> list[Moved]:
    finished = recover_moves(journal)
    if finished:
        (moved,) = finished
        assert moved.parts == tuple(here / name for name in CONTENTS)
        assert moved.targets == tuple(there / name for name in CONTENTS)
        assert (contents(here), contents(there)) == ({}, CONTENTS)
        assert recover_moves(journal) == finished  # until everybody knows
        journal.forget(moved.entry)
    else:
        assert (contents(here), contents(there)) == (CONTENTS, {})
    assert contents(notes) == {}
    return finished


@pytest.mark.parametrize("is_another_drive", [False, True])
def test_a_move_that_is_killed_anywhere_is_finished_or_undone(
    here: Path, tmp_path: Path, journal: MoveJournal, drive: Callable[[int], Path], is_another_drive: bool
) -> None:
    there = drive(100) if is_another_drive else tmp_path / "there"
    there.mkdir(exist_ok=True)
    notes = tmp_path / "moves"
    notes.mkdir()
    outcomes: list[bool] = []
    with mover(notes, there) as process:
        assert process.stdout is not None
        for number in range(1, MOST_CHANGES):
            tell(process, number, here)
            if process.stdout.readline() == "done\n":
                break
            outcomes.append(bool(check_mended(journal, notes, here, there)))
            for name, content in CONTENTS.items():
                (there / name).unlink(missing_ok=True)
                (here / name).write_bytes(content)
        else:
            pytest.fail("a move has no end")
    assert outcomes == sorted(outcomes)  # undone, and from some moment on finished
    assert set(outcomes) == {False, True}


def test_half_a_copy_goes_at_the_next_start_but_not_from_under_another_hearth(
    here: Path, tmp_path: Path, journal: MoveJournal, drive: Callable[[int], Path]
) -> None:
    there = drive(100)
    others = there / "m-00001-of-00002.gguf.moving"
    others.write_bytes(b"of somebody else")
    with mover(tmp_path / "moves", there) as process:
        tell(process, "slow", here)
        deadline = time.monotonic() + WAIT_S
        while not (copies := [path for path in there.iterdir() if path != others and path.stat().st_size]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert recover_moves(journal) == []
        assert copies[0].is_file()
        process.kill()
    assert copies[0].is_file()
    assert recover_moves(journal) == []
    assert contents(there) == {others.name: b"of somebody else"}
    assert contents(here) == CONTENTS
    assert contents(tmp_path / "moves") == {}


@pytest.fixture
def compared(here: Path, tmp_path: Path, journal: MoveJournal) -> Path:
    """Where the whole copies of a move lie that was killed before they had their names."""
    there = tmp_path / "there"
    there.mkdir()
    parts = tuple(here / name for name in CONTENTS)
    copies = tuple(there / f"{name}.1.moving" for name in CONTENTS)
    for part, copy in zip(parts, copies, strict=True):
        shutil.copy2(part, copy)
    stamps, copy_stamps = (tuple(filter(None, map(Stamp.of, paths))) for paths in (parts, copies))
    with journal.begin(Move(parts, tuple(there / name for name in CONTENTS), stamps, copies, copy_stamps)):
        pass
    return there


def test_a_drive_that_is_not_there_is_waited_for(
    here: Path, tmp_path: Path, journal: MoveJournal, compared: Path
) -> None:
    unplugged = compared.rename(tmp_path / "unplugged")
    assert recover_moves(journal) == []
    unplugged.rename(compared)
    assert check_mended(journal, tmp_path / "moves", here, compared)


def test_a_name_that_was_taken_meanwhile_is_not_touched(here: Path, journal: MoveJournal, compared: Path) -> None:
    *_, name = CONTENTS
    (compared / name).write_bytes(b"of somebody else")
    assert recover_moves(journal) == []
    assert contents(here) == CONTENTS
    assert contents(compared) == {name: b"of somebody else"}


def test_an_original_that_was_changed_meanwhile_is_not_deleted(
    here: Path, journal: MoveJournal, compared: Path
) -> None:
    name, *_ = CONTENTS
    (here / name).write_bytes(b"newer")
    assert len(recover_moves(journal)) == 1
    assert contents(here) == {name: b"newer"}
    assert contents(compared) == CONTENTS


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"format": 2}', '{"format": 1, "parts": [], "targets": []}'])
def test_a_note_that_tells_nothing_is_thrown_away(tmp_path: Path, journal: MoveJournal, note: str) -> None:
    notes = tmp_path / "moves"
    notes.mkdir()
    (notes / "abc.json").write_text(note)
    (notes / "def.json.new").write_text("{")
    assert recover_moves(journal) == []
    assert contents(notes) == {}
