"""One file from the hub to the disk: resumed, in parts where that helps, verified while it is written."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from app.core.downloads import DownloadFile, DownloadState, WaitReason
from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.download.gap_plan import GapPlan
from app.hub.download.interruptible import StoppedError, run_interruptible
from app.hub.download.lane import Lane, Work
from app.hub.download.lane_count import LaneCount
from app.hub.download.limiter import RateLimiter
from app.hub.download.network_watch import NetworkWatch
from app.hub.download.part_file import Identity, PartFile
from app.hub.download.patience import Patience
from app.hub.download.remote_file import LinkSource, RemoteFile
from app.hub.download.running_hash import RunningHash
from app.hub.download.trouble import TroubleError, is_of_disk, is_of_hub, only_begins_anew, trouble_of

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
_TICK_S = 0.1
_HASH_SLICE_S = 0.2
_SYNC_INTERVAL_S = 2.0  # what a power cut costs; a kill costs as much
_SILENCE_S = 5.0
_LEAVE_S = 0.5
_CRAWL_LOOK_S = 30.0
_CRAWL_BYTES_PER_SECOND = 512  # a connection that gives less is broken off: the next may be better
_ATTEMPTS = 2  # a file that arrives damaged is fetched once more, as a whole


@dataclass(frozen=True, slots=True)
class Standing:
    """How a transfer stands: shown to people."""

    state: DownloadState = DownloadState.RUNNING
    wait_reason: WaitReason = WaitReason.CONNECTING
    retry_at_s: float = 0.0  # on the monotonic clock; 0: not known
    cause: UserError | None = None  # of the waiting
    stands_aside: bool = False  # waits for a program or a host that other downloads can do without

    @property
    def is_receiving(self) -> bool:
        """Whether what comes in tells of the speed of the line."""
        return self.state is DownloadState.RUNNING and self.wait_reason is WaitReason.NONE


RUNNING = Standing(wait_reason=WaitReason.NONE)
SILENT = Standing(wait_reason=WaitReason.NETWORK)  # connected, but nothing comes
VERIFYING = Standing(DownloadState.VERIFYING, WaitReason.NONE)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all files of a download share. `tell` is called in the transfer's thread."""

    client: httpx2.Client
    access: HubAccess
    limiter: RateLimiter
    most_lanes: int
    stop: threading.Event
    tell: Callable[[Standing], None]


class FileTransfer:
    """Brings one file to where it waits for the name of `target`, whose lock the caller holds.

    One thread, but for `done_bytes`.
    """

    def __init__(self, around: Surroundings, file: DownloadFile, target: Path) -> None:
        self._around = around
        self._file = file
        self._target = target
        self._source = LinkSource(around.client, around.access, file)
        self._patience = Patience()
        self._watch = NetworkWatch()
        self._part: PartFile | None = None

    @property
    def done_bytes(self) -> int:
        """What is there of the file. Any thread."""
        part = self._part
        return part.written.total_bytes if part is not None else 0

    def ask(self) -> RemoteFile:
        """What the hub promises of the file; waits for a network. Raises UserError, and StoppedError."""
        while True:
            try:
                return run_interruptible(self._source.ask, self._around.stop)
            except Exception as problem:
                self._wait_out(problem)

    def fetch(self, found: RemoteFile) -> PartFile:
        """Bring the whole file and check it; what is returned only waits for its name.

        Raises UserError, StoppedError, and OSError for what the disk refuses.
        """
        self._part = part = PartFile(self._target, Identity(found.digest, found.size_bytes))
        part.open()
        running_hash = RunningHash(part.path, found.digest, found.size_bytes)
        for attempt in range(1, _ATTEMPTS + 1):
            self._fetch_missing(part, running_hash, found)
            self._verify(part, running_hash)
            if running_hash.is_right:
                return part
            part.discard()
            running_hash.start_over()
            if attempt < _ATTEMPTS:
                self.ask()  # a file that was replaced on the hub is told as such
        raise UserError(ErrorKind.HASH_MISMATCH, path=str(self._target))

    def _fetch_missing(self, part: PartFile, running_hash: RunningHash, found: RemoteFile) -> None:
        around = self._around
        plan = GapPlan(found.size_bytes, part.written)
        work = Work(
            around.access, around.client, self._source, part, found.size_bytes, running_hash, plan, around.limiter
        )
        lanes = _Lanes(work, around.most_lanes)
        synced_s = heard_s = time.monotonic()
        received_bytes, written_bytes = 0, part.written.total_bytes
        try:
            while part.written.gaps(found.size_bytes):
                problem = lanes.look_after()
                if self._watch.has_changed():
                    lanes.break_off_all()
                if part.written.total_bytes > written_bytes:
                    written_bytes = part.written.total_bytes
                    self._patience.reset()
                if lanes.received_bytes > received_bytes:
                    received_bytes = lanes.received_bytes
                    heard_s = time.monotonic()
                    around.tell(RUNNING)
                elif time.monotonic() - heard_s > _SILENCE_S and not around.limiter.bytes_per_second:
                    around.tell(SILENT)
                if around.stop.is_set():
                    raise StoppedError
                if problem is not None:
                    self._wait_out(problem, lanes)
                running_hash.catch_up(lambda: part.written.prefix_bytes, _HASH_SLICE_S)
                if time.monotonic() - synced_s > _SYNC_INTERVAL_S:
                    part.sync()
                    synced_s = time.monotonic()
                self._watch.note_awake()
        finally:
            lanes.stop()
            with suppress(OSError):  # what led here is what is told
                part.sync()

    def _verify(self, part: PartFile, running_hash: RunningHash) -> None:
        while not running_hash.catch_up(lambda: part.written.prefix_bytes, _HASH_SLICE_S):
            self._around.tell(VERIFYING)
            if self._around.stop.is_set():
                raise StoppedError

    def _wait_out(self, problem: Exception, lanes: _Lanes | None = None) -> None:
        """Wait before the next attempt. Raises UserError if there should be none, and bugs and the disk's errors."""
        around = self._around
        trouble = trouble_of(problem, around.access, self._file.repo, self._file.path)
        if trouble is None:
            raise problem
        if lanes is not None and lanes.only_begin_anew and trouble.reason is WaitReason.NETWORK:
            trouble = only_begins_anew(around.access)
        delay_s = self._patience.delay_s(trouble)
        if lanes is not None and (trouble.needs_fresh_link or self._patience.wants_fresh_link):
            lanes.take_fresh_link()
        self._watch.note_awake()
        retry_at_s = time.monotonic() + delay_s
        aside = trouble.reason is WaitReason.RATE_LIMIT and not is_of_hub(trouble, around.access)
        around.tell(Standing(DownloadState.WAITING, trouble.reason, retry_at_s, trouble.error, aside))
        while time.monotonic() < retry_at_s:
            if around.stop.wait(_TICK_S):
                raise StoppedError
            if trouble.reason is WaitReason.NETWORK and self._watch.has_changed():
                break  # another network, or awake again: why wait
        around.tell(Standing(stands_aside=aside))  # until something comes: it may be told to wait once more


class _Lanes:
    """The connections of one file: as many as are worth it. One thread."""

    def __init__(self, work: Work, most: int) -> None:
        self._work = work
        self._count = LaneCount(most)
        self._lanes: list[Lane] = []
        self._ended: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        self._past_bytes = 0  # of connections that have ended
        self._last_link_user: Lane | None = None
        self._crawl_s = time.monotonic()
        self._crawl_bytes: dict[Lane, int] = {}

    @property
    def received_bytes(self) -> int:
        """By all connections so far."""
        return self._past_bytes + sum(lane.received_bytes for lane in self._lanes)

    @property
    def only_begin_anew(self) -> bool:
        """Whether the connection that failed last was sent the file from its beginning instead of a part."""
        return self._last_link_user is not None and self._last_link_user.ignores_ranges

    def look_after(self) -> Exception | None:
        """Start and end connections, and wait a moment; what went wrong if none is left that works."""
        now_s = time.monotonic()
        self._break_off_crawling(now_s)
        self._adjust(now_s)
        problem = self._collect()
        for lane in self._lanes:
            lane.note_progress()
        return problem

    def break_off_all(self) -> None:
        """The way that the connections took is gone: make them anew."""
        for lane in self._lanes:
            lane.break_off()

    def take_fresh_link(self) -> None:
        """The address of the connection that failed last is not used again."""
        if self._last_link_user is not None:
            self._work.source.wear_out(self._last_link_user.link)

    def stop(self) -> None:
        """End all connections; nothing is written after this, and the file is closed unless a thread hangs."""
        for lane in self._lanes:
            lane.stop()
        deadline_s = time.monotonic() + _LEAVE_S
        for lane in self._lanes:
            lane.join(max(0.0, deadline_s - time.monotonic()))
        self._lanes.clear()

    def _adjust(self, now_s: float) -> None:
        left_bytes = self._work.size_bytes - self._work.part.written.total_bytes
        is_held_up = self._work.limiter.bytes_per_second > 0 or not self._lanes
        wanted = self._count.update(now_s, self.received_bytes, left_bytes, is_held_up)
        while len(self._lanes) > wanted:
            lane = self._lanes.pop()
            lane.stop()
            self._past_bytes += lane.received_bytes
        if len(self._lanes) < wanted:
            if self._lanes:
                self._work.plan.share()
            lane = Lane(self._work, lambda: self._count.wanted == 1, self._ended.put)
            self._lanes.append(lane)
            lane.start()

    def _collect(self) -> Exception | None:
        """Take leave of connections that have ended; why, if that was the last one and it went wrong."""
        try:
            lane = self._ended.get(timeout=_TICK_S)
        except queue.Empty:
            return None
        if lane not in self._lanes:  # it was told to
            return None
        self._lanes.remove(lane)
        self._past_bytes += lane.received_bytes
        if lane.problem is None:
            if self._lanes:  # near the end there is not enough for so many
                self._count.one_was_lost(time.monotonic(), len(self._lanes))
            return None
        if is_of_disk(lane.problem):
            return lane.problem
        self._last_link_user = lane
        if self._has_run_out(lane):
            self.take_fresh_link()
            return None  # another connection takes its place
        if lane.ignores_ranges:
            self._count.only_one()
        elif self._lanes:
            self._count.one_was_lost(time.monotonic(), len(self._lanes))
        return None if self._lanes else lane.problem

    @staticmethod
    def _has_run_out(lane: Lane) -> bool:
        """Whether a connection ended because its address is too old; it says nothing about their number then."""
        is_refused = isinstance(lane.problem, TroubleError) and lane.problem.trouble.needs_fresh_link
        return is_refused and lane.link is not None and not lane.link.is_fresh

    def _break_off_crawling(self, now_s: float) -> None:
        if now_s - self._crawl_s < _CRAWL_LOOK_S:
            return
        is_limited = self._work.limiter.bytes_per_second > 0  # then it may be slow
        least_bytes = _CRAWL_BYTES_PER_SECOND * (now_s - self._crawl_s)
        for lane in self._lanes:
            before = self._crawl_bytes.get(lane)
            if before is not None and not is_limited and lane.received_bytes - before < least_bytes:
                lane.break_off()
        self._crawl_s = now_s
        self._crawl_bytes = {lane: lane.received_bytes for lane in self._lanes}
