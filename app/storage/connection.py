"""Connections to a SQLite file with Hearth's settings, the same for the ORM, migrations, checks and backups."""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

BUSY_TIMEOUT_MS = 1500  # longer and a person thinks that Hearth hangs; shorter and a backup elsewhere disturbs
_JOURNAL_LIMIT_BYTES = 4 * 1024 * 1024
_PAGE_CACHE_KIB = 512  # for each connection; reading a conversation passes through it once

IMMEDIATE = "begin_immediate"  # execution option of an engine whose transactions take the write lock at once


class Access(StrEnum):
    """How a file is opened; SQLite's words for its URI parameter `mode`."""

    READ = "ro"
    WRITE = "rw"
    CREATE = "rwc"


def connect(path: Path, access: Access, *, foreign_keys: bool = True) -> sqlite3.Connection:
    """A connection without implicit transactions, usable from one thread at a time.

    Reading a file that no process has open leaves nothing beside it. Raises sqlite3.Error, or OSError when making one.
    """
    parameters = f"mode={access.value}"
    if access is Access.CREATE:
        make_private(path)
    if access is Access.READ and not any(beside(path, suffix).exists() for suffix in ("-wal", "-journal")):
        parameters += "&immutable=1"  # else SQLite would create -wal and -shm even for reading
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{parameters}",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")  # what a person deletes is overwritten in the file
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
        connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_LIMIT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def beside(path: Path, suffix: str) -> Path:
    """The file that SQLite keeps beside a database, e.g. with the suffix `-wal`."""
    return path.with_name(path.name + suffix)


def make_private(path: Path) -> None:
    """Make an empty file that other users of the computer cannot read; one that is there stays as it is."""
    if not path.exists():
        path.touch(mode=0o600)  # the files that SQLite adds beside it get the same rights


def engine_for(path: Path, *, foreign_keys: bool = True) -> Engine:
    """An engine over an existing file; any thread may use it. Parameters (people's texts) stay out of its errors."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: connect(path, Access.WRITE, foreign_keys=foreign_keys),
        poolclass=QueuePool,
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    # sqlite3 would begin on the first change only, and commit before some statements: begin by hand instead.
    immediate = connection.get_execution_options().get(IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def quick_check(connection: sqlite3.Connection) -> list[str]:
    """What `PRAGMA quick_check` finds wrong, in SQLite's words; empty when all is well. About 1 s per GB in memory.

    Raises sqlite3.DatabaseError for damage so bad that SQLite cannot even look.
    """
    return [problem for (problem,) in connection.execute("PRAGMA quick_check") if problem != "ok"]
