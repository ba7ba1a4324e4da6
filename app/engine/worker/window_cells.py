"""Puts together what layers with a sliding window held at several lengths of a conversation.

Of such layers llama.cpp saves what the next token sees, the last window. A state of that alone serves as a whole only:
before any earlier token something is missing. Parts that were copied earlier (LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY: just
these layers) have it. Put together, each cell once, they are a state like any other, larger by what was said since the
earliest part, and it can be cut to any length from there on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

from app.engine.worker.state_reader import U32, Cache, StateReader, Stream, StreamsError


class WindowState:
    """A state of a model with sliding windows, and earlier parts of the same conversation, shortest first."""

    def __init__(self, state: bytes | bytearray, earlier: Sequence[bytes | bytearray]) -> None:
        """Raises StreamsError when one of them is not written as `state_reader` knows it."""
        self._state = memoryview(state)
        self._start, self._cache = _last_cache(self._state)
        caches = [*(_last_cache(memoryview(part))[1] for part in earlier), self._cache]
        self._parts = [_ascending(cache) for cache in caches]
        self._counts = _counts(self._parts)

    def cut_points(self, window: int) -> list[int]:
        """The lengths to which the whole can be cut, ascending, its own and all below it where nothing is missing.

        `window`: how many tokens a token sees, itself included. What llama.cpp saved serves the token after it, and
        the last of its own once more, also where windows do not slide but begin anew after so many tokens.
        """
        points = {length for part in self._parts for length in (part.positions[-1], part.positions[-1] + 1)}
        for first, end in _runs([position for part in self._taken_positions() for position in part]):
            points.update(range(first + window - 1 if first else 1, end + 1))
        return sorted(points - {0})

    def joined(self) -> bytes:
        """The state with the cells of the earlier parts in it."""
        parts, counts = self._parts, self._counts
        pieces: list[bytes | memoryview] = [self._state[: self._start], U32.pack(self._cache.streams)]
        pieces += [U32.pack(0)] * self._cache.used
        pieces.append(U32.pack(sum(counts)))
        pieces += [_first(part.cells, count, len(part.positions)) for part, count in zip(parts, counts, strict=True)]
        pieces.append(parts[-1].layout)
        for blocks in zip(*(part.blocks for part in parts), strict=True):
            pieces.append(blocks[-1].head)
            sizes = [count * block.cell_bytes for block, count in zip(blocks, counts, strict=True)]
            widths = [len(block.data) // block.columns for block in blocks]
            for column in range(blocks[-1].columns):
                for block, size, width in zip(blocks, sizes, widths, strict=True):
                    pieces.append(block.data[column * width : column * width + size])
        pieces += [U32.pack(0)] * (self._cache.streams - self._cache.used - 1)
        return b"".join(pieces)

    def _taken_positions(self) -> Iterator[Sequence[int]]:
        for part, count in zip(self._parts, self._counts, strict=True):
            yield part.positions[:count]


def _last_cache(state: memoryview) -> tuple[int, Cache]:
    """Where the last cache of a state begins, which is that of the layers with windows, and the cache."""
    reader = StateReader(state)
    reader.head()
    while True:
        start, cache = reader.at, reader.cache()
        if reader.is_at_end:
            return start, cache


def _ascending(cache: Cache) -> Stream:
    stream = cache.stream
    if stream is None or any(one >= other for one, other in pairwise(stream.positions)):
        raise StreamsError("cells in no order")
    return stream


def _counts(parts: Sequence[Stream]) -> list[int]:
    """How many cells of each part come before those of all later parts."""
    last = parts[-1]
    layout = [(bytes(block.head), block.columns, block.cell_bytes) for block in last.blocks]
    counts = [len(last.positions)]
    first = last.positions[0]
    for part in reversed(parts[:-1]):
        own = [(bytes(block.head), block.columns, block.cell_bytes) for block in part.blocks]
        if own != layout or part.layout != last.layout:
            raise StreamsError("parts of different models")
        counts.append(bisect_left(part.positions, first))
        first = min(first, part.positions[0])
    return counts[::-1]


def _first(cells: memoryview, count: int, total: int) -> memoryview:
    return cells[: count * (len(cells) // total)]


def _runs(positions: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where positions begin and end without a gap."""
    first = last = positions[0]
    for position in positions[1:]:
        if position != last + 1:
            yield first, last + 1
            first = position
        last = position
    yield first, last + 1
