"""The one place that tells faults of the environment (disk full, locked, corrupt) from bugs of ours."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from app.core.errors import ErrorKind, UserError

# Primary result codes, https://www.sqlite.org/rescode.html. A code that is absent here is a bug of ours.
_KIND_OF_RESULT = {
    sqlite3.SQLITE_FULL: ErrorKind.DISK_FULL,
    sqlite3.SQLITE_READONLY: ErrorKind.READ_ONLY,
    sqlite3.SQLITE_PERM: ErrorKind.READ_ONLY,
    sqlite3.SQLITE_BUSY: ErrorKind.DATABASE_LOCKED,
    sqlite3.SQLITE_LOCKED: ErrorKind.DATABASE_LOCKED,
    sqlite3.SQLITE_PROTOCOL: ErrorKind.DATABASE_LOCKED,
    sqlite3.SQLITE_CORRUPT: ErrorKind.DATABASE_CORRUPT,
    sqlite3.SQLITE_NOTADB: ErrorKind.DATABASE_CORRUPT,
    sqlite3.SQLITE_IOERR: ErrorKind.STORAGE_FAILED,
    sqlite3.SQLITE_CANTOPEN: ErrorKind.STORAGE_FAILED,
    sqlite3.SQLITE_NOLFS: ErrorKind.STORAGE_FAILED,
}
_KIND_OF_ERRNO = {
    errno.ENOSPC: ErrorKind.DISK_FULL,
    getattr(errno, "EDQUOT", errno.ENOSPC): ErrorKind.DISK_FULL,  # a quota; unknown on Windows
    errno.EROFS: ErrorKind.READ_ONLY,
    errno.EACCES: ErrorKind.READ_ONLY,
    errno.EPERM: ErrorKind.READ_ONLY,
}
_WINDOWS_IN_USE = frozenset({32, 33})  # ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION; their errno is EACCES
_PRIMARY_MASK = 0xFF
_PROBE_BYTES = 64 * 1024  # more than SQLite's shared-memory file asks for


class DamageError(Exception):
    """The file is not what Hearth wrote, whatever SQLite thinks of it. The text says where, never a person's words."""


@contextmanager
def as_user_errors(path: Path) -> Iterator[None]:
    """Turn the environment's faults inside the block into UserError about `path`; bugs pass through unchanged."""
    try:
        yield
    except (sqlite3.Error, DBAPIError, OSError, DamageError) as error:
        found = user_error_of(error, path)
        if found is None:
            raise
        raise found from error


def user_error_of(error: Exception, path: Path) -> UserError | None:
    """What a person is told about `error`; None when it is a bug."""
    if isinstance(error, DBAPIError):
        return user_error_of(error.orig, path) if isinstance(error.orig, Exception) else None
    if isinstance(error, DamageError):
        return UserError(ErrorKind.DATABASE_CORRUPT, path=str(path), reason=str(error))
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return UserError(kind_of_os_error(error), path=str(path), reason=reason)
    if isinstance(error, sqlite3.Error):
        return _from_sqlite(error, path)
    return None


def kind_of_os_error(error: OSError) -> ErrorKind:
    """The kind of an operating system's error; STORAGE_FAILED for one without a kind of its own."""
    if getattr(error, "winerror", None) in _WINDOWS_IN_USE:
        return ErrorKind.DATABASE_LOCKED
    return _KIND_OF_ERRNO.get(error.errno or 0, ErrorKind.STORAGE_FAILED)


def _from_sqlite(error: sqlite3.Error, path: Path) -> UserError | None:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # The only OperationalError that the sqlite3 module raises without a result code: text that is not UTF-8.
        if isinstance(error, sqlite3.OperationalError):
            return UserError(ErrorKind.DATABASE_CORRUPT, path=str(path), reason="text is not UTF-8")
        return None
    kind = _KIND_OF_RESULT.get(code & _PRIMARY_MASK)
    if kind is None:
        return None
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        kind = ErrorKind.STORAGE_FAILED
    if kind is ErrorKind.STORAGE_FAILED:
        kind = _why_the_folder_refuses(path) or kind
    return UserError(kind, path=str(path), reason=error.sqlite_errorname)


def _why_the_folder_refuses(path: Path) -> ErrorKind | None:
    """SQLite hides the errno behind "cannot open" and "I/O error": ask the folder itself to hold a small file."""
    try:
        with tempfile.TemporaryFile(dir=path if path.is_dir() else path.parent) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return kind_of_os_error(error)
    return None
