"""Puts together what layers with a sliding window held at several lengths of a conversation.

Of such layers llama.cpp saves what the next token sees, the last window. A state of that alone serves as a whole only:
before any earlier token something is missing. Parts that were copied earlier (LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY: just
these layers) have it. Put together, each cell once, they are a state like any other, larger by what was said since the
earliest part, and it can be cut to any length from there on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.engine.worker.state_reader import U32, Cache, StateReader, Stream, StreamsError


class WindowState:
    """A state of a model with sliding windows, and earlier parts of the same conversation, shortest first."""

    def __init__(self, state: bytes | bytearray, earlier: Sequence[bytes | bytearray]) -> None:
        """Raises StreamsError when one of them is not written as `state_reader` knows it."""
        self._state = memoryview(state)
        self._start, self._cache = _last_cache(self._state)
        caches = [*(_last_cache(memoryview(part))[1] for part in earlier), self._cache]
        self._parts = [_filled(cache) for cache in caches]
        self._taken = _taken(self._parts)

    def cut_points(self, window: int) -> list[int]:
        """The lengths to which the whole can be cut, ascending, its own and all below it where nothing is missing.

        `window`: how many tokens a token sees, itself included. What llama.cpp saved serves the token after it, and
        the last of its own once more, also where windows do not slide but begin anew after so many tokens.
        """
        points = {length for part in self._parts for length in (max(part.positions), max(part.positions) + 1)}
        for first, end in _runs(sorted(self._positions())):
            points.update(range(first + window - 1 if first else 1, end + 1))
        return sorted(points - {0})

    def joined(self) -> bytes:
        """The state with the cells of the earlier parts in it."""
        parts, taken = self._parts, self._taken
        total = sum(end - start for runs in taken for start, end in runs)
        pieces: list[bytes | memoryview] = [self._state[: self._start], U32.pack(self._cache.streams)]
        pieces += [U32.pack(0)] * self._cache.used
        pieces.append(U32.pack(total))
        for part, runs in zip(parts, taken, strict=True):
            size = len(part.cells) // len(part.positions)
            pieces += [part.cells[start * size : end * size] for start, end in runs]
        pieces.append(parts[-1].layout)
        for blocks in zip(*(part.blocks for part in parts), strict=True):
            pieces.append(blocks[-1].head)
            size = blocks[-1].cell_bytes
            widths = [len(block.data) // block.columns for block in blocks]
            slices = [
                (block.data, start * size, end * size, width)
                for block, width, runs in zip(blocks, widths, taken, strict=True)
                for start, end in runs
            ]
            for column in range(blocks[-1].columns):
                pieces += [data[column * width + start : column * width + end] for data, start, end, width in slices]
        pieces += [U32.pack(0)] * (self._cache.streams - self._cache.used - 1)
        return b"".join(pieces)

    def _positions(self) -> Iterator[int]:
        for part, runs in zip(self._parts, self._taken, strict=True):
            for start, end in runs:
                yield from part.positions[start:end]


def _last_cache(state: memoryview) -> tuple[int, Cache]:
    """Where the last cache of a state begins, which is that of the layers with windows, and the cache."""
    reader = StateReader(state)
    reader.head()
    while True:
        start, cache = reader.at, reader.cache()
        if reader.is_at_end:
            return start, cache


def _filled(cache: Cache) -> Stream:
    if cache.stream is None:
        raise StreamsError("no cells")
    return cache.stream


def _taken(parts: Sequence[Stream]) -> list[list[tuple[int, int]]]:
    """Which cells of each part, from where to where, come before those of all later parts."""
    last = parts[-1]
    layout = [(bytes(block.head), block.columns, block.cell_bytes) for block in last.blocks]
    taken = [[(0, len(last.positions))]]
    first = min(last.positions)
    for part in reversed(parts[:-1]):
        own = [(bytes(block.head), block.columns, block.cell_bytes) for block in part.blocks]
        if own != layout or part.layout != last.layout:
            raise StreamsError("parts of different models")
        before = [cell for cell, position in enumerate(part.positions) if position < first]
        taken.append(list(_runs(before)))
        first = min(first, *part.positions)
    return taken[::-1]


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where numbers, which ascend, begin and end without a gap."""
    if not numbers:
        return
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last + 1
            first = number
        last = number
    yield first, last + 1
