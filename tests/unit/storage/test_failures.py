"""Which errors are the environment's, told by codes and never by words."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from app.core.errors import ErrorKind, UserError
from app.storage.failures import as_user_errors, user_error_of

from .disks import fill_disk


def sqlite_error(code: int, name: str = "SQLITE_X") -> sqlite3.Error:
    error = sqlite3.OperationalError("disk full, locked, malformed: the words do not count")
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, ErrorKind.DISK_FULL),
        (sqlite3.SQLITE_READONLY, ErrorKind.READ_ONLY),
        (sqlite3.SQLITE_READONLY_DBMOVED, ErrorKind.STORAGE_FAILED),
        (sqlite3.SQLITE_PERM, ErrorKind.READ_ONLY),
        (sqlite3.SQLITE_BUSY, ErrorKind.DATABASE_LOCKED),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, ErrorKind.DATABASE_LOCKED),
        (sqlite3.SQLITE_LOCKED, ErrorKind.DATABASE_LOCKED),
        (sqlite3.SQLITE_CORRUPT, ErrorKind.DATABASE_CORRUPT),
        (sqlite3.SQLITE_CORRUPT_INDEX, ErrorKind.DATABASE_CORRUPT),
        (sqlite3.SQLITE_NOTADB, ErrorKind.DATABASE_CORRUPT),
        (sqlite3.SQLITE_IOERR_READ, ErrorKind.STORAGE_FAILED),
        (sqlite3.SQLITE_CANTOPEN, ErrorKind.STORAGE_FAILED),
        (sqlite3.SQLITE_ERROR, None),
        (sqlite3.SQLITE_CONSTRAINT, None),
        (sqlite3.SQLITE_MISUSE, None),
        (sqlite3.SQLITE_INTERRUPT, None),
    ],
)
def test_sqlite_codes(tmp_path: Path, code: int, kind: ErrorKind | None) -> None:
    path = tmp_path / "hearth.db"
    for error in (sqlite_error(code), OperationalError("SELECT 1", {}, sqlite_error(code))):
        found = user_error_of(error, path)
        assert (found.kind if found else None) is kind
        assert found is None or found.details == {"path": str(path), "reason": "SQLITE_X"}


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, ErrorKind.DISK_FULL),
        (errno.EROFS, ErrorKind.READ_ONLY),
        (errno.EACCES, ErrorKind.READ_ONLY),
        (errno.EPERM, ErrorKind.READ_ONLY),
        (errno.EIO, ErrorKind.STORAGE_FAILED),
        (errno.ENOENT, ErrorKind.STORAGE_FAILED),
    ],
)
def test_errors_of_the_operating_system(tmp_path: Path, number: int, kind: ErrorKind) -> None:
    """Its words are for people to read: they do not tell the kind."""
    expected = UserError(kind, path=str(tmp_path), reason="words")
    assert user_error_of(OSError(number, "words"), tmp_path) == expected


def test_a_file_in_use_on_windows_is_a_lock(tmp_path: Path) -> None:
    error = PermissionError(errno.EACCES, "words")
    error.winerror = 32
    found = user_error_of(error, tmp_path)
    assert found is not None
    assert found.kind is ErrorKind.DATABASE_LOCKED


def test_a_full_disk_behind_an_input_output_error_is_found(small_disk: Path) -> None:
    fill_disk(small_disk)
    found = user_error_of(sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE), small_disk / "hearth.db")
    assert found is not None
    assert found.kind is ErrorKind.DISK_FULL


def test_bugs_pass_through(tmp_path: Path) -> None:
    for bug in (ValueError("x"), IntegrityError("INSERT", {}, sqlite_error(sqlite3.SQLITE_CONSTRAINT))):
        with pytest.raises(type(bug)), as_user_errors(tmp_path):
            raise bug
    with pytest.raises(sqlite3.ProgrammingError), as_user_errors(tmp_path):
        raise sqlite3.ProgrammingError("no code")
