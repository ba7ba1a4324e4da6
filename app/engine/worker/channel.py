"""The two ends of the pipe inside the engine child: bounded lines in, whole lines out."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

from app.core.events import Event
from app.engine.protocol import encode


class ChannelClosedError(Exception):
    """Nobody reads the events any more: the parent is gone."""


class EventWriter:
    """Writes events to a descriptor, one whole line at a time; safe to call from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def write(self, event: Event) -> None:
        """Send one event. Raises ChannelClosedError when nobody listens any more."""
        line = memoryview(encode(event))
        with self._lock:
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError as error:
                raise ChannelClosedError(str(error)) from error


def take_over_stdout() -> int:
    """A private copy of standard output for the events; what libraries print goes to standard error now."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(private, os.O_BINARY)
    return private


def open_stdin() -> BinaryIO:
    """Standard input as bytes, also where `sys.stdin` is missing."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(0, os.O_BINARY)
    return open(0, "rb", closefd=False)


def read_lines(stream: BinaryIO, limit_bytes: int) -> Iterator[bytes | None]:
    """Each line without its end; None for one over `limit_bytes`, which is skipped, never held in memory."""
    while line := stream.readline(limit_bytes + 1):
        if len(line) <= limit_bytes or line.endswith(b"\n"):
            yield line.rstrip(b"\r\n")
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(limit_bytes)
        yield None


def request_id_in(line: bytes) -> int:
    """The `id` of a line that is no valid request, so that its sender can be answered; 0 if there is none."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return 0
    found = data.get("id") if isinstance(data, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
