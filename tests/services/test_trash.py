"""The system's trash, with real files in a home that the tests make up as Linux has it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.library import LibraryModel, Owner
from app.services.trash import Trashed, fetch_from_trash, move_to_trash
from tests.fixtures.small_drive import drive

__all__ = ["drive"]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have other trashes")


@pytest.fixture
def trash(qapp: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "share").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    return tmp_path / "share" / "Trash"


@pytest.fixture
def parts(tmp_path: Path) -> tuple[str, ...]:
    paths = [tmp_path / "here" / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_text(path.name)
    return tuple(map(str, paths))


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def trashed(parts: tuple[str, ...]) -> Trashed:
    return Trashed(LibraryModel(parts[0], "M", Owner.HEARTH, parts, 2), move_to_trash(parts))


def problem_of(call: Callable[[], object]) -> UserError:
    with pytest.raises(UserError) as caught:
        call()
    return caught.value


def test_what_comes_back_leaves_nothing_in_the_trash(trash: Path, parts: tuple[str, ...]) -> None:
    gone = trashed(parts)
    assert len(files_in(trash)) == 4, "two files and the notes of where they were"
    assert not Path(parts[0]).exists()
    Path(parts[0]).parent.rmdir()
    fetch_from_trash(gone)
    assert [Path(part).read_text() for part in parts] == [Path(part).name for part in parts]
    assert files_in(trash) == []


def test_all_parts_or_none_go_to_the_trash(trash: Path, parts: tuple[str, ...]) -> None:
    Path(parts[1]).unlink()
    problem = problem_of(lambda: move_to_trash(parts))
    assert (problem.kind, problem.string("path")) == (ErrorKind.TRASH_FAILED, parts[1])
    assert Path(parts[0]).is_file()
    assert files_in(trash) == []


@pytest.mark.parametrize("is_emptied", [True, False])
def test_all_parts_or_none_come_back(trash: Path, parts: tuple[str, ...], is_emptied: bool) -> None:
    gone = trashed(parts)
    if is_emptied:
        Path(gone.places[1][1]).unlink()
    else:
        Path(parts[1]).write_text("another")
    before = files_in(trash)
    assert problem_of(lambda: fetch_from_trash(gone)).kind is ErrorKind.MOVE_FAILED
    assert files_in(trash) == before
    assert not Path(parts[0]).exists()
    assert is_emptied or Path(parts[1]).read_text() == "another"


def test_a_link_goes_to_the_trash_without_what_it_leads_to(trash: Path, parts: tuple[str, ...], tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(parts[0])
    move_to_trash([str(link)])
    assert not link.is_symlink()
    assert Path(parts[0]).is_file()


def test_a_drive_that_has_no_trash_keeps_its_file_and_says_so(trash: Path, drive: Callable[[int], Path]) -> None:
    folder = drive(5)
    (folder / "m.gguf").write_text("model")
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    assert problem_of(lambda: move_to_trash([str(folder / "m.gguf")])).kind is ErrorKind.TRASH_FAILED
    assert (folder / "m.gguf").read_text() == "model"
