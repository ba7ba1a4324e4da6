"""One connection that fetches parts of a file, in a thread of its own."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from app.hub.access import HubAccess
from app.hub.download.gap_plan import Claim, GapPlan
from app.hub.download.limiter import RateLimiter
from app.hub.download.part_file import PartFile
from app.hub.download.remote_file import Link, LinkSource
from app.hub.download.running_hash import RunningHash
from app.hub.download.trouble import TroubleError, broken_off, storage_refusal, strange_answer

if TYPE_CHECKING:
    import httpx2

_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")


@dataclass(frozen=True, slots=True)
class Work:
    """What all connections of one file share."""

    access: HubAccess
    client: httpx2.Client
    source: LinkSource
    part: PartFile
    size_bytes: int
    hash: RunningHash
    plan: GapPlan
    limiter: RateLimiter


class Lane(threading.Thread):
    """Fetches one missing part after the other until nothing is missing, it is stopped, or something goes wrong.

    A daemon: making a connection cannot be interrupted, and nobody should wait for one. Once it is stopped it writes
    nothing any more.
    """

    def __init__(self, work: Work, is_alone: Callable[[], bool], on_ended: Callable[[Lane], None]) -> None:
        super().__init__(name="hearth-download-connection", daemon=True)
        self._work = work
        self._is_alone = is_alone
        self._on_ended = on_ended
        self._stopped = threading.Event()
        self._socket: socket.socket | None = None
        self._link: Link | None = None
        self._writing = threading.Lock()  # held while the file is touched
        self._position = self._noted = 0  # how far the present claim is written, and how far the part knows of it
        self.received_bytes = 0  # over the line, with those of which no use could be made
        self.ignores_ranges = False  # the server sent the whole file although a part was asked for
        self.problem: Exception | None = None  # once it has ended

    def stop(self) -> None:
        """End soon, without a word. Nothing is written after this returns. Any thread."""
        self._stopped.set()
        self.break_off()
        self.note_progress()

    def break_off(self) -> None:
        """Cut the connection, as a network would. Any thread."""
        connection = self._socket
        if connection is not None:
            # Not SSLSocket.shutdown: it drops the encryption under its reader, who takes what still comes for the file.
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def note_progress(self) -> None:
        """Tell the part what has been written. Any thread."""
        with self._writing:
            if self._noted < self._position:
                self._work.part.wrote(self._noted, self._position)
                self._noted = self._position

    @property
    def link(self) -> Link | None:
        """The address that it used last."""
        return self._link

    def run(self) -> None:
        try:
            while not self._stopped.is_set() and (claim := self._work.plan.claim(self._is_alone())) is not None:
                try:
                    self._fetch(claim)
                finally:
                    self._work.plan.give_back(claim)
        except Exception as problem:
            self.problem = problem
        self._on_ended(self)

    def _fetch(self, claim: Claim) -> None:
        work = self._work
        self._link = work.source.link()
        if self._stopped.is_set():
            return
        end = "" if claim.end == work.size_bytes else str(claim.end - 1)
        sent = {**self._link.headers, "Range": f"bytes={claim.position}-{end}"}
        with work.client.stream("GET", self._link.url, headers=sent) as response:
            self._socket = response.extensions["network_stream"].get_extra_info("socket")
            try:
                skipped_bytes = self._check(response, claim)
                with work.part.writer() as file:
                    self._receive(response, claim, file, skipped_bytes)
            finally:
                self._socket = None

    def _check(self, response: httpx2.Response, claim: Claim) -> int:
        """How many bytes of the answer come before the claim. Raises TroubleError for an answer that does not fit."""
        work = self._work
        if refusal := storage_refusal(response):
            raise TroubleError(refusal)
        told = response.headers
        if told.get("Content-Encoding", "identity") != "identity":
            raise TroubleError(strange_answer(work.access, "compressed"))
        if response.status_code == 206:
            found = _CONTENT_RANGE.fullmatch(told.get("Content-Range", ""))
            if found is None or (int(found[1]), int(found[3])) != (claim.position, work.size_bytes):
                raise TroubleError(strange_answer(work.access, "another part than asked for"))
            return 0
        if response.status_code != 200:
            raise TroubleError(strange_answer(work.access, f"status {response.status_code}"))
        if told.get("Content-Length", str(work.size_bytes)) != str(work.size_bytes):
            raise TroubleError(strange_answer(work.access, "another length than promised"))
        self.ignores_ranges = claim.position > 0
        if self.ignores_ranges and not self._is_alone():
            raise TroubleError(strange_answer(work.access, "the whole file in place of a part"))
        return claim.position

    def _receive(self, response: httpx2.Response, claim: Claim, file: BinaryIO, skipped_bytes: int) -> None:
        work = self._work
        asked_end = claim.end
        position = claim.position
        with self._writing:
            self._noted = self._position = position
        file.seek(position)
        try:
            for data in response.iter_raw():
                if position == claim.end:
                    return  # more than was asked for
                arrived_bytes = len(data)
                if skipped_bytes:  # of a server that sends the file from its start
                    left_out = min(skipped_bytes, len(data))
                    skipped_bytes -= left_out
                    data = data[left_out:]
                data = data[: claim.end - position]
                with self._writing:
                    if self._stopped.is_set():
                        return
                    _write(file, data)
                    work.hash.offer(position, data)
                    position += len(data)
                    self._position = position
                work.plan.advance(claim, len(data))
                self.received_bytes += arrived_bytes
                work.limiter.take(arrived_bytes, self._stopped.is_set)
                if position == claim.end != asked_end:
                    return  # the rest went to another connection; at the end that was asked for, the answer ends too
        finally:
            self.note_progress()
        if position < claim.end:
            raise TroubleError(broken_off(work.access))


def _write(file: BinaryIO, data: bytes) -> None:
    """All of it: an unbuffered file may take less than it was given, on a full disk for example."""
    written = file.write(data)
    while written < len(data):
        data = data[written:]
        written = file.write(data)
