"""What is being downloaded, as values; and the plain arithmetic of it: night hours, speed, time left."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NewType

from app.core.errors import ErrorKind, UserError

DownloadId = NewType("DownloadId", str)

SPEED_WINDOW_S = 10.0  # long enough that the time left does not jump, short enough to follow a change
_HOURS = 24
_NO_ACCESS = frozenset(
    {
        ErrorKind.GATED,
        ErrorKind.TOKEN_REJECTED,
        ErrorKind.OFFLINE,
        ErrorKind.PROXY_FAILED,
        ErrorKind.KEYRING_CLOSED,
        ErrorKind.ADDRESS_INVALID,
        ErrorKind.CERTIFICATE_REFUSED,
        ErrorKind.HUB_ANSWER_STRANGE,
        ErrorKind.HUB_UNREACHABLE,
    }
)


class DownloadState(StrEnum):
    """Where a download is. A person may resume PAUSED, SCHEDULED, FAILED and CANCELLED ones."""

    QUEUED = "queued"  # another one comes first
    RUNNING = "running"
    WAITING = "waiting"  # for what `wait_reason` says; it goes on by itself
    PAUSED = "paused"  # by the person
    SCHEDULED = "scheduled"  # for the hours that the person set
    VERIFYING = "verifying"  # all is here and is being read again
    DONE = "done"
    FAILED = "failed"  # `error` says why
    CANCELLED = "cancelled"  # out of the list; can be brought back for a while


class WaitReason(StrEnum):
    """Why a download stands still although nobody stopped it."""

    NONE = ""
    CONNECTING = "connecting"
    NETWORK = "network"  # no connection, or it broke
    SERVER_BUSY = "server_busy"
    RATE_LIMIT = "rate_limit"
    OTHER_PROGRAM = "other_program"  # which downloads the same file
    OFFLINE = "offline"  # the person has switched the network off
    NIGHT = "night"  # waits for its hours


@dataclass(frozen=True, slots=True)
class DownloadFile:
    """One file of a download, as the hub or the catalogue describes it."""

    repo: str
    path: str  # in the repository, with slashes
    commit: str = ""  # empty: whatever `main` is when it begins
    sha256: str = ""  # empty: what the hub says when it begins
    size_bytes: int = 0  # 0: what the hub says when it begins


@dataclass(frozen=True, slots=True)
class Download:
    """One model on its way: all files of it, as one item of the list."""

    id: DownloadId
    name: str
    repo: str
    quantization: str
    files: tuple[DownloadFile, ...]
    folder: str  # absolute; paths of the files begin here
    state: DownloadState = DownloadState.QUEUED
    done_bytes: int = 0
    total_bytes: int = 0
    bytes_per_second: float = 0.0
    seconds_left: float | None = None  # None: not known
    wait_reason: WaitReason = WaitReason.NONE
    retry_in_s: int = 0  # while WAITING; 0: not known
    error: UserError | None = None
    path: str = ""  # of the first file, once all are there
    replaces: bool = False  # the person agreed that files of the same name are replaced

    @property
    def is_active(self) -> bool:
        """Whether a connection is used, or tried."""
        return self.state in (DownloadState.RUNNING, DownloadState.WAITING, DownloadState.VERIFYING)

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in (DownloadState.DONE, DownloadState.FAILED, DownloadState.CANCELLED)

    @property
    def was_refused(self) -> bool:
        """Whether it failed for want of what another way to the hub, or another token, may give."""
        return self.state is DownloadState.FAILED and self.error is not None and self.error.kind in _NO_ACCESS

    def at_rest(self, state: DownloadState) -> Download:
        """In another state, with nothing moving and nothing to complain of."""
        return replace(
            self,
            state=state,
            bytes_per_second=0.0,
            seconds_left=None,
            wait_reason=WaitReason.NONE,
            retry_in_s=0,
            error=None,
        )


def progress_of(downloads: Iterable[Download]) -> float | None:
    """How far those that are on their way are together, from 0 to 1; None where none is."""
    coming = [each for each in downloads if each.is_active or each.state is DownloadState.QUEUED]
    if not coming:
        return None
    total = sum(each.total_bytes for each in coming)
    return sum(each.done_bytes for each in coming) / total if total else 0.0


@dataclass(slots=True)
class SpeedMeter:
    """Bytes per second over the last `SPEED_WINDOW_S`, from totals that are noted now and then."""

    _notes: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, now_s: float, total_bytes: int) -> None:
        """`now_s` on a clock that never goes back. A total that shrinks begins anew (a download started over)."""
        if self._notes and total_bytes < self._notes[-1][1]:
            self._notes.clear()
        self._notes.append((now_s, total_bytes))
        while len(self._notes) > 2 and self._notes[1][0] <= now_s - SPEED_WINDOW_S:
            self._notes.popleft()

    def forget(self) -> None:
        """After a pause: the time in it does not count."""
        self._notes.clear()

    @property
    def bytes_per_second(self) -> float:
        """0 until two moments were noted."""
        if len(self._notes) < 2:
            return 0.0
        (began_s, first), (ended_s, last) = self._notes[0], self._notes[-1]
        return (last - first) / (ended_s - began_s) if ended_s > began_s else 0.0

    def seconds_left(self, left_bytes: int) -> float | None:
        """How long `left_bytes` take at this speed; None while nothing moves."""
        speed = self.bytes_per_second
        return left_bytes / speed if speed > 0 else None


def is_within_hours(hour: int, from_hour: int, until_hour: int) -> bool:
    """Whether `hour` (0 to 23) lies in the hours from `from_hour` to before `until_hour`, over midnight if need be.

    The same hour twice means the whole day.
    """
    if from_hour == until_hour:
        return True
    return (hour - from_hour) % _HOURS < (until_hour - from_hour) % _HOURS
