from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from app.storage.conversations import ConversationStore
from app.storage.database import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "hearth.db"


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    return tmp_path / "data" / "backups"


@pytest.fixture
def open_database(path: Path, backups: Path) -> Iterator[Callable[[], Database]]:
    """Opens the database of this test, as often as wanted; closes whatever is still open at the end."""
    with ExitStack() as opened:

        def opener() -> Database:
            database = Database.open(path, backups)
            opened.callback(database.close)
            return database

        yield opener


@pytest.fixture
def database(open_database: Callable[[], Database]) -> Database:
    return open_database()


@pytest.fixture
def store(database: Database) -> ConversationStore:
    return ConversationStore(database)


def _may_mount() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


@contextmanager
def _mounted(folder: Path, *commands: list[str]) -> Iterator[Path]:
    for command in commands:
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            subprocess.run(["umount", str(folder)], check=False, capture_output=True)
            pytest.skip(f"this machine does not allow: {' '.join(command[:-1])}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own of 2 MB."""
    if not _may_mount():
        pytest.skip("only root on Linux can mount a small disk")
    folder = tmp_path / "small_disk"
    folder.mkdir()
    with _mounted(folder, ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]):
        yield folder


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Makes a folder with all in it unwritable until the end of the test, also for root."""
    with ExitStack() as undone:

        def protect(folder: Path) -> None:
            if _may_mount():
                bind = ["mount", "--bind", str(folder), str(folder)]
                remount = ["mount", "-o", "remount,ro,bind", str(folder)]
                undone.enter_context(_mounted(folder, bind, remount))
            elif os.name == "posix":
                for entry in (folder, *folder.iterdir()):
                    mode = entry.stat().st_mode
                    entry.chmod(mode & ~0o222)
                    undone.callback(entry.chmod, mode)
            else:
                pytest.skip("no way to make a folder read-only for its owner")

        yield protect
