"""Moves models between folders and drives, and computes their hashes. For worker threads."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from app.core.errors import ErrorKind, UserError
from app.hub.durable_files import sync_folder
from app.hub.move_journal import Move, MoveEntry, MoveJournal, Stamp

log = logging.getLogger(__name__)
Progress = Callable[[float], None]
"""Told how far a piece of work is, 0 to 1."""

IsCancelled = Callable[[], bool]

_COPY_SUFFIX = ".moving"
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


@dataclass(frozen=True, slots=True)
class Moved:
    """A move that is over. It stays in the journal until who lists the files knows: `MoveJournal.forget(entry)`."""

    parts: tuple[Path, ...]  # where the files were
    targets: tuple[Path, ...]  # where they are
    entry: str = ""  # in the journal


def move_model(
    parts: Sequence[Path], folder: Path, journal: MoveJournal, on_progress: Progress, is_cancelled: IsCancelled
) -> Moved:
    """Move all parts of a model into `folder`.

    On the same drive they are renamed. To another they are copied, the copies are read again and compared, and only
    then the originals are deleted. Whatever goes wrong, and when the person cancels, the originals are where they were;
    what a Hearth leaves that is killed meanwhile is mended by `recover_moves`.
    A link moves as a link on its drive; to another drive goes what it leads to.

    Raises CancelledError; UserError DISK_SPACE or MOVE_FAILED.
    """
    targets = tuple(folder / part.name for part in parts)
    if targets == tuple(parts):
        return Moved(targets, targets)
    if is_cancelled():
        raise CancelledError
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target in targets:
            _require_free(target)
        move = Move(tuple(parts), targets, tuple(map(_stamp, parts)))
        with journal.begin(move) as entry:
            try:
                _carry_out(entry, on_progress, is_cancelled)
            except BaseException:
                if _undo(entry.move):
                    entry.remove()
                raise
    except OSError as error:
        raise UserError(ErrorKind.MOVE_FAILED, path=str(parts[0]), reason=_reason(error)) from error
    return Moved(move.parts, move.targets, entry.name)


def recover_moves(journal: MoveJournal) -> list[Moved]:
    """Finish or undo what a Hearth that was killed left half done; those that are finished now.

    A move is finished when nothing but names was missing. What lies on a drive that is not there waits for it.
    """
    finished = []
    for entry in journal.left_behind():
        move = entry.move
        if not move.folder.is_dir():
            continue
        if move.is_decided and _finish(move):
            finished.append(Moved(move.parts, move.targets, entry.name))
        elif _undo(move):
            entry.remove()
    return finished


def _carry_out(entry: MoveEntry, on_progress: Progress, is_cancelled: IsCancelled) -> None:
    """Raises OSError, UserError or CancelledError with files in both folders: see `_undo`."""
    move = entry.move
    if all(part.lstat().st_dev == move.folder.stat().st_dev for part in move.parts):
        try:
            _place(move)
            return
        except OSError as error:
            if error.errno != errno.EXDEV:  # one device number may be several drives
                raise
        _undo(move)
    _require_room(move)
    # By names that nobody else has: another Hearth may copy the same file, and other files are not touched.
    copies = tuple(target.with_name(f"{target.name}.{entry.name}{_COPY_SUFFIX}") for target in move.targets)
    entry.note(replace(move, copies=copies))
    _copy(move.parts, copies, on_progress, is_cancelled)
    entry.note(replace(entry.move, copy_stamps=tuple(map(_stamp, copies))))
    _place(entry.move)


def _finish(move: Move) -> bool:
    """Whether all of a decided move is done now."""
    try:
        _place(move)
    except OSError as error:
        log.info("a move that was interrupted cannot be finished: %s", type(error).__name__)
        return False
    return True


def _place(move: Move) -> None:
    """Give the files their names, as far as they do not have them yet; then the originals of copies go.

    Raises OSError.
    """
    for number, (source, target) in enumerate(zip(move.copies or move.parts, move.targets, strict=True)):
        if os.path.lexists(source):
            _rename(source, target)
        elif not move.has_placed(number):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))
    sync_folder(move.folder)
    if move.copies:
        for part, stamp in zip(move.parts, move.stamps, strict=True):
            if Stamp.of(part) == stamp:
                with suppress(OSError):  # the copies are there and right: what cannot be deleted is no failure
                    part.unlink()


def _undo(move: Move) -> bool:
    """Put everything back as it was; whether it is so. Only what the move itself has made is removed."""
    for number, (part, target) in enumerate(zip(move.parts, move.targets, strict=True)):
        with suppress(OSError):
            if move.copies and os.path.lexists(move.copies[number]):
                move.copies[number].unlink()
            elif move.is_decided and move.has_placed(number):
                if not move.copies:
                    _rename(target, part)
                elif Stamp.of(part) == move.stamps[number]:
                    target.unlink()
    return all(map(os.path.lexists, move.parts)) and not any(map(os.path.lexists, move.copies))


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


def _require_room(move: Move) -> None:
    """Raises UserError DISK_SPACE, and OSError."""
    needed = sum(part.stat().st_size for part in move.parts)
    free = shutil.disk_usage(move.folder).free
    if free < needed + _SPARE_BYTES:
        raise UserError(ErrorKind.DISK_SPACE, needed_bytes=needed, free_bytes=free, path=str(move.folder))


def _copy(parts: Sequence[Path], copies: Sequence[Path], on_progress: Progress, is_cancelled: IsCancelled) -> None:
    """Copy every part and compare it. Raises OSError and CancelledError."""
    counter = _Counter(2 * sum(part.stat().st_size for part in parts), on_progress, is_cancelled)
    for part, copy in zip(parts, copies, strict=True):
        if _copy_file(part, copy, counter) != _hash(copy, counter):
            raise OSError(errno.EIO, "The copy differs from the original")


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


def _stamp(path: Path) -> Stamp:
    """Raises FileNotFoundError."""
    stamp = Stamp.of(path)
    if stamp is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return stamp


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
