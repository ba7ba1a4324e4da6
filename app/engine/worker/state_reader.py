"""Reads the state of a sequence as llama.cpp writes it (src/llama-kv-cache.cpp, state_write, llama.cpp 0c1e570).

    magic u32, sequence i32, then for each KV cache
    number of streams u32, for each stream: cells u32 and, unless 0,
        for each cell: position i32, sequences u32, in some models three numbers more, the sequences' numbers i32
        transposed values u32, layers u32
        for each layer: type of keys i32, bytes of a row u64, the rows
        for each layer, but not where keys hold everything (multi-head latent attention):
                        type of values i32, then bytes of a row u64 and the rows,
                        or, transposed, bytes of a number u32, width u32, the numbers

and behind the caches what recurrent layers keep:

    1 u32, position i32, 0 u32, 0 u32, layers u32
    for each layer that keeps something: type i32, bytes u64, the numbers; in some models (Qwen 4) bytes u64 and
                                         numbers once more, of what it knows of the latest words
    for each of these layers once more: type i32, bytes u64, the numbers

A stream is a place for a conversation: in the state of one conversation all are empty but one. Models with sliding
windows have two caches: of the layers that see everything, and of those with a window, which has only the cells that
the next token sees. Those that pick by an index what they attend to have a cache of the index as well, the last of all.
DeepSeek 4 has three numbers before its two caches, and behind them what it compresses, where streams do not show.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAGIC = 0xAF143CD8
U32 = struct.Struct("<I")
HEAD = struct.Struct("<Ii")

_CELL = struct.Struct("<iI")
_ROWS = struct.Struct("<iQ")
_TRANSPOSED = struct.Struct("<iII")
_RECURRENT = struct.Struct("<Ii3I")
_SIZE = struct.Struct("<Q")
_MAX_LAYERS = 1024
_MAX_CACHES = 8
_F32 = 0  # ggml.h: the type of what recurrent layers keep
_COMPRESSED = struct.Struct("<3I")
_COMPRESSED_MAGIC = 0x34565344  # "DSV4"
_COMPRESSED_CACHES = 2
_SEQUENCE_BYTES = 4
_PLACE_BYTES = 12  # llama_kv_cell_ext, in models whose positions have several numbers: two of them, and the token


class StreamsError(ValueError):
    """The state is not written as this module knows it."""


@dataclass(frozen=True, slots=True)
class Block:
    """The keys or the values of a layer: `columns` times so many bytes of every cell."""

    head: memoryview
    data: memoryview
    columns: int
    cell_bytes: int


@dataclass(frozen=True, slots=True)
class Stream:
    """What a cache has of the one conversation of a state."""

    content: memoryview  # all of it, with the number of cells before it
    cells: memoryview
    positions: tuple[int, ...]
    layout: memoryview  # whether values are transposed, and the number of layers
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache: how many streams it has, and the one that is not empty, if there is one."""

    streams: int
    used: int
    stream: Stream | None


class StateReader:
    """Steps over the parts of a state. Raises StreamsError where it is written otherwise."""

    def __init__(self, state: memoryview) -> None:
        self._state = state
        self.at = 0

    @property
    def is_at_end(self) -> bool:
        """Whether nothing follows."""
        return self.at == len(self._state)

    def head(self) -> int:
        """What all states begin with. Returns how many caches may follow."""
        magic, _ = self._take(HEAD)
        if magic != MAGIC:
            raise StreamsError("no state of a sequence")
        if self.peek() != _COMPRESSED_MAGIC:
            return _MAX_CACHES
        self._take(_COMPRESSED)
        return _COMPRESSED_CACHES

    def peek(self) -> int:
        """The next number, without taking it."""
        (value,) = self._take(U32)
        self.at -= U32.size
        return int(value)

    def cache(self) -> Cache:
        """The next cache. The reader stays where it is when this raises StreamsError."""
        start = self.at
        likely: tuple[Cache, int] | None = None
        for place_bytes in (0, _PLACE_BYTES):
            for has_values in (True, False):
                self.at = start
                try:
                    found = self._cache(place_bytes, has_values)
                except StreamsError:
                    continue
                if self._is_before_a_part(found.streams):
                    return found
                likely = likely or (found, self.at)
        if likely is None:
            self.at = start
            raise StreamsError("no cache that this module knows")
        found, self.at = likely
        return found

    def _is_before_a_part(self, streams: int) -> bool:
        """Whether a cache of so many streams follows, or a recurrent state, or nothing.

        Where keys hold everything, the beginning of the next cache can pass for that of values.
        """
        start = self.at
        try:
            if self.is_at_end or _is_recurrent(*self._take(_RECURRENT)):
                return True
            self.at = start
            if self.peek() != streams:
                return False
            self._take(U32)
            for _ in range(streams):
                (cells,) = self._take(U32)
                if cells:
                    return self._take(_CELL)[1] == 1
            return True
        except StreamsError:
            return False
        finally:
            self.at = start

    def recurrent(self, streams: int) -> memoryview:
        """What recurrent layers keep, up to a cache of so many streams or the end.

        The reader stays where it is when this raises StreamsError.
        """
        start = self.at
        try:
            if not _is_recurrent(*self._take(_RECURRENT)):
                raise StreamsError("something else than states")
            while not self.is_at_end and (number := self.peek()) != streams:
                if number == _F32:
                    self._rows(1)
                else:
                    (size,) = self._take(_SIZE)
                    self._bytes(size)
        except StreamsError:
            self.at = start
            raise
        return self._state[start : self.at]

    def _cache(self, place_bytes: int, has_values: bool) -> Cache:
        (streams,) = self._take(U32)
        found, used = None, 0
        for number in range(streams):
            start = self.at
            (cells,) = self._take(U32)
            if not cells:
                continue
            if found is not None:
                raise StreamsError("more than one sequence")
            found, used = self._stream(start, cells, place_bytes, has_values), number
        return Cache(streams, used, found)

    def _stream(self, start: int, cells: int, place_bytes: int, has_values: bool) -> Stream:
        listed = self._bytes(cells * (_CELL.size + place_bytes + _SEQUENCE_BYTES))
        fields = list(struct.iter_unpack(f"<iI{place_bytes + _SEQUENCE_BYTES}x", listed))
        if any(sequences != 1 for _, sequences in fields):
            raise StreamsError("a cell of several sequences")
        layout = self._bytes(2 * U32.size)
        is_transposed, layers = struct.unpack("<II", layout)
        if is_transposed > 1 or layers > _MAX_LAYERS:
            raise StreamsError("something else than layers")
        keys = [self._rows(cells) for _ in range(layers)]
        value = self._columns if is_transposed else self._rows
        values = [value(cells) for _ in range(layers if has_values else 0)]
        positions = tuple(position for position, _ in fields)
        return Stream(self._state[start : self.at], listed, positions, layout, (*keys, *values))

    def _rows(self, cells: int) -> Block:
        head = self._bytes(_ROWS.size)
        _, row_bytes = _ROWS.unpack(head)
        return Block(head, self._bytes(cells * row_bytes), 1, row_bytes)

    def _columns(self, cells: int) -> Block:
        head = self._bytes(_TRANSPOSED.size)
        _, number_bytes, width = _TRANSPOSED.unpack(head)
        return Block(head, self._bytes(cells * number_bytes * width), width, number_bytes)

    def _take(self, form: struct.Struct) -> tuple[int, ...]:
        return form.unpack(self._bytes(form.size))

    def _bytes(self, size: int) -> memoryview:
        start = self.at
        self.at += size
        if self.at > len(self._state):
            raise StreamsError("the state ends early")
        return self._state[start : self.at]


def _is_recurrent(cells: int, _: int, sequences: int, is_transposed: int, layers: int) -> bool:
    return (cells, sequences, is_transposed) == (1, 0, 0) and 0 < layers <= _MAX_LAYERS
