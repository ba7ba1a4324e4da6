"""Opening Hearth's database safely, and transactions on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from app import __version__
from app.core.errors import ErrorKind, UserError
from app.storage.backups import list_backups, make_backup, newest_good_backup, set_aside
from app.storage.connection import IMMEDIATE, Access, beside, connect, engine_for, quick_check
from app.storage.failures import DamageError, as_user_errors
from app.storage.schema import SCHEMA, Schema, StoredSchema, stored_schema, upgrade
from app.storage.tables import MetaRow

__all__ = ["Database", "set_aside"]

_SMALLEST_PAGE_BYTES = 512  # https://www.sqlite.org/fileformat.html#pages
_CHECKED_AT_OPENING_BYTES = 100_000_000  # start-up must stay quick; backups are checked whatever their size


class Database:
    """An open database of the newest schema. Any thread may use it, changes come one after the other."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine
        self._changing = engine.execution_options(**{IMMEDIATE: True})

    @classmethod
    def open(cls, path: Path, backups_folder: Path, schema: Schema = SCHEMA) -> Database:
        """Open the file at `path`: a missing one is made, an older one is backed up and migrated.

        Raises UserError. DATABASE_TOO_NEW leaves the file untouched (`app_version`: the Hearth that it needs, if
        known). DATABASE_CORRUPT carries `backup_path`, the newest good backup or empty: see `set_aside` and
        `restore_backup`.
        """
        try:
            with as_user_errors(path):
                found = _prepare(path, backups_folder, schema)
        except UserError as error:
            if error.kind is ErrorKind.DATABASE_CORRUPT:
                backup = newest_good_backup(backups_folder, schema.version)
                error.details["backup_path"] = str(backup.path) if backup else ""
            raise
        database = cls(path, engine_for(path))
        if found is None or found.app_version != __version__:
            try:
                database._note_app_version()
            except UserError:
                database.close()
                raise
        return database

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction that changes things: committed at the end, rolled back when an exception leaves the block.

        Raises UserError for faults of the environment.
        """
        with as_user_errors(self.path), Session(self._changing) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One transaction that only reads: it never waits for a writer. Raises UserError."""
        with as_user_errors(self.path), Session(self._engine) as session, session.begin():
            yield session

    @staticmethod
    def check_file(path: Path) -> list[str]:
        """What is wrong with a file, in SQLite's words; empty when all is well. 1 s per GB, more from a slow disk."""
        try:
            with as_user_errors(path), closing(connect(path, Access.WRITE)) as connection:
                return quick_check(connection)
        except UserError as error:
            if error.kind is not ErrorKind.DATABASE_CORRUPT:
                raise
            return [error.string("reason")]

    def close(self) -> None:
        """Let go of the file; SQLite then moves the log into it."""
        self._engine.dispose()

    def _note_app_version(self) -> None:
        row = insert(MetaRow).values(key="app_version", value=__version__)
        with self.session() as session:
            session.execute(row.on_conflict_do_update(index_elements=[MetaRow.key], set_={"value": row.excluded.value}))


def _prepare(path: Path, backups_folder: Path, schema: Schema) -> StoredSchema | None:
    """Bring the file to `schema` and make sure that it can be written; what it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = _look(path, backups_folder) if path.exists() else None
    if found is not None and found.version > schema.version:
        raise UserError(
            ErrorKind.DATABASE_TOO_NEW,
            path=str(path),
            found_version=found.version,
            known_version=schema.version,
            app_version=found.app_version,
        )
    with closing(connect(path, Access.CREATE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")  # fails now, with words, if nothing could be stored later
        connection.execute("ROLLBACK")
        if path.stat().st_size <= _CHECKED_AT_OPENING_BYTES and (problems := quick_check(connection)):
            raise DamageError(problems[0])
    if found is not None and found.version < schema.version:
        make_backup(path, backups_folder)
    if found is None or found.version < schema.version:
        upgrade(path, schema)
    return found


def _look(path: Path, backups_folder: Path) -> StoredSchema | None:
    """What an existing file says of itself, without changing it."""
    size_bytes = path.stat().st_size
    if size_bytes == 0 and list_backups(backups_folder):
        raise DamageError("empty, although there were chats in it")
    if 0 < size_bytes < _SMALLEST_PAGE_BYTES:  # SQLite takes a file of one byte for a blank one
        raise DamageError("shorter than any database")
    # A journal means that the first start was cut off; only a writer may roll it back.
    access = Access.WRITE if beside(path, "-journal").exists() else Access.READ
    with closing(connect(path, access)) as connection:
        return stored_schema(connection)
