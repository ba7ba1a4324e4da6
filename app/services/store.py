"""The database as the window sees it: work goes to the store thread, results come back on the main thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app.core.errors import ErrorKind, UserError
from app.core.messages import utc_now
from app.storage.backups import Backup, backup_is_due, list_backups, make_backup, restore_backup
from app.storage.conversations import ConversationStore
from app.storage.database import Database, set_aside
from app.storage.downloads import DownloadStore
from app.storage.models import ModelFileStore
from app.storage.writer import StoreThread

log = logging.getLogger(__name__)
T = TypeVar("T")
BACKUP_CHECK_MS = 6 * 60 * 60 * 1000  # a window may stay open for weeks


@dataclass(frozen=True, slots=True)
class Stores:
    """What an open database offers; used on the store thread only."""

    database: Database
    conversations: ConversationStore
    models: ModelFileStore
    downloads: DownloadStore


class StoreService(QObject):
    """Owns the store thread and the database. Its methods are called on the main thread and never wait."""

    opened = Signal()
    restored = Signal()  # a backup is in place of the database; `opened` follows
    open_failed = Signal(object)  # UserError
    backups_listed = Signal(object)  # list[app.storage.backups.Backup], newest first
    backup_failed = Signal(object)  # UserError
    _delivered = Signal(object)  # a call to make on the main thread

    def __init__(self, database: Path, backups: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path = database
        self._backups = backups
        self._thread = StoreThread()
        self._stores: Stores | None = None
        self._damage: UserError | None = None  # found but not told yet; used on the store thread only
        self._is_closed = False
        self._backup_timer = QTimer(self)
        self._backup_timer.setInterval(BACKUP_CHECK_MS)
        self._backup_timer.timeout.connect(self._back_up_weekly)
        self._delivered.connect(self._on_delivered, Qt.ConnectionType.QueuedConnection)

    @property
    def is_open(self) -> bool:
        """Whether work is accepted."""
        return self._stores is not None

    def open(self) -> None:
        """Open the database in the background.

        A damaged file is set aside and a new one is made; `open_failed` then tells about it (its details name where the
        old file went and the newest backup) although work is accepted.
        """
        self._submit(lambda: self._open(None), self._on_opened, self.open_failed.emit)

    def restore(self, backup: Path) -> None:
        """Open a backup in place of the database, which is set aside; ends as `open` does."""
        self._submit(lambda: self._restore(backup), self._on_restored, self.open_failed.emit)

    def run(
        self,
        work: Callable[[Stores], T],
        on_done: Callable[[T], None] | None = None,
        on_failed: Callable[[UserError], None] | None = None,
    ) -> None:
        """Do `work` on the store thread, then call `on_done` or `on_failed` on the main thread.

        A failure nobody listens to is logged. Any error but a UserError is a bug: it reaches the crash window, and
        `on_failed` as STORAGE_FAILED, so that nobody waits for ever.
        """
        self._submit(lambda: work(self._require()), on_done, on_failed)

    def list_backups(self) -> None:
        """Ends in `backups_listed`."""

        def work(stores: Stores) -> list[Backup]:
            return list_backups(self._backups)

        self.run(work, self.backups_listed.emit, self.backup_failed.emit)

    def back_up(self) -> None:
        """Make a verified backup now; ends in `backups_listed` or `backup_failed`."""

        def work(stores: Stores) -> None:
            make_backup(stores.database, self._backups)

        self.run(work, lambda _: self.list_backups(), self.backup_failed.emit)

    def close(self) -> None:
        """Finish what is queued, close the database, end the thread. Further calls do nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._thread.submit(self._close)
            self._thread.close()

    def _require(self) -> Stores:
        """The open stores. A database that could not be opened before is tried again: the disk may have room now."""
        if self._stores is None:
            damage = self._open(None)
            self._delivered.emit(lambda: self._on_opened(damage))
        if self._stores is None:
            raise AssertionError("opening the database ends in stores or in a UserError")
        return self._stores

    def _restore(self, backup: Path) -> UserError | None:
        """Put a backup in place of the database; if that fails, what was there stays in use."""
        try:
            return self._open(backup)
        except UserError:
            self._open(None)
            raise

    def _open(self, restore: Path | None) -> UserError | None:
        self._close()
        if restore is not None:
            restore_backup(Backup.of(restore), self._path)  # sets aside what is there
        try:
            database = Database.open(self._path, self._backups)
        except UserError as error:
            if error.kind is not ErrorKind.DATABASE_CORRUPT:
                raise
            aside = set_aside(self._path)
            self._damage = UserError(error.kind, **{**error.details, "set_aside_path": str(aside)})
            database = Database.open(self._path, self._backups)
        self._stores = _stores_of(database)
        self._stores.conversations.interrupt_streaming()
        damage, self._damage = self._damage, None
        return damage

    def _close(self) -> None:
        if self._stores is not None:
            self._stores.database.close()
            self._stores = None

    def _on_opened(self, damage: UserError | None) -> None:
        self.opened.emit()
        if damage is not None:
            self.open_failed.emit(damage)
        self._back_up_weekly()
        self._backup_timer.start()

    def _on_restored(self, damage: UserError | None) -> None:
        self.restored.emit()
        self._on_opened(damage)

    def _back_up_weekly(self) -> None:
        now = utc_now()

        def work(stores: Stores) -> None:
            if backup_is_due(self._backups, now):
                make_backup(stores.database, self._backups)

        self.run(work, lambda _: self.list_backups())

    def _submit(
        self,
        job: Callable[[], T],
        on_done: Callable[[T], None] | None,
        on_failed: Callable[[UserError], None] | None,
    ) -> None:
        if self._is_closed:  # a late timer or signal while the app goes down
            return
        future = self._thread.submit(job)

        def deliver(done: Future[T]) -> None:
            self._delivered.emit(lambda: _settle(done, self._path, on_done, on_failed))

        future.add_done_callback(deliver)

    def _on_delivered(self, call: Callable[[], None]) -> None:
        call()


def _settle(
    done: Future[Any],
    path: Path,
    on_done: Callable[[Any], None] | None,
    on_failed: Callable[[UserError], None] | None,
) -> None:
    try:
        result = done.result()
    except UserError as error:
        if on_failed is None:
            log.error("storage: %s", error.kind.value)
        else:
            on_failed(error)
        return
    except Exception as error:
        if on_failed is not None:
            on_failed(UserError(ErrorKind.STORAGE_FAILED, path=str(path), reason=type(error).__name__))
        raise
    if on_done is not None:
        on_done(result)


def _stores_of(database: Database) -> Stores:
    return Stores(database, ConversationStore(database), ModelFileStore(database), DownloadStore(database))
