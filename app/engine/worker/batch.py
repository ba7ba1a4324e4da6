"""What one `llama_decode` computes: tokens of one or several conversations, with their places."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from app.engine.worker.affinity import computing
from app.engine.worker.binding import llama


class Batch:
    """A `llama_batch` over arrays of our own, filled anew for every decode."""

    def __init__(self, capacity: int) -> None:
        self._tokens = (ctypes.c_int32 * capacity)()
        self._positions = (ctypes.c_int32 * capacity)()
        self._counts = (ctypes.c_int32 * capacity)(*[1] * capacity)  # a token belongs to one sequence
        self._sequences = (ctypes.c_int32 * capacity)()
        first, step = ctypes.addressof(self._sequences), ctypes.sizeof(ctypes.c_int32)
        pointer = ctypes.POINTER(ctypes.c_int32)
        places = (ctypes.cast(first + index * step, pointer) for index in range(capacity))
        self._places = (pointer * capacity)(*places)
        self._wanted = (ctypes.c_int8 * capacity)()
        self._batch = llama.llama_batch(
            n_tokens=0,
            token=self._tokens,
            embd=None,
            pos=self._positions,
            n_seq_id=self._counts,
            seq_id=self._places,
            logits=self._wanted,
        )
        self.capacity = capacity
        self.length = 0  # tokens

    def clear(self) -> None:
        """Begin anew."""
        self.length = 0

    def add(self, tokens: Sequence[int], position: int, sequence: int, *, all_logits: bool) -> int:
        """Add consecutive tokens of a sequence; returns the index of the first.

        Logits are wanted of all of them or of the last. Not more than `capacity` altogether.
        """
        start, count = self.length, len(tokens)
        end = start + count
        if count == 1:
            self._tokens[start] = tokens[0]
            self._positions[start] = position
            self._sequences[start] = sequence
            self._wanted[start] = 1
        else:
            self._tokens[start:end] = list(tokens)
            self._positions[start:end] = list(range(position, position + count))
            self._sequences[start:end] = [sequence] * count
            self._wanted[start:end] = [*[int(all_logits)] * (count - 1), 1]
        self.length = end
        return start

    def decode(self, context: int) -> int:
        """Compute. Returns what llama_decode does: 0 success, 1 no room, 2 aborted, else an error."""
        self._batch.n_tokens = self.length
        with computing(context, self.length):
            return int(llama.llama_decode(context, self._batch))
