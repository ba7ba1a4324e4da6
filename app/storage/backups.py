"""Verified copies of the database, made before every migration and once a week; and putting one back."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.errors import ErrorKind, UserError
from app.core.messages import utc_now
from app.storage.connection import BUSY_TIMEOUT_MS, Access, beside, connect, make_private, quick_check
from app.storage.failures import DamageError, as_user_errors
from app.storage.schema import SCHEMA, StoredSchema, stored_schema

if TYPE_CHECKING:
    from app.storage.database import Database

KEPT_BACKUPS = 5
BACKUP_INTERVAL = timedelta(days=7)
_NAME = re.compile(r"hearth-(\d{8}T\d{12}Z)\.db", re.ASCII)
_STAMP_FORMAT = "%Y%m%dT%H%M%S%fZ"
_PARTIAL = ".partial"
_COMPANIONS = ("-wal", "-shm", "-journal")  # what SQLite may keep beside a database


@dataclass(frozen=True, slots=True)
class Backup:
    """One finished backup: a complete database in one file."""

    path: Path
    created_at: datetime
    size_bytes: int

    @classmethod
    def of(cls, path: Path) -> Backup:
        """The backup in a file; one under a foreign name counts as made when it was last written. Raises UserError."""
        with as_user_errors(path):
            status = path.stat()
        created_at = _moment_in(path.name) or datetime.fromtimestamp(status.st_mtime, UTC)
        return cls(path, created_at, status.st_size)


def list_backups(folder: Path) -> list[Backup]:
    """All finished backups, newest first. Raises UserError."""
    with as_user_errors(folder):
        if not folder.is_dir():
            return []
        found = [Backup.of(path) for path in folder.iterdir() if _moment_in(path.name)]
    return sorted(found, key=lambda backup: backup.created_at, reverse=True)


def newest_good_backup(folder: Path, newest_version: int = SCHEMA.version) -> Backup | None:
    """The newest backup that is intact and of a schema up to `newest_version`."""
    for backup in list_backups(folder):
        try:
            if _verified_schema(backup.path).version <= newest_version:
                return backup
        except UserError:
            continue
    return None


def backup_is_due(folder: Path, now: datetime) -> bool:
    """Whether the last backup is a week old, or there is none; one from the future (a wrong clock) does not count."""
    past = [backup.created_at for backup in list_backups(folder) if backup.created_at <= now]
    return not past or now - max(past) >= BACKUP_INTERVAL


def make_backup(source: Path | Database, folder: Path, now: datetime | None = None) -> Backup:
    """Copy the database, also while it is in use, check the copy, and only then let go of the oldest ones.

    Raises UserError; the database and the earlier backups are then as they were, and nothing half-made stays.
    """
    path = source if isinstance(source, Path) else source.path
    try:
        with as_user_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            backup = _make(path, folder, now or utc_now())
            for old in _superseded(folder, backup):
                old.path.unlink(missing_ok=True)
    except UserError as error:
        if error.kind is ErrorKind.DATABASE_CORRUPT:
            error.details["path"] = str(path)
        raise
    return backup


def restore_backup(backup: Backup, path: Path) -> Path | None:
    """Put a copy of `backup` where the database is, which must be closed; the backup itself stays.

    What was there is set aside, but only once the copy is complete and checked; returns where it went, if there was
    anything. Raises UserError; the database is then where it was.
    """
    partial = beside(path, _PARTIAL)
    with as_user_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            make_private(partial)
            shutil.copyfile(backup.path, partial)
            _verified_schema(partial)
            _flush(partial)
            aside = set_aside(path) if path.exists() else None
            for suffix in _COMPANIONS:  # of a database that is gone: SQLite would apply them to this one
                beside(path, suffix).unlink(missing_ok=True)
            _publish(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return aside


def set_aside(path: Path, now: datetime | None = None) -> Path:
    """Move a database that cannot be used out of the way, with its log, and return its new path. Raises UserError."""
    stem = f"{path.name}.broken-{(now or utc_now()).strftime('%Y%m%dT%H%M%SZ')}"
    target = path.with_name(stem)
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{stem}-{number}")
    with as_user_errors(path):
        path.replace(target)  # first: where this is refused, the log must stay with it
        for suffix in _COMPANIONS:
            if beside(path, suffix).exists():
                beside(path, suffix).replace(beside(target, suffix))
    return target


def _make(source: Path, folder: Path, now: datetime) -> Backup:
    path = folder / f"hearth-{now.astimezone(UTC).strftime(_STAMP_FORMAT)}.db"
    partial = beside(path, _PARTIAL)
    try:
        _copy(source, partial)
        _verified_schema(partial)
        _flush(partial)
        _publish(partial, path)
    except BaseException:
        _sweep(folder)
        raise
    return Backup.of(path)


def _copy(source: Path, target: Path) -> None:
    give_up_at = time.monotonic() + BUSY_TIMEOUT_MS / 1000

    def on_step(status: int, remaining: int, total: int) -> None:
        # `Connection.backup` repeats for ever while the source is locked.
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > give_up_at:
            raise UserError(ErrorKind.DATABASE_LOCKED, path=str(source))

    with closing(connect(source, Access.WRITE)) as reader, closing(connect(target, Access.CREATE)) as writer:
        writer.execute("PRAGMA synchronous = OFF")  # it is flushed as a whole before it gets its name
        reader.backup(writer, progress=on_step)
        writer.execute("PRAGMA journal_mode = DELETE")  # one file that needs no other beside it


def _verified_schema(path: Path) -> StoredSchema:
    """The schema of an intact, filled database. Raises UserError for any other file."""
    with as_user_errors(path), closing(connect(path, Access.READ)) as connection:
        found = stored_schema(connection)
        if found is None:
            raise DamageError("empty")
        problems = quick_check(connection)
        if problems:
            raise DamageError(problems[0])
        return found


def _flush(partial: Path) -> None:
    """Have the content on the disk before the file gets its name, so that a power cut leaves both or neither."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())


def _publish(partial: Path, path: Path) -> None:
    """Give a finished file its name."""
    partial.replace(path)
    if os.name == "posix":
        with suppress(OSError):  # some file systems cannot flush a folder; the file is whole all the same
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _moment_in(name: str) -> datetime | None:
    """When a backup was made, by its file's name; None for a name that Hearth did not give."""
    match = _NAME.fullmatch(name)
    try:
        return datetime.strptime(match[1], _STAMP_FORMAT).replace(tzinfo=UTC) if match else None
    except ValueError:
        return None


def _superseded(folder: Path, newest: Backup) -> list[Backup]:
    """All but the last five. `newest` is just verified and stays, whatever the clock says of the others."""
    others = [backup for backup in list_backups(folder) if backup.path != newest.path]
    return others[KEPT_BACKUPS - 1 :]


def _sweep(folder: Path) -> None:
    for left_over in folder.glob(f"hearth-*{_PARTIAL}*"):
        left_over.unlink(missing_ok=True)
