"""A thread that carries one download out."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from app.core.downloads import Download, DownloadFile, DownloadState, SpeedMeter, WaitReason
from app.core.errors import ErrorKind, UserError
from app.hub.download.interruptible import StoppedError
from app.hub.download.transfer import Transfer, target_of
from app.services.tasks import report_bug


class DownloadWorker:
    """Runs a transfer; `look` tells how it stands. Main thread only, but for the thread within."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._meter = SpeedMeter()
        self._files: tuple[DownloadFile, ...] | None = None
        self._error: UserError | None = None
        # No daemon: what was received is noted before the program ends.
        self._thread = threading.Thread(target=self._run, name="hearth-download", daemon=False)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether the thread is over."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End soon; what came so far stays."""
        self._transfer.stop()

    def join(self, seconds: float) -> None:
        """Wait for the thread, for so long at most."""
        self._thread.join(max(0.0, seconds))

    def look(self, download: Download) -> Download:
        """The download as it stands now."""
        seen = self._transfer.snapshot()
        standing = seen.standing
        if standing.state is DownloadState.RUNNING and standing.wait_reason is WaitReason.NONE:
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
            seconds_left=self._meter.seconds_left(total_bytes - seen.done_bytes),
            wait_reason=standing.wait_reason,
            retry_in_s=max(0, retry_in_s),
            error=standing.cause,
        )

    def outcome(self, download: Download) -> Download:
        """The download after the thread has ended: done, failed, or queued again when it was only stopped."""
        seen = self._transfer.snapshot()
        ended = replace(
            download,
            files=seen.files,
            done_bytes=seen.done_bytes or download.done_bytes,
            total_bytes=seen.total_bytes or download.total_bytes,
            bytes_per_second=0.0,
            seconds_left=None,
            wait_reason=WaitReason.NONE,
            retry_in_s=0,
            error=self._error,
        )
        if self._error is not None:
            return replace(ended, state=DownloadState.FAILED)
        if self._files is None:
            return replace(ended, state=DownloadState.QUEUED)
        path = str(target_of(self._transfer.folder, self._files[0]))
        return replace(ended, state=DownloadState.DONE, path=path, done_bytes=ended.total_bytes, error=None)

    def _run(self) -> None:
        try:
            self._files = self._transfer.run()
        except StoppedError:
            return
        except UserError as error:
            self._error = error
        except Exception as bug:
            self._error = UserError(ErrorKind.UNEXPECTED, reason=type(bug).__name__)
            report_bug(bug)
