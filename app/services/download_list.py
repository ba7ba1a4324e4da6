"""The list of downloads in memory and in the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from app.core.downloads import Download, DownloadFile, DownloadId, DownloadState
from app.core.errors import UserError
from app.core.messages import utc_now
from app.services.store import Stores, StoreService

CANCELLED_KEPT = timedelta(hours=1)  # so long a cancelled download can be brought back, with all that was received
_SAVE_INTERVAL_S = 10.0


class DownloadList:
    """In the order in which they start. Main thread only; the database is written in the background."""

    def __init__(self, store: StoreService, on_failed: Callable[[UserError], None]) -> None:
        self._store = store
        self._on_failed = on_failed
        self._downloads: list[Download] = []
        self._cancelled_s: dict[DownloadId, float] = {}  # since when
        self._saved_s = time.monotonic()
        self.is_loaded = False

    @property
    def shown(self) -> list[Download]:
        """Without those that were cancelled."""
        return [download for download in self._downloads if download.state is not DownloadState.CANCELLED]

    @property
    def has_cancelled(self) -> bool:
        """Whether some wait to be brought back or forgotten."""
        return bool(self._cancelled_s)

    def find(self, download_id: DownloadId) -> Download | None:
        """One of them, cancelled or not."""
        return next((download for download in self._downloads if download.id == download_id), None)

    def require(self, download_id: DownloadId) -> Download:
        """One that is there. Raises KeyError."""
        found = self.find(download_id)
        if found is None:
            raise KeyError(download_id)
        return found

    def same_as(self, files: Sequence[DownloadFile], folder: str) -> Download | None:
        """The one that brings these files to this folder, cancelled or not."""
        return next((d for d in self._downloads if d.folder == folder and _is_of(d, files)), None)

    def append(self, download: Download) -> None:
        """Put at the end, and store."""
        self._downloads.append(download)
        self.save()

    def note(self, download: Download) -> None:
        """Take over how a download stands now; stored only now and then, see `save_sometimes`."""
        self._downloads[self._position(download.id)] = download

    def put(self, download: Download) -> None:
        """Take over a change, and store it."""
        self.note(download)
        if download.state is DownloadState.CANCELLED:
            self._cancelled_s.setdefault(download.id, time.monotonic())
        else:
            self._cancelled_s.pop(download.id, None)
        self.save()

    def drop(self, download_id: DownloadId) -> None:
        """Take off the list for good."""
        self._downloads = [download for download in self._downloads if download.id != download_id]
        self._cancelled_s.pop(download_id, None)
        self._store.run(lambda stores: stores.downloads.forget([download_id]), None, self._on_failed)

    def drop_expired(self) -> list[Download]:
        """Forget those that were cancelled so long ago that nobody will bring them back; they are returned."""
        before_s = time.monotonic() - CANCELLED_KEPT.total_seconds()
        expired = [
            self.require(download_id) for download_id, since_s in self._cancelled_s.items() if since_s < before_s
        ]
        for download in expired:
            self.drop(download.id)
        return expired

    def move(self, download_id: DownloadId, position: int) -> None:
        """Move to a place in `shown`, 0 being the first."""
        shown = self.shown
        moved = self.require(download_id)
        shown.remove(moved)
        shown.insert(max(0, min(position, len(shown))), moved)
        self._downloads = [*shown, *(d for d in self._downloads if d.state is DownloadState.CANCELLED)]
        self.save()

    def save(self) -> None:
        """Store all: places that were stored at different times would not make one order."""
        self._saved_s = time.monotonic()
        rows, now = list(enumerate(self._downloads)), utc_now()
        self._store.run(lambda stores: stores.downloads.save(rows, now), None, self._on_failed)

    def save_sometimes(self) -> None:
        """Store all if that was some time ago: called while bytes come in."""
        if time.monotonic() - self._saved_s > _SAVE_INTERVAL_S:
            self.save()

    def load(self, on_loaded: Callable[[list[Download]], None]) -> None:
        """Take up what an earlier run left; `on_loaded` gets those whose parts nobody will want any more."""

        def work(stores: Stores) -> tuple[list[Download], list[Download]]:
            old = stores.downloads.cancelled_before(utc_now() - CANCELLED_KEPT)
            stores.downloads.forget([download.id for download in old])
            return stores.downloads.list(), old

        def on_read(found: tuple[list[Download], list[Download]]) -> None:
            known, old = found
            added = {download.id for download in self._downloads}  # in the meantime
            now_s = time.monotonic()
            self._cancelled_s |= {each.id: now_s for each in known if each.state is DownloadState.CANCELLED}
            self._downloads = [*(download for download in known if download.id not in added), *self._downloads]
            self.is_loaded = True
            on_loaded(old)

        def on_failed(error: UserError) -> None:
            self.is_loaded = True  # what is added now is downloaded all the same
            self._on_failed(error)
            on_loaded([])

        self._store.run(work, on_read, on_failed)

    def _position(self, download_id: DownloadId) -> int:
        return next(number for number, known in enumerate(self._downloads) if known.id == download_id)


def _is_of(download: Download, files: Sequence[DownloadFile]) -> bool:
    """Whether a download is of these files, whatever has been learned of them since."""
    if [(file.repo, file.path) for file in download.files] != [(file.repo, file.path) for file in files]:
        return False
    commits = [(old.commit, new.commit) for old, new in zip(download.files, files, strict=True)]
    return all("" in pair or pair[0] == pair[1] for pair in commits)
