"""Backups: whole, checked, five of them, and never at the cost of an older good one."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.messages import Conversation, Message, Role, TextPart, new_conversation_id, new_message_id
from app.storage import backups as backups_module
from app.storage.backups import (
    KEPT_BACKUPS,
    Backup,
    backup_is_due,
    list_backups,
    make_backup,
    newest_good_backup,
    restore_backup,
    set_aside,
)
from app.storage.connection import Access, beside, connect
from app.storage.conversations import ConversationStore
from app.storage.database import Database

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def files_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_backup_is_one_whole_file(database: Database, store: ConversationStore, backups: Path) -> None:
    store.create(Conversation(new_conversation_id(), "still in the log"))
    backup = make_backup(database, backups, NOON)
    assert backup.created_at == NOON
    assert backup.size_bytes == backup.path.stat().st_size
    assert list_backups(backups) == [backup] == [Backup.of(backup.path)]
    assert files_in(backups) == [backup.path.name]
    with closing(sqlite3.connect(backup.path)) as connection:
        assert connection.execute("SELECT title FROM conversations").fetchall() == [("still in the log",)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_backup_can_be_made_while_answers_are_written(
    database: Database, store: ConversationStore, backups: Path
) -> None:
    conversation = Conversation(new_conversation_id())
    store.create(conversation)
    message = Message(new_message_id(), conversation.id, None, Role.ASSISTANT, (TextPart(""),))
    store.save_exchange(conversation, [message], message.id)
    stop = threading.Event()
    failures: list[Exception] = []

    def write() -> None:
        length = 0
        while not stop.wait(0.002):
            length += 100
            try:
                store.update_messages([message.with_text("word " * length)])
            except Exception as error:
                failures.append(error)
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for minute in range(5):
            make_backup(database, backups, NOON + timedelta(minutes=minute))
    finally:
        stop.set()
        writer.join()
    assert failures == []
    assert newest_good_backup(backups) == list_backups(backups)[0]


def test_the_last_five_are_kept(database: Database, backups: Path) -> None:
    made = [make_backup(database, backups, NOON + timedelta(weeks=week)) for week in range(8)]
    assert list_backups(backups) == made[: -KEPT_BACKUPS - 1 : -1]
    assert len(files_in(backups)) == KEPT_BACKUPS


def test_a_backup_made_after_the_clock_went_back_is_kept(database: Database, backups: Path) -> None:
    later = [make_backup(database, backups, NOON + timedelta(weeks=week)) for week in range(5)]
    back = make_backup(database, backups, NOON - timedelta(days=400))
    assert list_backups(backups) == [*reversed(later[1:]), back]


def test_other_files_in_the_folder_are_left_alone(database: Database, backups: Path) -> None:
    backups.mkdir()
    foreign = {"notes.txt", "hearth-mine.db", "hearth-20269999T120000000000Z.db"}
    for name in (*foreign, "hearth-20261121T120000000000Z.db.partial"):
        (backups / name).touch()
    for week in range(6):
        make_backup(database, backups, NOON + timedelta(weeks=week))
    assert len(list_backups(backups)) == KEPT_BACKUPS
    assert foreign <= set(files_in(backups))
    assert not list(backups.glob("*.partial"))


@pytest.mark.parametrize(
    ("ages_in_days", "due"),
    [((), True), ((0,), False), ((6.99,), False), ((7,), True), ((30, 8), True), ((30, 1), False), ((-3,), True)],
)
def test_a_backup_is_due_once_a_week(
    database: Database, backups: Path, ages_in_days: tuple[float, ...], due: bool
) -> None:
    for age in ages_in_days:
        make_backup(database, backups, NOON - timedelta(days=age))
    assert backup_is_due(backups, NOON) is due


def test_a_damaged_database_is_not_backed_up_and_the_good_backups_stay(
    database: Database, store: ConversationStore, path: Path, backups: Path
) -> None:
    for number in range(200):
        store.create(Conversation(new_conversation_id(), f"{number} " * 100))
    made = [make_backup(database, backups, NOON + timedelta(weeks=week)) for week in range(5)]
    database.close()
    with path.open("rb+") as file:
        file.seek(4096 * 10)
        file.write(random.Random(1).randbytes(4096))
    before = path.read_bytes()
    with pytest.raises(UserError) as caught:
        make_backup(path, backups, NOON + timedelta(weeks=9))
    assert caught.value.kind is ErrorKind.DATABASE_CORRUPT
    assert caught.value.string("path") == str(path)
    assert list_backups(backups) == made[::-1]
    assert len(files_in(backups)) == KEPT_BACKUPS
    assert path.read_bytes() == before


def test_a_backup_that_went_bad_is_passed_over(database: Database, backups: Path) -> None:
    made = [make_backup(database, backups, NOON + timedelta(weeks=week)) for week in range(3)]
    made[2].path.write_bytes(b"")
    made[1].path.write_bytes(made[1].path.read_bytes()[:5000])
    assert newest_good_backup(backups) == made[0]
    with closing(sqlite3.connect(made[0].path)) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '0999'")
        newer.commit()
    assert newest_good_backup(backups) is None
    assert newest_good_backup(backups / "missing") is None


def test_no_room_for_a_backup_says_so_and_leaves_all_as_it_was(
    database: Database, store: ConversationStore, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(Conversation(new_conversation_id(), "x" * 500_000))
    good = make_backup(database, backups, NOON)

    def connect_with_little_room(path: Path, access: Access, **options: Any) -> sqlite3.Connection:
        connection = connect(path, access, **options)
        if access is Access.CREATE:
            connection.execute("PRAGMA max_page_count = 20")
        return connection

    monkeypatch.setattr(backups_module, "connect", connect_with_little_room)
    with pytest.raises(UserError) as caught:
        make_backup(database, backups, NOON + timedelta(weeks=1))
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert files_in(backups) == [good.path.name]
    assert len(store.list()) == 1


def test_a_full_disk_under_the_backups(
    database: Database, store: ConversationStore, small_disk: Path, path: Path
) -> None:
    backups = small_disk / "backups"
    good = make_backup(database, backups, NOON)
    store.create(Conversation(new_conversation_id(), "x" * 3_000_000))
    with pytest.raises(UserError) as caught:
        make_backup(database, backups, NOON + timedelta(weeks=1))
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert files_in(backups) == [good.path.name]
    database.close()
    there = restore_backup(good, small_disk / "hearth.db")
    assert there is None
    with pytest.raises(UserError) as caught:
        restore_backup(Backup.of(path), small_disk / "hearth.db")
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert files_in(small_disk) == ["backups", "hearth.db"]


@pytest.mark.skipif(os.name != "posix", reason="only there folders are flushed")
def test_a_file_system_that_cannot_flush_folders(
    database: Database, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync

    def flush_files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", flush_files_only)
    backup = make_backup(database, backups, NOON)
    assert list_backups(backups) == [backup]


def test_a_backup_that_cannot_be_flushed_leaves_the_database_where_it_is(
    database: Database, path: Path, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = make_backup(database, backups, NOON)
    database.close()
    before = path.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError):
        restore_backup(backup, path)
    assert path.read_bytes() == before
    assert files_in(path.parent) == ["backups", path.name]


def test_a_database_that_cannot_be_moved_keeps_its_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    log = beside(path, "-wal")
    for file in (path, log):
        file.touch()
    move = Path.replace

    def refuse_in_use(file: Path, target: Path) -> Path:
        if file == path:  # as Windows does
            raise PermissionError(errno.EACCES, "in use")
        return move(file, target)

    monkeypatch.setattr(Path, "replace", refuse_in_use)
    with pytest.raises(UserError):
        set_aside(path)
    assert files_in(path.parent) == [path.name, log.name]


def test_a_backups_folder_that_cannot_be_written(database: Database, backups: Path, read_only: Any) -> None:
    good = make_backup(database, backups, NOON)
    read_only(backups)
    with pytest.raises(UserError) as caught:
        make_backup(database, backups, NOON + timedelta(weeks=1))
    assert caught.value.kind is ErrorKind.READ_ONLY
    assert newest_good_backup(backups) == good
