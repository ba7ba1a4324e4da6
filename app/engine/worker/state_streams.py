"""Makes the state of a conversation fit a context with another number of conversations.

llama.cpp writes the state of one sequence with a place for every sequence of the context, all empty but one, and
refuses it where their number is another (src/llama-kv-cache.cpp, state_write and state_read, llama.cpp 0c1e570):

    magic u32, sequence i32, then for each KV cache
    number of streams u32, for each stream: cells u32 and, unless 0,
        for each cell: position i32, sequences u32, their numbers i32
        transposed values u32, layers u32
        for each layer: type of keys i32, bytes of a row u64, the rows
        for each layer: type of values i32, then bytes of a row u64 and the rows,
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
_MAX_STREAMS = 256  # LLAMA_MAX_SEQ
_MAX_LAYERS = 1024
_SEQUENCE_BYTES = 4


class StreamsError(ValueError):
    """The state is not written as this module knows it."""


def with_streams(state: memoryview, streams: int, caches: int, has_values: bool = True) -> bytes:
    """The same state for a context of `streams` conversations.

    `caches`: how many KV caches the model has: one, or two where some layers see a window only; none: the state is
    recurrent and stays as it is. `has_values`: false where keys hold everything (multi-head latent attention).

    Raises StreamsError.
    """
    if not caches:
        return bytes(state)
    reader = _Reader(state)
    magic, _ = reader.take(_HEAD)
    if magic != _MAGIC:
        raise StreamsError("no state of a sequence")
    parts: list[bytes | memoryview] = [state[: reader.at]]
    for _ in range(caches):
        content = reader.cache(has_values)
        empty = _U32.pack(0)
        parts += [_U32.pack(streams), content or empty, *[empty] * (streams - 1)]
    parts.append(state[reader.at :])
    return b"".join(parts)


class _Reader:
    """Steps over the parts of a state."""

    def __init__(self, state: memoryview) -> None:
        self._state = state
        self.at = 0

    def take(self, form: struct.Struct) -> tuple[int, ...]:
        try:
            values = form.unpack_from(self._state, self.at)
        except struct.error:
            raise StreamsError("the state ends early") from None
        self.at += form.size
        return values

    def cache(self, has_values: bool) -> memoryview | None:
        """Step over a cache; returns its one stream that is not empty, with the number of cells before it."""
        (streams,) = self.take(_U32)
        if not 1 <= streams <= _MAX_STREAMS:
            raise StreamsError(f"{streams} streams")
        content = None
        for _ in range(streams):
            start = self.at
            (cells,) = self.take(_U32)
            if not cells:
                continue
            if content is not None:
                raise StreamsError("more than one sequence")
            self._stream(cells, has_values)
            content = self._state[start : self.at]
        return content

    def _stream(self, cells: int, has_values: bool) -> None:
        for _ in range(cells):
            _, sequences = self.take(_CELL)
            self._skip(sequences * _SEQUENCE_BYTES)
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
