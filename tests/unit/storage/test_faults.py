"""Full, read-only, locked, killed: what the person is told, and that nothing is lost and all goes on afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.messages import (
    Conversation,
    ConversationId,
    Message,
    MessageState,
    Role,
    TextPart,
    new_conversation_id,
    new_message_id,
)
from app.storage.connection import BUSY_TIMEOUT_MS
from app.storage.conversations import ConversationStore
from app.storage.database import Database

from .disks import fill_disk
from .locks import HOLD_LOCK, locked_by_another_process

HALF_A_CHANGE = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = DELETE")
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
connection.execute("UPDATE conversations SET title = 'half a change', draft = zeroblob(500000)")
os.kill(os.getpid(), signal.SIGKILL)
"""
WRITE_FOR_EVER = """
import itertools, sys
from pathlib import Path
from app.core.messages import *
from app.storage.conversations import ConversationStore
from app.storage.database import Database

database = Database.open(Path(sys.argv[1]), Path(sys.argv[2]))
store = ConversationStore(database)
conversation = Conversation(new_conversation_id(), "killed")
store.create(conversation)
print(conversation.id, flush=True)
parent = None
for number in itertools.count():
    question = Message(new_message_id(), conversation.id, parent, Role.USER, (TextPart(f"question {number}"),))
    answer = Message(
        new_message_id(), conversation.id, question.id, Role.ASSISTANT, (), MessageState.STREAMING
    )
    store.save_exchange(conversation, [question, answer], answer.id)
    for words in range(0, 4000, 800):
        answer = answer.with_text(f"answer {number} " * words)
        store.update_messages([answer])
        print(answer.id, words, flush=True)
    parent = answer.id
"""


def told(action: Callable[[], object]) -> ErrorKind:
    with pytest.raises(UserError) as caught:
        action()
    assert caught.value.string("path")
    return caught.value.kind


def test_no_room_says_so_keeps_what_was_stored_and_recovers(database: Database, store: ConversationStore) -> None:
    conversation = Conversation(new_conversation_id(), "kept")
    store.create(conversation)
    with database.session() as session:
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
        session.connection().exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}").scalar_one()
    message = Message(new_message_id(), conversation.id, None, Role.USER, (TextPart("long " * 100_000),))
    assert told(lambda: store.save_exchange(conversation, [message], message.id)) is ErrorKind.DISK_FULL
    assert store.list() == [conversation]
    assert store.messages(conversation.id) == []
    with database.session() as session:
        session.connection().exec_driver_sql("PRAGMA max_page_count = 1000000").scalar_one()
    store.save_exchange(conversation, [message], message.id)
    assert store.messages(conversation.id) == [message]


def test_a_full_disk_says_so_and_recovers(small_disk: Path) -> None:
    database = Database.open(small_disk / "hearth.db", small_disk / "backups")
    store = ConversationStore(database)
    conversation = Conversation(new_conversation_id(), "kept")
    store.create(conversation)
    ballast = fill_disk(small_disk)
    message = Message(new_message_id(), conversation.id, None, Role.USER, (TextPart("long " * 10_000),))
    for _ in range(3):
        assert told(lambda: store.save_exchange(conversation, [message], message.id)) is ErrorKind.DISK_FULL
        assert store.list() == [conversation]
    ballast.unlink()
    store.save_exchange(conversation, [message], message.id)
    assert store.messages(conversation.id) == [message]
    assert Database.check_file(database.path) == []
    database.close()


def test_a_full_disk_at_the_first_start(small_disk: Path) -> None:
    ballast = fill_disk(small_disk)
    path = small_disk / "hearth.db"
    assert told(lambda: Database.open(path, small_disk / "backups")) is ErrorKind.DISK_FULL
    ballast.unlink()
    Database.open(path, small_disk / "backups").close()


def test_a_full_disk_at_a_later_start(small_disk: Path) -> None:
    path, backups = small_disk / "hearth.db", small_disk / "backups"
    Database.open(path, backups).close()
    ballast = fill_disk(small_disk)
    assert told(lambda: Database.open(path, backups)) is ErrorKind.DISK_FULL
    ballast.unlink()
    Database.open(path, backups).close()


def test_a_read_only_folder_at_the_first_start(path: Path, backups: Path, read_only: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    read_only(path.parent)
    assert told(lambda: Database.open(path, backups)) is ErrorKind.READ_ONLY


def test_a_read_only_folder_at_a_later_start(path: Path, backups: Path, read_only: Callable[[Path], None]) -> None:
    Database.open(path, backups).close()
    read_only(path.parent)
    assert told(lambda: Database.open(path, backups)) is ErrorKind.READ_ONLY


def test_a_disk_that_becomes_read_only_while_in_use(database: Database, store: ConversationStore) -> None:
    conversation = Conversation(new_conversation_id(), "kept")
    store.create(conversation)
    with database.session() as session:
        session.connection().exec_driver_sql("PRAGMA query_only = ON")
    assert told(lambda: store.save_draft(conversation.id, "x")) is ErrorKind.READ_ONLY
    assert store.list() == [conversation]
    with database.reading() as session:
        session.connection().exec_driver_sql("PRAGMA query_only = OFF")
    store.save_draft(conversation.id, "x")


def test_locked_by_another_process_says_so_soon_and_recovers(
    path: Path, database: Database, store: ConversationStore
) -> None:
    conversation = Conversation(new_conversation_id())
    store.create(conversation)
    with locked_by_another_process(path):
        assert store.list() == [conversation]  # readers do not wait
        started = time.monotonic()
        assert told(lambda: store.save_draft(conversation.id, "x")) is ErrorKind.DATABASE_LOCKED
        assert 0.9 * BUSY_TIMEOUT_MS <= (time.monotonic() - started) * 1000 < 10 * BUSY_TIMEOUT_MS
    store.save_draft(conversation.id, "y")
    assert store.list()[0].draft == "y"


def test_a_short_lock_is_waited_for(path: Path, database: Database, store: ConversationStore) -> None:
    conversation = Conversation(new_conversation_id())
    store.create(conversation)
    hold_briefly = HOLD_LOCK.replace("sys.stdin.read()", "import time; time.sleep(0.3)")
    command = [sys.executable, "-c", hold_briefly, str(path), "BEGIN EXCLUSIVE"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        store.save_draft(conversation.id, "after the lock")
    assert store.list()[0].draft == "after the lock"


@pytest.mark.parametrize(
    "statements", ["BEGIN EXCLUSIVE", "PRAGMA locking_mode = EXCLUSIVE;BEGIN EXCLUSIVE;SELECT * FROM meta"]
)
def test_opening_what_another_process_has_locked(path: Path, backups: Path, statements: str) -> None:
    Database.open(path, backups).close()
    with locked_by_another_process(path, statements):
        assert told(lambda: Database.open(path, backups)) is ErrorKind.DATABASE_LOCKED
    Database.open(path, backups).close()


@pytest.mark.skipif(os.name != "posix", reason="ends itself by a signal")
def test_a_change_that_was_cut_off_without_a_log_is_undone(path: Path, backups: Path) -> None:
    # The first moments of a new file, before it has its write-ahead log, and files from other disks.
    database = Database.open(path, backups)
    ConversationStore(database).create(Conversation(new_conversation_id(), "whole"))
    database.close()
    subprocess.run([sys.executable, "-c", HALF_A_CHANGE, str(path)], check=False)
    assert path.with_name("hearth.db-journal").exists()
    database = Database.open(path, backups)
    assert [conversation.title for conversation in ConversationStore(database).list()] == ["whole"]
    database.close()


@pytest.mark.parametrize("commits", [1, 40])
def test_killed_while_writing_everything_committed_is_there(path: Path, backups: Path, commits: int) -> None:
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(path), str(backups)]
    reported: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        conversation_id = ConversationId(writer.stdout.readline().strip())
        for line in writer.stdout:
            reported.append(line)
            if len(reported) == commits:
                writer.kill()
        writer.wait(10)

    database = Database.open(path, backups)
    store = ConversationStore(database)
    assert Database.check_file(database.path) == []
    assert [conversation.id for conversation in store.list()] == [conversation_id]
    messages = {message.id: message for message in store.messages(conversation_id)}
    answer_id, words = reported[-1].split()
    assert set(messages) >= {line.split()[0] for line in reported}
    number = (len(messages) - 1) // 2
    assert len(messages[answer_id].text) >= int(words) * len(f"answer {number} ")
    streaming = sum(message.state is MessageState.STREAMING for message in messages.values())
    assert streaming == len(messages) // 2
    assert store.interrupt_streaming() == streaming
    database.close()
