"""Which connection fetches which missing part of a file."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from app.core.byte_ranges import ByteRanges, Span

BLOCK_BYTES = 32 << 20  # what one of several connections fetches at a time: near the front, where the hash can follow
_SMALLEST_SHARE_BYTES = 4 << 20  # less is not worth another request


@dataclass(slots=True)
class Claim:
    """A part that one connection fetches: `position` moves towards `end`, and `end` may come nearer."""

    position: int
    end: int


class GapPlan:
    """Hands out what is missing. Any thread."""

    def __init__(self, size_bytes: int, written: ByteRanges) -> None:
        self._lock = threading.Lock()
        self._free: list[Span] = list(written.gaps(size_bytes))
        self._claims: list[Claim] = []

    def claim(self, is_alone: bool) -> Claim | None:
        """The next part to fetch; None when others fetch all that is missing. Alone, a whole gap at once."""
        with self._lock:
            if not self._free and not self._take_from_largest():
                return None
            begin, end = self._free.pop(0)
            if not is_alone and end - begin > BLOCK_BYTES:
                self._free.insert(0, (begin + BLOCK_BYTES, end))
                end = begin + BLOCK_BYTES
            claim = Claim(begin, end)
            self._claims.append(claim)
            return claim

    def advance(self, claim: Claim, size_bytes: int) -> None:
        """So many bytes more of a claim are on the disk. Its end may have come nearer, but never so near."""
        with self._lock:
            claim.position += size_bytes

    def give_back(self, claim: Claim) -> None:
        """A connection ends: what it did not fetch is free again."""
        with self._lock:
            self._claims.remove(claim)
            if claim.position < claim.end:
                self._free.append((claim.position, claim.end))
                self._free.sort()

    def share(self) -> None:
        """Another connection joins: parts longer than a block are cut, so that there is something for it."""
        with self._lock:
            for claim in self._claims:
                cut = claim.position + BLOCK_BYTES
                if cut + _SMALLEST_SHARE_BYTES < claim.end:
                    self._free.append((cut, claim.end))
                    claim.end = cut
            self._free.sort()

    def _take_from_largest(self) -> bool:
        """Near the end of a file: halve what another connection still has before it."""
        largest = max(self._claims, key=lambda claim: claim.end - claim.position, default=None)
        if largest is None or largest.end - largest.position < 2 * _SMALLEST_SHARE_BYTES:
            return False
        middle = (largest.position + largest.end) // 2
        self._free.append((middle, largest.end))
        largest.end = middle
        return True
