"""Moves between folders, written down before they happen: what a killed Hearth left half done can be told and mended.

One file per move in a folder of the profile, with a lock beside it that the system takes back from whoever dies. The
rules of mending are those of `app.hub.file_moves`.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from app.hub.download.file_lock import FileLock
from app.hub.durable_files import NEW_SUFFIX, write_durably

log = logging.getLogger(__name__)
_FORMAT = 1
_ENDING, _LOCK = ".json", ".lock"


class Stamp(NamedTuple):
    """How a file is, without reading it: another content has another."""

    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """That of a file or a link itself; None where there is none."""
        try:
            status = path.lstat()
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be moved, and how far that is; all tuples have one entry per file."""

    parts: tuple[Path, ...]  # where the files were
    targets: tuple[Path, ...]  # where they will be
    stamps: tuple[Stamp, ...]  # of the originals
    copies: tuple[Path, ...] = ()  # to another drive, under names that nobody else has; empty: files are renamed
    copy_stamps: tuple[Stamp, ...] = ()  # once the copies are whole and compared

    @property
    def is_decided(self) -> bool:
        """Whether only names are missing: then a move is finished, else undone."""
        return not self.copies or bool(self.copy_stamps)

    @property
    def folder(self) -> Path:
        """Where the files go."""
        return self.targets[0].parent

    def has_placed(self, number: int) -> bool:
        """Whether what has its name in the new folder now is what a decided move puts there, and nobody else's."""
        target = self.targets[number]
        if not self.copies and target.is_symlink():  # a relative one was made anew
            return True
        return Stamp.of(target) == (self.copy_stamps if self.copies else self.stamps)[number]


class MoveEntry:
    """A move in the journal. Whoever has it holds its lock."""

    def __init__(self, folder: Path, name: str, move: Move) -> None:
        self.name = name
        self.move = move
        self._folder = folder

    def note(self, move: Move) -> None:
        """The move is so far now; on the disk when this returns. Raises OSError."""
        write_durably(self._folder / (self.name + _ENDING), json.dumps(_to_json(move)))
        self.move = move

    def remove(self) -> None:
        """It is as if the move had never begun."""
        _remove(self._folder, self.name)


class MoveJournal:
    """The moves of one profile that are under way, or were when Hearth was killed.

    Any thread, any number of programs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def begin(self, move: Move) -> Iterator[MoveEntry]:
        """Write a move down, with a lock on it for as long as the block lasts. Raises OSError.

        It stays in the journal until its `remove`, or `forget`.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex[:12]
        lock = FileLock(self._folder / (name + _LOCK))
        lock.acquire()
        try:
            entry = MoveEntry(self._folder, name, move)
            entry.note(move)
            yield entry
        finally:
            lock.release()

    def left_behind(self) -> Iterator[MoveEntry]:
        """The moves of which nobody takes care, each with its lock until the next is asked for."""
        try:
            names = {path.name.split(".")[0] for path in self._folder.iterdir()}
        except OSError:  # nothing was ever moved
            return
        for name in sorted(names):
            lock = FileLock(self._folder / (name + _LOCK))
            try:
                if not lock.acquire():
                    continue
            except OSError as error:
                log.info("the journal of moves cannot be used: %s", type(error).__name__)
                return
            try:
                yield MoveEntry(self._folder, name, _read(self._folder / (name + _ENDING)))
            except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError) as error:
                log.info("a note about a move tells nothing: %s", type(error).__name__)
                _remove(self._folder, name)  # it ended before anything was done, or is over since
            except OSError as error:
                log.warning("a note about a move cannot be read: %s", type(error).__name__)
            finally:
                lock.release()

    def forget(self, name: str) -> None:
        """A move is over, and everybody knows where the files are."""
        _remove(self._folder, name)


def _read(path: Path) -> Move:
    """Raises OSError, and ValueError, KeyError, TypeError or RecursionError for what is no note about a move."""
    return _from_json(json.loads(path.read_bytes()))


def _remove(folder: Path, name: str) -> None:
    for ending in (_ENDING, _ENDING + NEW_SUFFIX):
        with suppress(OSError):
            (folder / (name + ending)).unlink(missing_ok=True)


def _to_json(move: Move) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "parts": [str(path) for path in move.parts],
        "targets": [str(path) for path in move.targets],
        "stamps": move.stamps,
        "copies": [str(path) for path in move.copies],
        "copy_stamps": move.copy_stamps,
    }


def _from_json(told: Any) -> Move:
    """Raises ValueError, KeyError or TypeError for what was not written by `_to_json`."""
    if told["format"] != _FORMAT:
        raise ValueError("another format")
    parts, targets, copies = (tuple(map(Path, told[name])) for name in ("parts", "targets", "copies"))
    stamps, copy_stamps = (
        tuple(Stamp(int(size), int(modified_ns)) for size, modified_ns in told[name])
        for name in ("stamps", "copy_stamps")
    )
    if not parts or not len(parts) == len(targets) == len(stamps):
        raise ValueError("no move")
    if len(copies) not in (0, len(parts)) or len(copy_stamps) not in (0, len(copies)):
        raise ValueError("no move")
    return Move(parts, targets, stamps, copies, copy_stamps)
