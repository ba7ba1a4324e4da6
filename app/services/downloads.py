"""The queue of downloads: which of them runs now, and what becomes of them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.downloads import Download, DownloadFile, DownloadId, DownloadState, WaitReason, is_within_hours
from app.core.errors import UserError
from app.hub.access import HubAccess
from app.hub.download.limiter import RateLimiter
from app.services.download_folder import download_folder, repo_folder
from app.services.download_list import DownloadList
from app.services.download_worker import DownloadWorker
from app.services.settings import SettingsService
from app.services.store import StoreService
from app.services.tasks import Tasks

TICK_MS = 250  # a person is told so often how a download stands
CLOCK_MS = 20_000  # how often hours, and cancelled downloads, are looked at
SHUTDOWN_S = 1.0
MOST_ASIDE = 8  # downloads that wait for others beside those that run: each is a thread
_BYTES_PER_MB = 1_000_000


class DownloadService(QObject):
    """Main thread only; nothing here waits. The list is stored with every change and taken up again at the start."""

    listed = Signal()  # the list, or its order, is another
    changed = Signal(object)  # Download; at most every TICK_MS for each that runs
    finished = Signal(object)  # Download, with the path of its first file
    failed = Signal(object)  # Download, with its error
    cancelled = Signal(object)  # Download; `restore` brings it back
    save_failed = Signal(object)  # UserError: the list is not on the disk

    def __init__(
        self,
        store: StoreService,
        tasks: Tasks,
        settings: SettingsService,
        access: Callable[[], HubAccess],
        own_folder: Path,
        parent: QObject | None = None,
    ) -> None:
        """`access` says how the hub is reached now (it may raise UserError); `own_folder` is where models go."""
        super().__init__(parent)
        self._tasks = tasks
        self._settings = settings
        self._access = access
        self._own_folder = own_folder
        self._limiter = RateLimiter()
        self._list = DownloadList(store, self.save_failed.emit)
        self._workers: dict[DownloadId, DownloadWorker] = {}
        self._leaving: dict[DownloadId, DownloadWorker] = {}  # told to stop, not ended yet
        self._unwanted: dict[DownloadId, Download] = {}  # as they were before they moved to another folder
        self._any_time: set[DownloadId] = set()  # started by hand outside the hours
        self._is_shut_down = False
        self._ticker = QTimer(self)
        self._ticker.setInterval(TICK_MS)
        self._ticker.timeout.connect(self._on_tick)
        self._clock = QTimer(self)
        self._clock.setInterval(CLOCK_MS)
        self._clock.timeout.connect(self._on_clock)
        settings.changed.connect(self._on_setting_changed)
        store.opened.connect(self._on_store_opened)
        self._limiter.set_limit(self._limit_bytes_per_s())

    @property
    def downloads(self) -> list[Download]:
        """The list in its order, without those that were cancelled."""
        return self._list.shown

    @property
    def folder(self) -> Path:
        """Where new downloads go, each into folders of its author and repository."""
        return download_folder(self._settings.string("downloads.folder"), self._own_folder)

    def download(self, download_id: DownloadId) -> Download | None:
        """One of the list, or one that was cancelled not long ago."""
        return self._list.find(download_id)

    # --- what a person does ---

    def add(
        self, files: Sequence[DownloadFile], name: str, *, quantization: str = "", folder: Path | None = None
    ) -> Download:
        """Put a model at the end of the queue; its parts are one item. The same files twice are one download.

        `folder`: where exactly the files go; None: a folder of their author and repository in `self.folder`.
        """
        if not files:
            raise ValueError("a download without files")
        repo = files[0].repo
        place = str((folder or repo_folder(self.folder, repo)).absolute())
        same = self._list.same_as(files, place)
        if same is not None and same.state is not DownloadState.DONE:
            self.resume(same.id)
            return self._list.require(same.id)
        if same is not None:  # done before: perhaps its file is gone, which a new run finds out
            self._list.drop(same.id)
        sizes = [file.size_bytes for file in files]
        total_bytes = sum(sizes) if all(sizes) else 0
        added = Download(
            DownloadId(uuid.uuid4().hex), name, repo, quantization, tuple(files), place, total_bytes=total_bytes
        )
        self._list.append(added)
        self.listed.emit()
        self._arrange()
        return self._list.require(added.id)

    def pause(self, download_id: DownloadId) -> None:
        """Stand still until `resume`; what was received stays."""
        download = self._list.find(download_id)
        if download is not None and not download.is_over:
            self._rest(download_id, DownloadState.PAUSED)
            self._arrange()

    def resume(self, download_id: DownloadId) -> None:
        """Go on: after a pause, a failure or a cancellation. One that waits for its hours starts at once."""
        download = self._list.find(download_id)
        if download is None or download.is_active or download.state is DownloadState.DONE:
            return
        if download.state is DownloadState.SCHEDULED:
            self._any_time.add(download_id)
        self._put(download.at_rest(DownloadState.QUEUED))
        if download.state is DownloadState.CANCELLED:
            self.listed.emit()
        self._arrange()

    retry = restore = resume
    """Other words for the same: after a failure, after `cancel`."""

    def replace(self, download_id: DownloadId) -> None:
        """A file that has the name already is replaced once the new one is complete; after NAME_TAKEN, or before."""
        download = self._list.find(download_id)
        if download is None:
            return
        self._put(replace(download, replaces=True))
        if download.is_active:  # its worker knows of no consent
            self._rest(download_id, DownloadState.QUEUED)
            self._arrange()
        else:
            self.resume(download_id)

    def use_folder(self, download_id: DownloadId, folder: Path) -> None:
        """Download to another place, from the beginning; after a full disk, for example."""
        download = self._list.find(download_id)
        place = str(folder.absolute())
        if download is None or download.state is DownloadState.DONE:
            return
        if place == download.folder:
            self.resume(download_id)
            return
        self._stop(download_id)
        if download_id in self._leaving:
            self._unwanted.setdefault(download_id, download)  # its part is still being written
        else:
            self._discard_parts(download)
        # What a person agreed to was about a file in the other folder.
        moved = replace(download.at_rest(DownloadState.QUEUED), folder=place, done_bytes=0, replaces=False)
        self._put(moved)
        self._arrange()

    def cancel(self, download_id: DownloadId) -> None:
        """Take a download off the list. For an hour `restore` brings it back with all that was received.

        One that is done only leaves the list: its file stays.
        """
        download = self._list.find(download_id)
        if download is None or download.state is DownloadState.CANCELLED:
            return
        if download.state is DownloadState.DONE:
            self._list.drop(download_id)
        else:
            self._rest(download_id, DownloadState.CANCELLED)
            self.cancelled.emit(self._list.require(download_id))
        self.listed.emit()
        self._arrange()

    def clear_done(self) -> None:
        """Take all that are done off the list; their files stay."""
        for download in self.downloads:
            if download.state is DownloadState.DONE:
                self._list.drop(download.id)
        self.listed.emit()

    def move(self, download_id: DownloadId, position: int) -> None:
        """Move to a place in `downloads`, 0 being the first. Who comes earlier starts earlier."""
        download = self._list.find(download_id)
        if download is not None and download.state is not DownloadState.CANCELLED:
            self._list.move(download_id, position)
            self.listed.emit()
            self._arrange()

    def reconnect(self) -> None:
        """The way to the hub is another now, or the token: those that run, or failed for want of it, go on over it."""
        for download_id in list(self._workers):
            self._rest(download_id, DownloadState.QUEUED)
        for download in self.downloads:
            if download.was_refused:
                self._put(download.at_rest(DownloadState.QUEUED))
        self._arrange()

    def shut_down(self) -> None:
        """Stop all; what was received stays, and those that ran go on at the next start. Waits a second at most."""
        if self._is_shut_down:
            return
        self._is_shut_down = True
        self._ticker.stop()
        self._clock.stop()
        workers = {**self._leaving, **self._workers}
        for worker in workers.values():
            worker.stop()
        deadline_s = time.monotonic() + SHUTDOWN_S
        for download_id, worker in workers.items():
            worker.join(deadline_s - time.monotonic())
            if download_id in self._workers:
                download = self._list.require(download_id)
                self._list.note(worker.look(download))  # what has just ended is found, and told, at the next start
        if self._list.is_loaded:
            self._list.save()

    # --- which of them run ---

    def _arrange(self) -> None:
        """Start and stop downloads as list, settings and hours want it. What stands aside takes nobody's place."""
        if self._is_shut_down or not self._list.is_loaded:
            return
        free, aside = self._settings.integer("downloads.parallel"), MOST_ASIDE
        is_offline = self._settings.value("hub.offline") is True
        in_hours = self._are_hours()
        for download in self.downloads:
            if download.is_over or download.state is DownloadState.PAUSED:
                continue
            may_run = not is_offline and (in_hours or download.id in self._any_time)
            if may_run and free > 0:
                self._start(download)
                worker = self._workers.get(download.id)
                if worker is not None and worker.stands_aside and aside > 0:
                    aside -= 1
                else:
                    free -= 1
                continue
            self._stop(download.id)
            if is_offline:
                waiting = replace(download.at_rest(DownloadState.WAITING), wait_reason=WaitReason.OFFLINE)
            elif not may_run:
                waiting = replace(download.at_rest(DownloadState.SCHEDULED), wait_reason=WaitReason.NIGHT)
            else:
                waiting = download.at_rest(DownloadState.QUEUED)
            if waiting != download:
                self._put(waiting)
        self._set_timers()

    def _start(self, download: Download) -> None:
        if download.id in self._workers or download.id in self._leaving:
            return
        try:
            access = self._access()
        except UserError as error:
            self._put(replace(download.at_rest(DownloadState.FAILED), error=error))
            self.failed.emit(self._list.require(download.id))
            return
        started = replace(download.at_rest(DownloadState.RUNNING), wait_reason=WaitReason.CONNECTING)
        connections = self._settings.integer("downloads.connections")
        self._workers[download.id] = DownloadWorker(self._tasks, access, started, self._limiter, connections)
        self._put(started)

    def _rest(self, download_id: DownloadId, state: DownloadState) -> None:
        self._stop(download_id)
        self._put(self._list.require(download_id).at_rest(state))

    def _stop(self, download_id: DownloadId) -> None:
        """Let the worker go, if there is one; the state is the caller's."""
        worker = self._workers.pop(download_id, None)
        if worker is not None:
            worker.stop()
            self._leaving[download_id] = worker
            self._set_timers()

    def _on_tick(self) -> None:
        for download_id, worker in list(self._workers.items()):
            download = self._list.require(download_id)
            if worker.has_ended:
                del self._workers[download_id]
                self._any_time.discard(download_id)
                self._on_ended(worker.outcome(download))
            elif (seen := worker.look(download)) != download:
                self._list.note(seen)
                self.changed.emit(seen)
        for download_id, worker in list(self._leaving.items()):
            if worker.has_ended:
                del self._leaving[download_id]
                self._on_left(download_id, worker)
        self._list.save_sometimes()
        self._arrange()

    def _on_clock(self) -> None:
        for download in self._list.drop_expired():
            self._discard_parts(download)
        self._arrange()

    def _on_ended(self, download: Download) -> None:
        self._put(download)
        if download.state is DownloadState.DONE:
            self.finished.emit(download)
        elif download.state is DownloadState.FAILED:
            self.failed.emit(download)

    def _on_left(self, download_id: DownloadId, worker: DownloadWorker) -> None:
        """A worker that was told to stop has ended: it may have received a little more than was shown."""
        download = self._list.find(download_id)
        if moved := self._unwanted.pop(download_id, None):
            self._discard_parts(moved)
        elif download is not None:
            ended = worker.outcome(download)
            self._put(replace(download, done_bytes=ended.done_bytes, total_bytes=ended.total_bytes, files=ended.files))

    def _set_timers(self) -> None:
        _run(self._ticker, bool(self._workers or self._leaving))
        has_hours = self._settings.value("downloads.at_night") is True
        waits = any(not download.is_over and download.state is not DownloadState.PAUSED for download in self.downloads)
        _run(self._clock, (has_hours and waits) or self._list.has_cancelled)

    def _are_hours(self) -> bool:
        if self._settings.value("downloads.at_night") is not True:
            return True
        begin = self._settings.integer("downloads.night_from_hour")
        end = self._settings.integer("downloads.night_until_hour")
        return is_within_hours(datetime.now().hour, begin, end)

    def _on_setting_changed(self, key: str) -> None:
        if key == "downloads.limit_mb_per_s":
            self._limiter.set_limit(self._limit_bytes_per_s())
        elif key == "hub.offline" or key.startswith("downloads."):
            self._arrange()

    def _limit_bytes_per_s(self) -> float:
        value = self._settings.value("downloads.limit_mb_per_s")
        return float(value or 0) * _BYTES_PER_MB

    def _put(self, download: Download) -> None:
        """Note, store and tell a change of state."""
        self._list.put(download)
        if download.state is not DownloadState.CANCELLED:
            self.changed.emit(download)

    def _on_store_opened(self) -> None:
        if not self._list.is_loaded:
            self._list.load(self._on_loaded)

    def _on_loaded(self, old: list[Download]) -> None:
        for download in old:
            self._discard_parts(download)
        self.listed.emit()
        self._arrange()

    def _discard_parts(self, download: Download) -> None:
        """Remove what was received of files that no other download of the list will bring to the same place."""
        others = [other for other in self.downloads if other.id != download.id and other.folder == download.folder]
        wanted = {file.path for other in others for file in other.files}
        files = tuple(file for file in download.files if file.path not in wanted)

        def work() -> None:
            from app.hub.download.transfer import discard_parts

            discard_parts(files, Path(download.folder))

        self._tasks.run(work)


def _run(timer: QTimer, wanted: bool) -> None:
    """Start or stop a timer; one that runs is not started again."""
    if wanted and not timer.isActive():
        timer.start()
    elif not wanted:
        timer.stop()
