"""What `Database.open` does with every kind of file that it may find."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import app
from app.core.errors import ErrorKind, UserError
from app.core.messages import Conversation, Message, Role, TextPart, new_conversation_id, new_message_id
from app.storage.backups import Backup, make_backup, newest_good_backup, restore_backup
from app.storage.conversations import ConversationStore
from app.storage.database import Database, set_aside
from app.storage.schema import APPLICATION_ID, SCHEMA


def fill(path: Path, backups: Path, title: str = "kept", messages: int = 200) -> Conversation:
    """A closed database with one conversation."""
    database = Database.open(path, backups)
    store = ConversationStore(database)
    conversation = Conversation(new_conversation_id(), title)
    store.create(conversation)
    written = [
        Message(new_message_id(), conversation.id, None, Role.USER, (TextPart(f"message {number} " * 50),))
        for number in range(messages)
    ]
    store.save_exchange(conversation, written, written[-1].id)
    database.close()
    return conversation


def kind_of_opening(path: Path, backups: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        Database.open(path, backups)
    assert caught.value.string("path") == str(path)
    return caught.value


def titles(database: Database) -> list[str]:
    return [conversation.title for conversation in ConversationStore(database).list()]


def overwrite(path: Path, start: int, length: int, seed: int = 1) -> None:
    with path.open("rb+") as file:
        file.seek(start)
        file.write(random.Random(seed).randbytes(length))


def test_a_blank_start_makes_folders_and_settings(path: Path, open_database: Callable[[], Database]) -> None:
    database = open_database()
    with database.reading() as session:

        def pragma(name: str) -> object:
            return session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one()

        assert pragma("journal_mode") == "wal"
        assert pragma("foreign_keys") == 1
        assert pragma("synchronous") == 1
        assert pragma("busy_timeout") == 1500
        assert pragma("secure_delete") == 1
        assert pragma("application_id") == APPLICATION_ID
    assert database.path == path
    assert Database.check_file(database.path) == []
    database.close()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_an_empty_file_is_a_blank_start(path: Path, open_database: Callable[[], Database]) -> None:
    path.parent.mkdir()
    path.touch()
    assert titles(open_database()) == []


def test_odd_characters_in_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "100 % Ünï?&#;'\" mode=ro"
    for _ in range(2):
        Database.open(folder / "hearth.db", folder / "backups").close()
    assert (folder / "hearth.db").exists()


def test_a_session_that_fails_changes_nothing(database: Database) -> None:
    def fail_halfway() -> None:
        with database.session() as session:
            session.connection().exec_driver_sql("INSERT INTO meta VALUES ('half', 'done')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    with database.reading() as session:
        count = session.connection().exec_driver_sql("SELECT count(*) FROM meta WHERE key = 'half'")
        assert count.scalar_one() == 0


@pytest.mark.parametrize(
    "content",
    [b"x", b"Dear diary,\n" * 20, b"SQLite format 3\0" + b"\xff" * 5000, bytes(8192), b"SQLite format 3\0"],
    ids=["one byte", "text", "magic and rubbish", "zeros", "magic alone"],
)
def test_what_is_no_database_is_left_as_it_is(path: Path, backups: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    error = kind_of_opening(path, backups)
    assert error.kind is ErrorKind.DATABASE_CORRUPT
    assert error.string("backup_path") == ""
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_not_taken_over(path: Path, backups: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE conversations (id)")
        other.commit()
    before = path.read_bytes()
    error = kind_of_opening(path, backups)
    assert error.kind is ErrorKind.DATABASE_CORRUPT
    assert path.read_bytes() == before


def test_a_folder_in_its_place(path: Path, backups: Path) -> None:
    path.mkdir(parents=True)
    assert kind_of_opening(path, backups).kind is ErrorKind.STORAGE_FAILED


def test_a_file_in_place_of_the_folder(path: Path, backups: Path) -> None:
    path.parent.write_text("in the way")
    assert kind_of_opening(path, backups).kind is ErrorKind.STORAGE_FAILED


@pytest.mark.parametrize("page", [1, 2, 5, 20, 40])
def test_overwritten_bytes_are_noticed_and_the_newest_good_backup_is_named(
    path: Path, backups: Path, page: int
) -> None:
    fill(path, backups)
    good = make_backup(path, backups, datetime(2026, 11, 1, tzinfo=UTC))
    newer = make_backup(path, backups, datetime(2026, 11, 8, tzinfo=UTC))
    overwrite(newer.path, 4096, 8192)
    overwrite(path, 4096 * (page - 1), 4096)
    error = kind_of_opening(path, backups)
    assert error.kind is ErrorKind.DATABASE_CORRUPT
    assert error.string("backup_path") == str(good.path)


def test_a_truncated_or_emptied_database_is_noticed(path: Path, backups: Path) -> None:
    fill(path, backups)
    backup = make_backup(path, backups)
    content = path.read_bytes()
    for length in (len(content) // 2, 4096, 100, 0):
        path.write_bytes(content[:length])
        error = kind_of_opening(path, backups)
        assert error.kind is ErrorKind.DATABASE_CORRUPT
        assert error.string("backup_path") == str(backup.path)


def test_damage_set_aside_backup_restored(path: Path, backups: Path) -> None:
    fill(path, backups)
    make_backup(path, backups)
    overwrite(path, 0, 4096)
    damaged = path.read_bytes()
    kind_of_opening(path, backups)

    aside = set_aside(path)
    assert aside.parent == path.parent
    assert aside.name.startswith("hearth.db.broken-")
    assert aside.read_bytes() == damaged

    fresh = Database.open(path, backups)
    assert titles(fresh) == []
    fresh.close()

    backup = newest_good_backup(backups)
    assert backup is not None
    second_aside = restore_backup(backup, path)
    assert second_aside not in (None, aside)
    assert backup.path.exists()
    restored = Database.open(path, backups)
    assert titles(restored) == ["kept"]
    assert len(ConversationStore(restored).messages(ConversationStore(restored).list()[0].id)) == 200
    restored.close()
    assert sorted(file.name for file in path.parent.glob("hearth.db*")) == sorted(
        file.name for file in (path, aside, second_aside) if file
    )


def test_the_log_of_a_set_aside_database_goes_with_it(path: Path, backups: Path) -> None:
    database = Database.open(path, backups)
    ConversationStore(database).create(Conversation(new_conversation_id(), "only in the log"))
    aside_folder = path.parent / "killed"
    aside_folder.mkdir()
    for file in path.parent.glob("hearth.db*"):  # what a killed process leaves
        (aside_folder / file.name).write_bytes(file.read_bytes())
    database.close()

    aside = set_aside(aside_folder / path.name)
    assert sorted(file.name for file in aside_folder.iterdir()) == sorted(
        aside.name + suffix for suffix in ("", "-wal", "-shm")
    )
    reopened = Database.open(aside, backups)
    assert titles(reopened) == ["only in the log"]
    reopened.close()


def test_a_backup_that_is_gone_is_not_restored(path: Path, backups: Path) -> None:
    fill(path, backups)
    backup = make_backup(path, backups)
    backup.path.unlink()
    before = path.read_bytes()
    for action in (lambda: restore_backup(backup, path), lambda: Backup.of(backup.path)):
        with pytest.raises(UserError) as caught:
            action()
        assert caught.value.kind is ErrorKind.STORAGE_FAILED
    assert path.read_bytes() == before


def test_a_damaged_backup_is_not_restored(path: Path, backups: Path) -> None:
    fill(path, backups)
    backup = make_backup(path, backups)
    overwrite(backup.path, 4096, 8192)
    before = path.read_bytes()
    with pytest.raises(UserError) as caught:
        restore_backup(Backup.of(backup.path), path)
    assert caught.value.kind is ErrorKind.DATABASE_CORRUPT
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.partial*"))


def test_a_newer_database_is_refused_and_not_touched(path: Path, backups: Path) -> None:
    fill(path, backups)
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '0417'")
        newer.execute("UPDATE meta SET value = '9.1.0' WHERE key = 'app_version'")
        newer.execute("CREATE TABLE invented_later (id)")
        newer.commit()
    before = hashlib.sha256(path.read_bytes()).digest()
    written_at = path.stat().st_mtime_ns

    assert kind_of_opening(path, backups) == UserError(
        ErrorKind.DATABASE_TOO_NEW,
        path=str(path),
        found_version=417,
        known_version=SCHEMA.version,
        app_version="9.1.0",
    )
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert path.stat().st_mtime_ns == written_at
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_newer_database_without_todays_tables_is_refused_too(path: Path, backups: Path) -> None:
    fill(path, backups)
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '0417'")
        newer.execute("DROP TABLE meta")
        newer.commit()
    error = kind_of_opening(path, backups)
    assert error.kind is ErrorKind.DATABASE_TOO_NEW
    assert error.string("app_version") == ""


def test_a_newer_database_that_was_not_closed_is_not_touched_either(path: Path, backups: Path) -> None:
    fill(path, backups)
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '0417'")
        newer.commit()
        killed = path.parent / "killed"
        killed.mkdir()
        for suffix in ("", "-wal"):
            (killed / f"hearth.db{suffix}").write_bytes(path.with_name(f"hearth.db{suffix}").read_bytes())
    before = [(killed / f"hearth.db{suffix}").read_bytes() for suffix in ("", "-wal")]
    assert kind_of_opening(killed / path.name, backups).integer("found_version") == 417
    assert [(killed / f"hearth.db{suffix}").read_bytes() for suffix in ("", "-wal")] == before


@pytest.mark.skipif(os.name != "posix", reason="rights of files as POSIX knows them")
def test_others_on_the_computer_cannot_read_the_files(
    path: Path, backups: Path, open_database: Callable[[], Database]
) -> None:
    database = open_database()
    ConversationStore(database).create(Conversation(new_conversation_id()))
    backup = make_backup(database, backups)
    files = [*path.parent.glob("hearth.db*"), backup.path]
    assert {file.name for file in files} >= {"hearth.db", "hearth.db-wal", "hearth.db-shm"}
    database.close()
    restore_backup(backup, path)
    assert {file.stat().st_mode & 0o777 for file in (*files, path) if file.exists()} == {0o600}


def test_the_database_knows_which_hearth_used_it_last(path: Path, backups: Path) -> None:
    fill(path, backups)
    for stored in ("0.0.1", app.__version__):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE meta SET value = ?", (stored,))
            connection.commit()
        Database.open(path, backups).close()
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT key, value FROM meta").fetchall()
        assert rows == [("app_version", app.__version__)]


def test_quick_check_names_damage_in_an_open_database(path: Path, backups: Path) -> None:
    fill(path, backups)
    database = Database.open(path, backups)
    assert Database.check_file(database.path) == []
    overwrite(path, 4096 * 20, 4096)
    assert Database.check_file(database.path) != []
    database.close()
