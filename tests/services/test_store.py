"""The database as the window has it: damage, bugs, and backups that come by themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.messages import utc_now
from app.services.profile import Profile
from app.services.store import Stores
from app.storage.database import Database
from tests.services.conftest import WAIT_MS, StartProfile

FULL = UserError(ErrorKind.DISK_FULL, path="made up")


def test_damage_is_told_although_the_disk_was_full_when_it_was_found(
    qtbot: QtBot, build: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = build(loads=[{}])
    profile.paths.database.write_bytes(b"this is a letter, not a database " * 100)
    really_open = Database.open
    calls = 0

    def second_time_full(path: Path, backups: Path) -> Database:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise FULL
        return really_open(path, backups)

    monkeypatch.setattr(Database, "open", second_time_full)
    told: list[UserError] = []
    profile.store.open_failed.connect(told.append)
    profile.start(None)
    qtbot.waitUntil(lambda: told == [FULL], timeout=WAIT_MS)
    with qtbot.waitSignal(profile.store.opened, timeout=WAIT_MS):
        profile.store.open()
    qtbot.waitUntil(lambda: len(told) == 2, timeout=WAIT_MS)
    assert told[1].kind is ErrorKind.DATABASE_CORRUPT
    assert Path(told[1].string("set_aside_path")).exists()


def test_after_a_bug_nobody_waits_for_ever(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile()
    failures: list[UserError] = []

    def work(stores: Stores) -> None:
        raise ZeroDivisionError

    with qtbot.capture_exceptions() as reported:
        profile.store.run(work, None, failures.append)
        qtbot.waitUntil(lambda: bool(failures), timeout=WAIT_MS)
    assert failures[0].kind is ErrorKind.STORAGE_FAILED
    assert [kind for kind, _, _ in reported] == [ZeroDivisionError], "the crash window hears of it"


def test_a_window_left_open_for_a_week_makes_its_backup(
    qtbot: QtBot, start_profile: StartProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.store.BACKUP_CHECK_MS", 20)
    profile = start_profile()
    with qtbot.waitSignal(profile.store.backups_listed, timeout=WAIT_MS):
        pass
    monkeypatch.setattr("app.services.store.utc_now", lambda: utc_now() + timedelta(days=8))
    qtbot.waitUntil(lambda: len(list(profile.paths.backups.glob("*.db"))) > 1, timeout=WAIT_MS)
