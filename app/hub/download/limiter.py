"""A limit of bytes per second that all connections share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LONGEST_WAIT_S = 0.2  # so that a stop or a new limit is noticed
_BURST_S = 0.5  # how much of what was not used may be caught up


class RateLimiter:
    """Each connection takes what it has received and is held up until that is within the limit. Any thread."""

    def __init__(self, bytes_per_second: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._rate = bytes_per_second
        self._allowed_bytes = 0.0
        self._counted_s = time.monotonic()

    @property
    def bytes_per_second(self) -> float:
        """The limit; 0: none."""
        return self._rate

    def set_limit(self, bytes_per_second: float) -> None:
        """Change the limit, also for those who wait for it now; 0: none."""
        with self._lock:
            self._rate = bytes_per_second
            self._allowed_bytes = 0.0
            self._counted_s = time.monotonic()

    def take(self, size_bytes: int, should_stop: Callable[[], bool]) -> None:
        """Wait until the bytes received before these are within the limit, or `should_stop` says so."""
        if self._rate == 0.0:
            return
        while (wait_s := self._try_take(size_bytes)) > 0.0 and not should_stop():
            time.sleep(min(wait_s, _LONGEST_WAIT_S))

    def _try_take(self, size_bytes: int) -> float:
        """0 when taken, else seconds until it is worth asking again."""
        with self._lock:
            if self._rate == 0.0:
                return 0.0
            now = time.monotonic()
            earned = (now - self._counted_s) * self._rate
            self._allowed_bytes = min(self._allowed_bytes + earned, self._rate * _BURST_S)
            self._counted_s = now
            if self._allowed_bytes >= 0.0:
                self._allowed_bytes -= size_bytes
                return 0.0
            return -self._allowed_bytes / self._rate
