"""Makes the state of a conversation fit a context with another number of conversations.

llama.cpp writes the state of one sequence with a place for every sequence of the context, all empty but one, and
refuses it where their number is another (src/llama-kv-cache.cpp, state_write and state_read, llama.cpp 0c1e570):

    magic u32, sequence i32, then for each KV cache
    number of streams u32, for each stream: cells u32 and, unless 0,
        for each cell: position i32, sequences u32, in some models three numbers more, the sequences' numbers i32
        transposed values u32, layers u32
        for each layer: type of keys i32, bytes of a row u64, the rows
        for each layer, but not where keys hold everything (multi-head latent attention):
                        type of values i32, then bytes of a row u64 and the rows,
                        or, transposed, bytes of a number u32, width u32, the numbers

and behind the caches what recurrent layers keep, in which the number of sequences does not show.
"""

from __future__ import annotations

import struct

_MAGIC = 0xAF143CD8
_U32 = struct.Struct("<I")
_HEAD = struct.Struct("<Ii")
_CELL = struct.Struct("<iI")
_ROWS = struct.Struct("<iQ")
_TRANSPOSED = struct.Struct("<iII")
_MAX_LAYERS = 1024
_SEQUENCE_BYTES = 4
_PLACE_BYTES = 12  # llama_kv_cell_ext, in models whose positions have several numbers: two of them, and the token


class StreamsError(ValueError):
    """The state is not written as this module knows it."""


def with_streams(state: memoryview, before: int, after: int) -> bytes:
    """The same state for a context of `after` conversations, from one of `before`. The state must be whole.

    Raises StreamsError when there is something in it that neither is a cache nor can be what recurrent layers keep.
    """
    reader = _Reader(state)
    magic, _ = reader.take(_HEAD)
    if magic != _MAGIC:
        raise StreamsError("no state of a sequence")
    empty = _U32.pack(0)
    parts: list[bytes | memoryview] = [state[: reader.at]]
    while reader.at < len(state) and reader.peek() == before:
        try:
            content = reader.cache()
        except StreamsError:
            if before > 1:  # else it may be the count of recurrent states
                raise
            break
        parts += [_U32.pack(after), content or empty, *[empty] * (after - 1)]
    parts.append(state[reader.at :])
    return b"".join(parts)


def with_number_of_streams(state: bytes | bytearray, streams: int) -> bytes | bytearray:
    """The state as a context of `streams` conversations takes it; as it is where that cannot be told."""
    if len(state) < _HEAD.size + _U32.size:
        return state
    (before,) = _U32.unpack_from(state, _HEAD.size)
    if before == streams:
        return state
    try:
        return with_streams(memoryview(state), before, streams)
    except StreamsError:
        return state


class _Reader:
    """Steps over the parts of a state."""

    def __init__(self, state: memoryview) -> None:
        self._state = state
        self.at = 0

    def take(self, form: struct.Struct) -> tuple[int, ...]:
        """The next numbers."""
        try:
            values = form.unpack_from(self._state, self.at)
        except struct.error:
            raise StreamsError("the state ends early") from None
        self.at += form.size
        return values

    def peek(self) -> int:
        """The next number, without taking it."""
        (value,) = self.take(_U32)
        self.at -= _U32.size
        return int(value)

    def cache(self) -> memoryview | None:
        """Step over a cache; returns its one stream that is not empty, with the number of cells before it.

        The reader stays where it is when this raises StreamsError.
        """
        start = self.at
        for place_bytes in (0, _PLACE_BYTES):
            for has_values in (True, False):
                try:
                    return self._cache(place_bytes, has_values)
                except StreamsError:
                    self.at = start
        raise StreamsError("no cache that this module knows")

    def _cache(self, place_bytes: int, has_values: bool) -> memoryview | None:
        (streams,) = self.take(_U32)
        content = None
        for _ in range(streams):
            start = self.at
            (cells,) = self.take(_U32)
            if not cells:
                continue
            if content is not None:
                raise StreamsError("more than one sequence")
            self._stream(cells, place_bytes, has_values)
            content = self._state[start : self.at]
        return content

    def _stream(self, cells: int, place_bytes: int, has_values: bool) -> None:
        for _ in range(cells):
            _, sequences = self.take(_CELL)
            if sequences != 1:
                raise StreamsError("a cell of several sequences")
            self._skip(place_bytes + _SEQUENCE_BYTES)
        (is_transposed,) = self.take(_U32)
        (layers,) = self.take(_U32)
        if is_transposed > 1 or layers > _MAX_LAYERS:
            raise StreamsError("something else than layers")
        for _ in range(layers):
            _, row_bytes = self.take(_ROWS)
            self._skip(cells * row_bytes)
        for _ in range(layers if has_values else 0):
            if is_transposed:
                _, number_bytes, width = self.take(_TRANSPOSED)
                self._skip(cells * number_bytes * width)
            else:
                _, row_bytes = self.take(_ROWS)
                self._skip(cells * row_bytes)

    def _skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self._state):
            raise StreamsError("the state ends early")
