"""One download from its first request to the last file in its place."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from app.core.downloads import DownloadFile, DownloadState, WaitReason
from app.core.errors import ErrorKind, UserError
from app.core.file_names import safe_path
from app.hub.access import HubAccess
from app.hub.download.file_lock import FileLock
from app.hub.download.file_transfer import VERIFYING, FileTransfer, Standing, Surroundings
from app.hub.download.interruptible import StoppedError
from app.hub.download.lane_count import MOST_LANES
from app.hub.download.limiter import RateLimiter
from app.hub.download.part_file import PartFile, lock_path, part_path, remove_part
from app.hub.download.remote_file import RemoteFile
from app.hub.download.running_hash import RunningHash
from app.hub.download.trouble import disk_trouble
from app.hub.http_client import open_client

RESERVE_BYTES = 64 << 20  # left free for everybody else
SILENCE_TIMEOUT_S = 20.0  # a connection on which nothing comes for so long is given up
_LOCK_LOOK_S = 2.0
_HASH_SLICE_S = 0.2


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A transfer at one moment."""

    standing: Standing
    done_bytes: int
    total_bytes: int  # 0: not known yet
    files: tuple[DownloadFile, ...]  # with what the hub said of them so far


class Transfer:
    """Downloads the files of one item into a folder, one after the other; they get their names when all are there.

    `run` is called in a thread of its own, everything else from any thread.
    """

    def __init__(
        self,
        access: HubAccess,
        files: tuple[DownloadFile, ...],
        folder: Path,
        limiter: RateLimiter | None = None,
        most_lanes: int = MOST_LANES,
        replaces: bool = False,
    ) -> None:
        self._access = access
        self._files = files
        self._folder = folder
        self._limiter = limiter or RateLimiter()
        self._most_lanes = most_lanes
        self._replaces = replaces
        self._stop = threading.Event()
        self._standing = Standing()
        self._progress: tuple[int, FileTransfer | None] = (0, None)  # bytes of finished files, and who has more

    def stop(self) -> None:
        """End within a second; what came so far stays."""
        self._stop.set()

    def snapshot(self) -> Snapshot:
        """How it stands now."""
        finished_bytes, current = self._progress
        done_bytes = finished_bytes + (current.done_bytes if current is not None else 0)
        sizes = [file.size_bytes for file in self._files]
        return Snapshot(self._standing, done_bytes, sum(sizes) if all(sizes) else 0, self._files)

    def run(self) -> tuple[DownloadFile, ...]:
        """Download everything; the files with their sizes, digests and commits as the hub told them.

        Raises UserError when it cannot go on, StoppedError after `stop`.
        """
        targets = [target_of(self._folder, file) for file in self._files]
        if len({str(target).casefold() for target in targets}) < len(targets):
            raise UserError(ErrorKind.UNSAFE_NAME, path=self._files[0].path)
        with ExitStack() as locks, open_client(self._access, SILENCE_TIMEOUT_S) as client:
            around = Surroundings(
                client, self._access, self._limiter, self._most_lanes, self._stop, self._on_standing_changed
            )
            parts = [self._bring(around, locks, number, target) for number, target in enumerate(targets)]
            self._put_in_place(parts)
        return self._files

    def _on_standing_changed(self, standing: Standing) -> None:
        self._standing = standing

    def _bring(self, around: Surroundings, locks: ExitStack, number: int, target: Path) -> PartFile | None:
        """One file, whole and verified; None if it is in its place already. Its lock is held until the end of all."""
        with self._as_user_error(number, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(lock_path(target))
            self._wait_for(lock, target)
            locks.callback(lock.release)
            part = self._bring_locked(around, number, target)
        self._progress = (self._progress[0] + self._files[number].size_bytes, None)
        return part

    def _bring_locked(self, around: Surroundings, number: int, target: Path) -> PartFile | None:
        file = self._files[number]
        if file.sha256 and file.size_bytes and self._is_there(target, file.sha256, file.size_bytes):
            return None  # nothing is asked of the hub then
        transfer = FileTransfer(around, file, target)
        self._standing = Standing()
        found = transfer.ask()
        self._learn(number, found)
        is_new = not (file.sha256 and file.size_bytes)  # what to look for is known only now
        if is_new and self._is_there(target, found.digest, found.size_bytes):
            return None
        self._require_name(target)
        self._require_space(target)
        self._progress = (self._progress[0], transfer)
        return transfer.fetch(found)

    def _put_in_place(self, parts: Sequence[PartFile | None]) -> None:
        """All files of a model or none: some of them would be a model that nobody can load or see."""
        for number, part in enumerate(parts):
            if part is not None:
                with self._as_user_error(number, part.target):
                    self._require_name(part.target)  # again: a download takes hours
        for number, part in enumerate(parts):
            if part is not None:
                with self._as_user_error(number, part.target):
                    part.finish()

    @contextmanager
    def _as_user_error(self, number: int, target: Path) -> Iterator[None]:
        """Raises UserError in place of what the disk refuses."""
        try:
            yield
        except OSError as problem:
            free = 0
            with suppress(OSError):  # of a drive that is gone
                free = free_bytes(target.parent)
            raise disk_trouble(problem, str(target), _missing_bytes(self._files[number], target), free) from problem

    def _require_name(self, target: Path) -> None:
        """Raises UserError NAME_TAKEN for a file that is not to be replaced, or a link to a drive that is not there."""
        if os.path.lexists(target) and not self._replaces:
            raise UserError(ErrorKind.NAME_TAKEN, path=str(target))

    def _wait_for(self, lock: FileLock, target: Path) -> None:
        while not lock.acquire():
            cause = UserError(ErrorKind.FILE_IN_USE, path=str(target))
            self._standing = Standing(DownloadState.WAITING, WaitReason.OTHER_PROGRAM, 0.0, cause, stands_aside=True)
            if self._stop.wait(_LOCK_LOOK_S):
                raise StoppedError
        if self._stop.is_set():
            lock.release()
            raise StoppedError

    def _is_there(self, target: Path, digest: str, size_bytes: int) -> bool:
        """Whether the file was downloaded before, by whomever: then its content is what counts."""
        if not digest or _size_of(target) != size_bytes or not target.is_file():
            return False
        self._standing = VERIFYING
        present = RunningHash(target, digest, size_bytes)
        while not present.catch_up(lambda: size_bytes, _HASH_SLICE_S):
            if self._stop.is_set():
                raise StoppedError
        if present.is_right:
            remove_part(target)  # of a Hearth that was killed, or of before somebody else brought the file
        return present.is_right

    def _learn(self, number: int, found: RemoteFile) -> None:
        """Note what the hub promised of a file."""
        files = list(self._files)
        files[number] = replace(
            files[number], sha256=found.digest, size_bytes=found.size_bytes, commit=found.commit or files[number].commit
        )
        self._files = tuple(files)

    def _require_space(self, target: Path) -> None:
        """Raises UserError DISK_SPACE unless all that is missing fits on the disk of the folder."""
        needed_bytes = sum(_missing_bytes(file, target_of(self._folder, file)) for file in self._files)
        free = free_bytes(target.parent)
        if free < needed_bytes + RESERVE_BYTES:
            raise UserError(
                ErrorKind.DISK_SPACE,
                needed_bytes=needed_bytes + RESERVE_BYTES,
                free_bytes=free,
                path=str(target.parent),
            )


def target_of(folder: Path, file: DownloadFile) -> Path:
    """Where a file will be. Raises UserError UNSAFE_NAME for a path that leads out of the folder."""
    return folder / safe_path(file.path)


def free_bytes(folder: Path) -> int:
    """What is free on the disk that holds a folder, or will hold it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def discard_parts(files: tuple[DownloadFile, ...], folder: Path) -> None:
    """Remove what is there of files that nobody wants any more; parts that somebody writes stay."""
    for file in files:
        try:
            target = target_of(folder, file)
            lock = FileLock(lock_path(target))
            if lock.acquire():
                try:
                    remove_part(target)
                finally:
                    lock.release()
        except (OSError, UserError):
            continue


def _missing_bytes(file: DownloadFile, target: Path) -> int:
    """How much of a file still has to come; 0 while its size is not known."""
    try:
        return max(0, file.size_bytes - part_path(target).stat().st_size)
    except OSError:
        return file.size_bytes if _size_of(target) != file.size_bytes else 0


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
