"""Moves models between folders and drives, and computes their hashes. For worker threads."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from app.core.errors import ErrorKind, UserError
from app.hub.folder_sync import sync_folder

Progress = Callable[[float], None]
"""Told how far a piece of work is, 0 to 1."""

IsCancelled = Callable[[], bool]

_BLOCK_BYTES = 4 * 1024 * 1024
_SPARE_BYTES = 64 * 1024 * 1024  # a disk filled to the last byte serves nobody


class CancelledError(Exception):
    """The person changed their mind; everything is as it was."""


def hash_file(path: Path, on_progress: Progress, is_cancelled: IsCancelled) -> str:
    """The SHA-256 of a file, in hexadecimal digits. Raises CancelledError; UserError when it cannot be read."""
    try:
        counter = _Counter(path.stat().st_size, on_progress, is_cancelled)
        return _hash(path, counter)
    except OSError as error:
        raise _unreadable(path, error) from error


def move_model(
    parts: Sequence[Path], folder: Path, on_progress: Progress, is_cancelled: IsCancelled
) -> tuple[Path, ...]:
    """Move all parts of a model into `folder`; returns where they are now.

    On the same drive they are renamed. To another they are copied, the copies are read again and compared, and only
    then the originals are deleted. Whatever goes wrong, and when the person cancels, the originals are where they were.
    A link moves as a link on its drive; to another drive goes what it leads to.

    Raises CancelledError; UserError DISK_SPACE or MOVE_FAILED.
    """
    targets = tuple(folder / part.name for part in parts)
    if targets == tuple(parts):
        return targets
    if is_cancelled():
        raise CancelledError
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target in targets:
            _require_free(target)
        if all(part.lstat().st_dev == folder.stat().st_dev for part in parts) and _rename_all(parts, targets):
            return targets
        _copy(parts, targets, on_progress, is_cancelled)
    except OSError as error:
        raise UserError(ErrorKind.MOVE_FAILED, path=str(parts[0]), reason=_reason(error)) from error
    _delete(parts)
    return targets


def _rename_all(parts: Sequence[Path], targets: Sequence[Path]) -> bool:
    """Whether it was that easy; if not, nothing has changed."""
    done: list[tuple[Path, Path]] = []
    try:
        for part, target in zip(parts, targets, strict=True):
            _rename(part, target)
            done.append((part, target))
    except OSError as error:
        for part, target in reversed(done):
            _rename(target, part)
        if error.errno != errno.EXDEV:  # one device number may be several drives
            raise
        return False
    return True


def _rename(source: Path, target: Path) -> None:
    """Rename a file, never onto another. Raises OSError."""
    _require_free(target)  # it may have come during a copy that took minutes; only Windows would notice by itself
    if source.is_symlink() and not source.readlink().is_absolute():  # it leads nowhere from another folder
        target.symlink_to(source.resolve())
        source.unlink()
    else:
        source.rename(target)


def _require_free(target: Path) -> None:
    """Raises FileExistsError when anything is there, be it a link into nothing."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))


def _copy(parts: Sequence[Path], targets: Sequence[Path], on_progress: Progress, is_cancelled: IsCancelled) -> None:
    """Every part beside its target under another name, compared, and then all under their own."""
    total = sum(part.stat().st_size for part in parts)
    free = shutil.disk_usage(targets[0].parent).free
    if free < total + _SPARE_BYTES:
        raise UserError(ErrorKind.DISK_SPACE, needed_bytes=total, free_bytes=free, path=str(targets[0].parent))
    counter = _Counter(2 * total, on_progress, is_cancelled)
    made: list[Path] = []
    try:
        for part, target in zip(parts, targets, strict=True):
            copy = target.with_name(target.name + ".moving")
            copy.unlink(missing_ok=True)  # of a Hearth that was killed
            made.append(copy)
            if _copy_file(part, copy, counter) != _hash(copy, counter):
                raise OSError(errno.EIO, "The copy differs from the original")
        for place, target in enumerate(targets):
            _rename(made[place], target)
            made[place] = target
        sync_folder(targets[0].parent)  # before the originals go
    except BaseException:
        for left in made:
            with suppress(OSError):
                left.unlink()
        raise


def _copy_file(source: Path, target: Path, counter: _Counter) -> str:
    """Copy, see to it that it is on the disk, and return the SHA-256 of what was read."""
    hasher = hashlib.sha256()
    with source.open("rb", buffering=0) as reader, target.open("xb", buffering=0) as writer:
        while block := reader.read(_BLOCK_BYTES):
            hasher.update(block)
            left = memoryview(block)
            while left:
                left = left[writer.write(left) :]
            counter.add(len(block))
        os.fsync(writer.fileno())
        if hasattr(os, "posix_fadvise"):  # else what is compared would be the memory's copy, not the disk's
            os.posix_fadvise(writer.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    times = source.stat()
    with suppress(OSError):  # some drives know no times; the header is then read once more
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    return hasher.hexdigest()


def _hash(path: Path, counter: _Counter) -> str:
    hasher = hashlib.sha256()
    with path.open("rb", buffering=0) as reader:
        while block := reader.read(_BLOCK_BYTES):
            hasher.update(block)
            counter.add(len(block))
    return hasher.hexdigest()


def _delete(parts: Sequence[Path]) -> None:
    """The copies are there and right: an original that cannot be deleted is no reason to call it a failure."""
    for part in parts:
        with suppress(OSError):
            part.unlink()


class _Counter:
    """Counts bytes and asks whether to go on."""

    def __init__(self, total_bytes: int, on_progress: Progress, is_cancelled: IsCancelled) -> None:
        self._total_bytes = max(1, total_bytes)
        self._done_bytes = 0
        self._on_progress = on_progress
        self._is_cancelled = is_cancelled

    def add(self, count: int) -> None:
        if self._is_cancelled():
            raise CancelledError
        self._done_bytes += count
        self._on_progress(min(1.0, self._done_bytes / self._total_bytes))


def _unreadable(path: Path, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(ErrorKind.FILE_MISSING, path=str(path))
    return UserError(ErrorKind.FILE_UNREADABLE, path=str(path), reason=_reason(error))


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
