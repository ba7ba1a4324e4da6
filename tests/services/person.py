"""What a person does and finds, through the services of a profile."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from pytestqt.qtbot import QtBot

from app.core.messages import Message, MessageState
from app.services.profile import Profile
from tests.services.conftest import WAIT_MS

SLOW = {"text": "word ", "repeat": 10_000, "tokens_per_second": 200}


def path(profile: Profile) -> list[Message]:
    return profile.chat.current.tree.active_path()


def states(profile: Profile) -> list[MessageState]:
    return [message.state for message in path(profile)]


def say(qtbot: QtBot, profile: Profile, text: str) -> None:
    """Send and wait for the end of the answer."""
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS):
        profile.chat.send(text)


def say_and_wait_for_text(qtbot: QtBot, profile: Profile, text: str) -> None:
    """Send and wait until the answer has begun."""
    with qtbot.waitSignal(profile.chat.answers.text_added, timeout=WAIT_MS):
        profile.chat.send(text)


def stored(profile: Profile, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(profile.paths.database, timeout=5)) as connection:
        return connection.execute(statement).fetchall()


@contextmanager
def locked(profile: Profile) -> Iterator[None]:
    """Another connection holds the database: nothing can be stored, everything can be read."""
    with closing(sqlite3.connect(profile.paths.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def settle_store(qtbot: QtBot, profile: Profile) -> None:
    """Wait until the store has done all that was asked of it, and has told."""
    done: list[bool] = []
    profile.store.run(lambda stores: True, done.append)
    qtbot.waitUntil(lambda: bool(done), timeout=WAIT_MS)
