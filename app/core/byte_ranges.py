"""Which bytes of a file are there already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Span = tuple[int, int]  # from, to (not included)


@dataclass(frozen=True, slots=True)
class ByteRanges:
    """Spans of a file, in order, never touching each other."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, spans: Iterable[Span]) -> ByteRanges:
        """Joins what overlaps or touches; empty spans vanish. Raises ValueError for one that ends before it begins."""
        joined: list[Span] = []
        for begin, end in sorted(spans):
            if end < begin or begin < 0:
                raise ValueError(f"a span from {begin} to {end}")
            if joined and begin <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            elif begin < end:
                joined.append((begin, end))
        return cls(tuple(joined))

    def plus(self, begin: int, end: int) -> ByteRanges:
        """With one more span."""
        if len(self.spans) == 1 and self.spans[0][1] == begin <= end:  # by far the most frequent: the file grows
            return ByteRanges(((self.spans[0][0], end),))
        return ByteRanges.of((*self.spans, (begin, end)))

    def upto(self, end: int) -> ByteRanges:
        """Only what lies before `end`."""
        return ByteRanges(tuple((a, min(b, end)) for a, b in self.spans if a < end))

    @property
    def total_bytes(self) -> int:
        """How many bytes are there."""
        return sum(end - begin for begin, end in self.spans)

    @property
    def prefix_bytes(self) -> int:
        """How many bytes are there without a gap from the start of the file."""
        return self.spans[0][1] if self.spans and self.spans[0][0] == 0 else 0

    @property
    def end(self) -> int:
        """Where the last span ends; 0 when there is none."""
        return self.spans[-1][1] if self.spans else 0

    def gaps(self, size_bytes: int) -> tuple[Span, ...]:
        """What is missing of a file of `size_bytes`."""
        edges = [0, *(edge for span in self.spans for edge in span), size_bytes]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return tuple((begin, end) for begin, end in pairs if begin < min(end, size_bytes))
