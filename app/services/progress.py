"""How far long work on files is, as it is told to people."""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.hub.file_moves import Progress

_INTERVAL_S = 0.1  # at most so often


class ThrottledProgress:
    """Passes progress on, but not more often than anybody can see. One thread."""

    def __init__(self, tell: Progress) -> None:
        self._tell = tell
        self._told_at_s = 0.0

    def tell(self, fraction: float) -> None:
        """So far, 0 to 1; the end is always passed on."""
        now = time.monotonic()
        if now - self._told_at_s >= _INTERVAL_S or fraction >= 1:
            self._told_at_s = now
            self._tell(fraction)


@dataclass(frozen=True, slots=True)
class PartialProgress:
    """Progress of one file among several: its work is `share` of all and begins at `start`."""

    progress: Progress
    start: float
    share: float

    def tell(self, fraction: float) -> None:
        """So far with this file, 0 to 1."""
        self.progress(self.start + self.share * fraction)
