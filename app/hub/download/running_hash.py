"""The hash of a file that grows, possibly in several places at once."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from app.core.digests import GIT_DIGITS

_READ_BYTES = 1 << 20


class RunningHash:
    """Follows the beginning of a file that is there without a gap.

    Bytes that arrive at its position are taken from memory; what it has missed (an earlier run, other connections) is
    read back from the file in `catch_up`. `offer` may be called by any thread, the rest by one.
    """

    def __init__(self, path: Path, digest: str, size_bytes: int) -> None:
        self._path = path
        self._expected = digest
        self._size_bytes = size_bytes
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self.start_over()

    def start_over(self) -> None:
        """Forget everything: the file begins anew."""
        with self._lock:
            if len(self._expected) == GIT_DIGITS:  # git's name of a file that is not in its large file storage
                self._hash = hashlib.sha1(b"blob %d\0" % self._size_bytes, usedforsecurity=False)
            else:
                self._hash = hashlib.sha256()
            self._position = 0

    @property
    def position(self) -> int:
        """How many bytes from the start are in the hash."""
        return self._position

    def offer(self, position: int, data: bytes) -> None:
        """These bytes were just written at `position`. Never waits."""
        if position == self._position and self._lock.acquire(blocking=False):
            try:
                if position == self._position:
                    self._hash.update(data)
                    self._position += len(data)
            finally:
                self._lock.release()

    def catch_up(self, prefix_bytes: Callable[[], int], seconds: float) -> bool:
        """Read back what is missing, for about `seconds`; whether all of it is in now. Raises OSError.

        `prefix_bytes` says how much there is without a gap.
        """
        if self._position >= prefix_bytes():
            return True
        ends_s = time.monotonic() + seconds
        with self._lock, self._path.open("rb", buffering=0) as file:
            file.seek(self._position)
            self._buffer = self._buffer or bytearray(_READ_BYTES)
            view = memoryview(self._buffer)
            while (left := prefix_bytes() - self._position) > 0:
                count = file.readinto(view[: min(left, _READ_BYTES)])
                if not count:
                    raise OSError(f"{self._path.name} became shorter")
                self._hash.update(view[:count])
                self._position += count
                if time.monotonic() > ends_s:
                    return self._position >= prefix_bytes()
        return True

    @property
    def is_right(self) -> bool:
        """Whether the whole file is in and is what was promised. True without a promise."""
        if not self._expected:
            return True
        return self._position == self._size_bytes and self._hash.hexdigest() == self._expected.lower()
