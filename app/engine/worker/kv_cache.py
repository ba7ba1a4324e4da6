"""What of a conversation is in the context's memory, so that only the rest must be read."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from app.core.errors import ErrorKind, UserError
from app.engine.worker.binding import llama

_ABORTED = 2  # llama_decode: the abort callback said so
_NO_ROOM = 1


class DecodeStoppedError(Exception):
    """Computation ended early because the request was stopped."""


def shared_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginning."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


class KvCache:
    """The tokens of sequence 0 of a context. Reading more of them is the only way in."""

    def __init__(self, context: int, is_recurrent: bool, batch_tokens: int) -> None:
        self.context = context
        self.tokens: list[int] = []
        self._memory = llama.llama_get_memory(context)
        self._is_recurrent = is_recurrent
        self._buffer = (ctypes.c_int32 * batch_tokens)()
        self._single = (ctypes.c_int32 * 1)()
        self._single_batch = llama.llama_batch_get_one(self._single, 1)

    def keep_prefix(self, tokens: Sequence[int]) -> int:
        """Drop everything that `tokens` does not begin with; returns how many of them are kept.

        At least the last one is left to be read, for its logits. Models with a recurrent state cannot go back to an
        earlier one: they keep everything or nothing.
        """
        kept = min(shared_length(self.tokens, tokens), len(tokens) - 1)
        if kept < len(self.tokens):
            removed = kept > 0 and not self._is_recurrent
            removed = removed and bool(llama.llama_memory_seq_rm(self._memory, 0, kept, -1))
            if not removed or llama.llama_memory_seq_pos_max(self._memory, 0) != kept - 1:
                self.clear()
                return 0
            del self.tokens[kept:]
        return kept

    def read(self, tokens: Sequence[int]) -> None:
        """Decode a few tokens (at most a batch); the logits of the last can be sampled from.

        Raises DecodeStoppedError when the abort callback ended it, with what was decoded kept, and
        UserError(DECODE_FAILED).
        """
        count = len(tokens)
        self._buffer[:count] = list(tokens)
        result = llama.llama_decode(self.context, llama.llama_batch_get_one(self._buffer, count))
        if result == 0:
            self.tokens.extend(tokens)
        else:
            self._recover(result)

    def read_one(self, token: int) -> None:
        """`read` for a single token, with as little work around it as possible."""
        self._single[0] = token
        result = llama.llama_decode(self.context, self._single_batch)
        if result == 0:
            self.tokens.append(token)
        else:
            self._recover(result)

    def clear(self) -> None:
        """Forget everything."""
        llama.llama_memory_clear(self._memory, False)
        self.tokens.clear()

    def _recover(self, result: int) -> None:
        """Bring `tokens` in line with the memory after a failed decode, and say what happened."""
        # llama.cpp takes back the failed part by itself, but a recurrent state has been overwritten by then.
        kept = len(self.tokens)
        held = llama.llama_memory_seq_pos_max(self._memory, 0) + 1
        is_intact = held == kept or (held > kept and llama.llama_memory_seq_rm(self._memory, 0, kept, -1))
        if self._is_recurrent or not is_intact:
            self.clear()
        if result == _ABORTED:
            raise DecodeStoppedError
        if result == _NO_ROOM:
            raise UserError(ErrorKind.DECODE_FAILED, reason="no room in the context")
        raise UserError(ErrorKind.DECODE_FAILED, reason=f"llama_decode returned {result}")
