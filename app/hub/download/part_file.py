"""What is there of a file that is not complete yet: its bytes, and a journal of which of them are.

Both lie beside the file that they will become, so that completing is one rename on the same disk:
`model.gguf.part` with the bytes, `model.gguf.part.json` with the journal, `model.gguf.part.lock` with the lock.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from app.core.byte_ranges import ByteRanges
from app.hub.durable_files import NEW_SUFFIX, rename_over, write_durably

PART_SUFFIX = ".part"
_JOURNAL_SUFFIX = ".json"
_JOURNAL_FORMAT = 1  # a part with a journal of a later format is begun anew by this version
_JOURNAL_LIMIT_BYTES = 1 << 20  # of ours a few hundred
_FAT_LIMIT_BYTES = 2**32 - 1  # FAT32 holds no larger file


@dataclass(frozen=True, slots=True)
class Identity:
    """Which content a part belongs to. Two with the same digest and size may be continued by each other."""

    digest: str  # sha256 of the whole file, or git's sha1 of its blob; empty: unknown, never continued
    size_bytes: int


def part_path(target: Path) -> Path:
    """Where the bytes of `target` are kept until it is complete."""
    return target.with_name(target.name + PART_SUFFIX)


def lock_path(target: Path) -> Path:
    """The lock that whoever writes the part of `target` holds."""
    return target.with_name(target.name + PART_SUFFIX + ".lock")


class PartFile:
    """The part of one target, held by whoever holds its lock. `write` may be called by several threads.

    What the journal claims is on the disk: also a power cut costs only what came after the last `sync`.
    """

    def __init__(self, target: Path, identity: Identity) -> None:
        self.target = target
        self.path = part_path(target)
        self._journal = self.path.with_name(self.path.name + _JOURNAL_SUFFIX)
        self._identity = identity
        self._lock = threading.Lock()
        self._written = ByteRanges()
        self._synced = ByteRanges()

    @property
    def written(self) -> ByteRanges:
        """What can be read back."""
        return self._written

    def open(self) -> None:
        """Take up what an earlier run left, if it is surely of the same content. Raises OSError."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self._written = self._synced = self._remembered() if self._identity.digest else ByteRanges()
        if not self._written.spans:
            remove_part(self.target)  # with its journal, which would be believed later
        with self.path.open("ab") as file:
            if self._identity.size_bytes > _FAT_LIMIT_BYTES >= self._written.end:
                kept_bytes = file.seek(0, os.SEEK_END)
                file.truncate(self._identity.size_bytes)  # a disk that cannot hold it says so now, not after 4 GB
                file.truncate(kept_bytes)

    def _remembered(self) -> ByteRanges:
        try:
            if self._journal.stat().st_size > _JOURNAL_LIMIT_BYTES:
                return ByteRanges()
            data: Any = json.loads(self._journal.read_text("utf-8"))
            found = Identity(str(data["digest"]), int(data["size_bytes"]))
            if data["format"] != _JOURNAL_FORMAT or found != self._identity:
                return ByteRanges()
            size_bytes = min(self.path.stat().st_size, self._identity.size_bytes)
            return ByteRanges.of((int(begin), int(end)) for begin, end in data["done"]).upto(size_bytes)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return ByteRanges()

    def writer(self) -> BinaryIO:
        """A file of its own for one thread that writes. Raises OSError."""
        return self.path.open("r+b", buffering=0)

    def wrote(self, begin: int, end: int) -> None:
        """These bytes have been written."""
        with self._lock:
            self._written = self._written.plus(begin, end)

    def sync(self) -> None:
        """Make sure that the disk has what was written, then note it in the journal. Raises OSError."""
        with self._lock:
            written = self._written
        if written == self._synced:
            return
        with self.path.open("r+b") as file:
            os.fsync(file.fileno())
        data = {
            "format": _JOURNAL_FORMAT,
            "digest": self._identity.digest,
            "size_bytes": self._identity.size_bytes,
            "done": written.spans,
        }
        write_durably(self._journal, json.dumps(data))
        self._synced = written

    def discard(self) -> None:
        """Throw everything away, to begin anew. Raises OSError."""
        with self._lock:
            self._written = self._synced = ByteRanges()
        remove_part(self.target)
        self.path.touch()

    def finish(self) -> None:
        """Put the complete file in its place, whole or not at all. Raises OSError."""
        with self.path.open("r+b") as file:
            file.truncate(self._identity.size_bytes)
            os.fsync(file.fileno())
        rename_over(self.path, self.target)
        remove_part(self.target)  # the journal


def remove_part(target: Path) -> None:
    """Remove what is there of an incomplete `target`. The caller holds its lock. Raises OSError."""
    part = part_path(target)
    for suffix in ("", _JOURNAL_SUFFIX, _JOURNAL_SUFFIX + NEW_SUFFIX):
        part.with_name(part.name + suffix).unlink(missing_ok=True)
