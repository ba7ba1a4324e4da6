"""The folder of saved states: which files are there, how much they may take, which go first.

Names are digests of what a state belongs to, of its conversation and of chance, so that a name never gets new contents
and tells nothing. Only files of such names are ever touched. Several processes may use one folder: files appear whole,
by renaming, and one that another process has removed is simply not there.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_GIB = 1024**3
_NAME = re.compile(r"(?P<key>[0-9a-f]{16})-(?P<conversation>[0-9a-f]{16})-[0-9a-f]{16}\.(?P<kind>state|part)")
_CLOCK_NS = 3600 * 10**9  # so much a clock is set without anything being wrong
_ABANDONED_AFTER_S = 600.0  # a part that nobody has written to for so long belongs to a process that was killed


@dataclass(frozen=True, slots=True)
class StateEntry:
    """A file in the folder; `key` and `conversation` are the beginnings of digests."""

    path: Path
    key: str
    conversation: str
    size_bytes: int
    used_ns: int


class StateFolder:
    """Finds and removes state files. Its methods put what the disk says into the log and raise nothing."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        """Keep at most `limit_bytes` in the folder `path`, which need not exist yet."""
        self._path = path
        self.limit_bytes = limit_bytes

    def new_path(self, key: bytes, conversation: bytes) -> Path:
        """A name that no file has, in a folder that exists. Raises OSError."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._path / f"{short(key)}-{short(conversation)}-{secrets.token_hex(8)}.state"

    def states(self) -> list[StateEntry]:
        """The finished states."""
        return self._entries(("state",))

    def states_and_parts(self) -> list[StateEntry]:
        """Also those that are being written."""
        return self._entries(("state", "part"))

    def make_room(self, size_bytes: int, first: Collection[Path] = ()) -> bool:
        """Remove states until `size_bytes` more fit; returns whether they do.

        Those in `first` go first, then those unused for longest, and those from the future, which a clock that was
        wrong has made, before these. When the disk is low ours are the first files to go.
        """
        if size_bytes > self.limit_bytes:
            return False
        latest_ns = time.time_ns() + _CLOCK_NS

        def value(entry: StateEntry) -> tuple[bool, int]:
            return entry.path not in first, entry.used_ns if entry.used_ns <= latest_ns else 0

        entries = sorted(self.states(), key=value, reverse=True)
        total_bytes = sum(entry.size_bytes for entry in entries)
        while total_bytes + size_bytes > self.limit_bytes or not self._has_disk_for(size_bytes):
            if not entries:
                return False
            entry = entries.pop()
            total_bytes -= entry.size_bytes
            remove(entry.path)
        return True

    def remove_abandoned(self) -> None:
        """Remove what killed processes left half written."""
        now_ns = time.time_ns()
        for entry in self._entries(("part",)):
            if abs(now_ns - entry.used_ns) > _ABANDONED_AFTER_S * 1e9:
                remove(entry.path)

    def _entries(self, kinds: Sequence[str]) -> list[StateEntry]:
        found = []
        try:
            with os.scandir(self._path) as listing:
                for item in listing:
                    match = _NAME.fullmatch(item.name)
                    if match is None or match["kind"] not in kinds or not item.is_file(follow_symlinks=False):
                        continue
                    try:
                        status = item.stat(follow_symlinks=False)
                    except FileNotFoundError:  # another process was faster
                        continue
                    path, size_bytes = self._path / item.name, status.st_size
                    found.append(StateEntry(path, match["key"], match["conversation"], size_bytes, status.st_mtime_ns))
        except FileNotFoundError:
            pass  # nothing was ever saved
        except OSError as error:
            log.warning("the saved states could not be listed: %s", reason_of(error))
        return found

    def _has_disk_for(self, size_bytes: int) -> bool:
        try:
            existing = next(folder for folder in (self._path, *self._path.parents) if folder.exists())
            disk = shutil.disk_usage(existing)
        except (OSError, StopIteration):
            return False
        return disk.free - size_bytes >= disk_reserve_bytes(disk.total)


def disk_reserve_bytes(disk_bytes: int) -> int:
    """How much of a disk of this size stays free whatever happens.

    5 %, since file systems slow down when nearly full; at least 2 GiB, below which systems themselves get into trouble
    (updates, swap files); at most 20 GiB, since nobody with more than that to spare is short of room.
    """
    return min(max(disk_bytes // 20, 2 * _GIB), 20 * _GIB)


def short(digest: bytes) -> str:
    """How a digest stands in a file name."""
    return digest.hex()[:16]


def touch(path: Path) -> None:
    """Note in the file's time that it was used now."""
    try:
        os.utime(path)
    except OSError as error:
        log.info("a saved state keeps its age: %s", reason_of(error))


def remove(path: Path) -> None:
    """Remove a file of ours, if it is still there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # on Windows: another process is reading it; its turn comes again
        log.info("a saved state could not be removed: %s", reason_of(error))


def reason_of(error: OSError) -> str:
    """What the system says, without the path."""
    return error.strerror or type(error).__name__
