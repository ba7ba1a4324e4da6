"""A thread that carries one download out."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.downloads import Download, DownloadFile, DownloadState, SpeedMeter
from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.download.interruptible import StoppedError
from app.hub.download.limiter import RateLimiter
from app.services.tasks import Tasks, report_bug

if TYPE_CHECKING:
    from app.hub.download.transfer import Transfer


class DownloadWorker:
    """Runs a transfer; `look` tells how it stands. Main thread only, but for the thread within.

    What a transfer needs is imported by the thread: it takes longer than the window may wait. The thread is started by
    one of `tasks`, since whoever starts a thread waits until it runs. It is a daemon: a disk that answers no more must
    not keep the program from ending, and a kill costs no more than the last two seconds.
    """

    def __init__(
        self, tasks: Tasks, access: HubAccess, download: Download, limiter: RateLimiter, connections: int
    ) -> None:
        self._begin = (access, download, limiter, connections)
        self._meter = SpeedMeter()
        self._transfer: Transfer | None = None
        self._path = ""
        self._error: UserError | None = None
        self._is_stopped = False
        self._ended = threading.Event()
        tasks.run(threading.Thread(target=self._run, name="hearth-download", daemon=True).start)

    @property
    def has_ended(self) -> bool:
        """Whether the thread is over."""
        return self._ended.is_set()

    @property
    def stands_aside(self) -> bool:
        """Whether it waits for somebody whom other downloads can do without."""
        return self._transfer is not None and self._transfer.snapshot().standing.stands_aside

    def stop(self) -> None:
        """End soon; what came so far stays."""
        self._is_stopped = True
        if self._transfer is not None:
            self._transfer.stop()

    def join(self, seconds: float) -> None:
        """Wait for the thread, for so long at most."""
        self._ended.wait(max(0.0, seconds))

    def look(self, download: Download) -> Download:
        """The download as it stands now."""
        if self._transfer is None:
            return download
        seen = self._transfer.snapshot()
        standing = seen.standing
        if standing.is_receiving:
            self._meter.note(time.monotonic(), seen.done_bytes)
        else:
            self._meter.forget()
        retry_in_s = round(standing.retry_at_s - time.monotonic()) if standing.retry_at_s else 0
        total_bytes = seen.total_bytes or download.total_bytes
        return replace(
            download,
            state=standing.state,
            files=seen.files,
            done_bytes=seen.done_bytes or download.done_bytes,  # none is known before the hub has answered
            total_bytes=total_bytes,
            bytes_per_second=self._meter.bytes_per_second,
            seconds_left=self._meter.seconds_left(total_bytes - seen.done_bytes) if total_bytes else None,
            wait_reason=standing.wait_reason,
            retry_in_s=max(0, retry_in_s),
            error=standing.cause,
        )

    def outcome(self, download: Download) -> Download:
        """The download after the thread has ended: done, failed, or queued again when it was only stopped."""
        ended = download.at_rest(DownloadState.QUEUED)
        if self._transfer is not None:
            seen = self._transfer.snapshot()
            done_bytes = seen.done_bytes or download.done_bytes
            total_bytes = seen.total_bytes or download.total_bytes
            ended = replace(ended, files=seen.files, done_bytes=done_bytes, total_bytes=total_bytes)
        if self._error is not None:
            return replace(ended, state=DownloadState.FAILED, error=self._error)
        if not self._path:
            return ended
        return replace(ended, state=DownloadState.DONE, path=self._path, done_bytes=ended.total_bytes)

    def _run(self) -> None:
        try:
            self._carry_out()
        except StoppedError:
            return
        except UserError as error:
            self._error = error
        except Exception as bug:
            self._error = UserError(ErrorKind.UNEXPECTED, reason=type(bug).__name__)
            report_bug(bug)
        finally:
            self._ended.set()

    def _carry_out(self) -> None:
        from app.hub.download.transfer import Transfer, target_of

        access, download, limiter, connections = self._begin
        folder = Path(download.folder)
        transfer = Transfer(access, download.files, folder, limiter, connections, download.replaces)
        self._transfer = transfer
        if self._is_stopped:  # while the transfer was not there to be told
            raise StoppedError
        files: tuple[DownloadFile, ...] = transfer.run()
        self._path = str(target_of(folder, files[0]))
