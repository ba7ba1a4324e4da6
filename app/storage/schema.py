"""Which schema a file has, and bringing it to the newest one."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from app.storage.connection import IMMEDIATE, engine_for
from app.storage.failures import DamageError

APPLICATION_ID = 0x48525448  # "HRTH" in the file's header, set by the first migration
_MIGRATIONS = "app.storage:migrations"


@dataclass(frozen=True, slots=True)
class Schema:
    """The newest schema that this program knows: its number, and the folders with the steps that lead there."""

    version: int
    step_folders: tuple[Path, ...]


# Written down, although the folder tells it, so that Alembic is imported only when there is something to do.
SCHEMA = Schema(4, (Path(__file__).parent / "migrations" / "versions",))


@dataclass(frozen=True, slots=True)
class StoredSchema:
    """What a file says of itself; `app_version` is the Hearth that used it last, empty when unknown."""

    version: int
    app_version: str


def stored_schema(connection: sqlite3.Connection) -> StoredSchema | None:
    """The schema of a file, None when it is blank.

    Raises DamageError when it is not a database of Hearth, sqlite3.Error when it cannot be read.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID or "alembic_version" not in tables:
        raise DamageError("a database of another program")
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None or not str(row[0]).isdecimal():
        raise DamageError("its schema has no number")
    return StoredSchema(int(row[0]), _app_version(connection))


def _app_version(connection: sqlite3.Connection) -> str:
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'app_version'").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # a newer schema may have no such table
            raise
        row = None
    return str(row[0]) if row else ""


def upgrade(path: Path, schema: Schema) -> None:
    """Run every step that `path` lacks, in one transaction: all or nothing.

    Raises sqlite3 and SQLAlchemy errors as they come.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _MIGRATIONS)
    config.set_main_option("path_separator", "os")
    folders = os.pathsep.join(str(folder) for folder in schema.step_folders)
    config.set_main_option("version_locations", folders.replace("%", "%%"))  # % is special to ConfigParser
    # A step that rebuilds a table drops the old one: with foreign keys on, its rows' children would go with it.
    engine = engine_for(path, foreign_keys=False).execution_options(**{IMMEDIATE: True})
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise RuntimeError(f"the migration leaves {len(broken)} rows that point nowhere")
    finally:
        engine.dispose()
