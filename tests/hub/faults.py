"""What the hub's stand-in can do wrong on command."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase


class FaultKind(StrEnum):
    RESET = "reset"  # the connection breaks with a TCP reset after `at_byte` bytes of the body; 0: before any answer
    DROP = "drop"  # the connection ends after `at_byte` bytes of the body
    STATUS = "status"  # answers `status` with `headers` and `body`
    EXPIRED_LINK = "expired_link"  # as a CDN answers an old signed address
    IGNORE_RANGE = (
        "ignore_range"  # 200 and the whole file although a part was asked for; ends after `at_byte`, 0: whole
    )
    WRONG_RANGE = "wrong_range"  # 206, but another part than was asked for
    WRONG_BYTE = "wrong_byte"  # the byte at `at_byte` of the file is flipped
    WRONG_LENGTH = "wrong_length"  # the file is announced and sent `at_byte` bytes shorter
    STALL = "stall"  # nothing more comes after `at_byte` bytes, and the connection stays open for `seconds`
    SLOW_DRIP = "slow_drip"  # at `bytes_per_second`
    REDIRECT = "redirect"  # 302 to `location`


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. Which fields count is said at each kind."""

    kind: FaultKind
    at_byte: int = 0
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 60.0
    bytes_per_second: int = 1000
    location: str = ""

    @classmethod
    def rate_limit(cls, retry_after_s: int) -> Fault:
        """429 as the hub sends it."""
        headers = {"Retry-After": str(retry_after_s), "RateLimit": f'"resolvers";r=0;t={retry_after_s}'}
        return cls(FaultKind.STATUS, status=429, headers=headers, body=b'{"error":"Too many requests"}')


@dataclass(slots=True)
class _Planned:
    pattern: str
    method: str
    fault: Fault
    times: int


class FaultPlan:
    """Faults waiting for their request; each is used up by the requests that it meets. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def add(self, pattern: str, fault: Fault, times: int, method: str) -> None:
        with self._lock:
            self._planned.append(_Planned(pattern, method, fault, times))

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The first fault that is meant for this request; the path without its query."""
        with self._lock:
            for planned in self._planned:
                if planned.method in ("", method) and fnmatchcase(path, planned.pattern):
                    planned.times -= 1
                    if planned.times == 0:
                        self._planned.remove(planned)
                    return planned.fault
        return None

    @property
    def left(self) -> int:
        """How many planned faults have not been met yet."""
        with self._lock:
            return len(self._planned)
