"""One conversation's part of the context's memory: which tokens are in it, and how to get back to fewer."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence

from app.engine.worker.binding import llama
from app.engine.worker.saved_sequence import Checkpoint, SavedSequence, reusable_length
from app.engine.worker.state_streams import with_number_of_streams

_CHECKPOINTS = 12  # two a turn: the last six turns can be edited without reading all anew
_CHECKPOINT_BYTES = 512 * 1024 * 1024


class ContextSequence:
    """Sequence `number` of a context; `tokens` is what the memory holds of it.

    An attention model forgets any tail. A recurrent state cannot go back: there, copies of it (checkpoints) are kept
    from the places to which a regenerated or edited answer returns.
    """

    def __init__(self, context: int, number: int, is_recurrent: bool) -> None:
        self.number = number
        self.tokens: list[int] = []
        self.conversation_id = ""
        self.used_at = 0.0
        self.is_busy = False
        self.saved_length = 0  # how many of the tokens the store has
        self._context = context
        self._memory = llama.llama_get_memory(context)
        self._is_recurrent = is_recurrent
        self._window = int(llama.llama_model_n_swa(llama.llama_get_model(context)))  # 0: every token sees all others
        self._checkpoints: list[Checkpoint] = []

    @property
    def needs_marks(self) -> bool:
        """Whether the model comes back to marked places only."""
        return self._is_recurrent

    def reusable(self, tokens: Sequence[int]) -> int:
        """How many of `tokens` need not be read."""
        length = reusable_length(self.tokens, self._checkpoints, tokens, self._is_recurrent)
        return 0 if length < len(self.tokens) and self._lacks_before(length) else length

    def keep_prefix(self, tokens: Sequence[int]) -> int:
        """Forget everything that `tokens` does not begin with; returns how many of them are kept."""
        kept = self.reusable(tokens)
        if kept < len(self.tokens):
            self.cut(kept)
        return len(self.tokens)

    def cut(self, length: int) -> None:
        """Go back to the first `length` tokens, or fewer where that cannot be done."""
        if length < len(self.tokens):
            self._go_back(length)

    def clear(self) -> None:
        """Forget everything."""
        llama.llama_memory_seq_rm(self._memory, self.number, -1, -1)
        self.tokens.clear()
        self._checkpoints.clear()
        self.saved_length = 0

    def extend(self, tokens: Sequence[int]) -> None:
        """These were decoded."""
        self.tokens.extend(tokens)

    def touch(self) -> None:
        """It is in use now."""
        self.used_at = time.monotonic()

    def mark(self) -> None:
        """Remember this place, if the model could not come back to it otherwise."""
        length = len(self.tokens)
        if not self._is_recurrent or not length or any(point.length == length for point in self._checkpoints):
            return
        state = self._state(llama.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
        if state is None:
            return
        self._checkpoints.append(Checkpoint(length, state))
        most = min(_CHECKPOINTS, max(2, _CHECKPOINT_BYTES // max(len(state), 1)))
        del self._checkpoints[:-most]

    def repair(self) -> None:
        """Bring `tokens` in line with the memory after a decode that failed or was aborted."""
        # llama.cpp takes back the failed part by itself, but a recurrent state has been overwritten by then.
        held = llama.llama_memory_seq_pos_max(self._memory, self.number) + 1
        if self._is_recurrent or held != len(self.tokens):
            self._go_back(len(self.tokens))

    def save(self) -> SavedSequence | None:
        """A copy; None when llama.cpp cannot give it."""
        state = self._state(llama.LLAMA_STATE_SEQ_FLAGS_NONE)
        return None if state is None else SavedSequence(list(self.tokens), state, tuple(self._checkpoints))

    def restore(self, saved: SavedSequence) -> bool:
        """Take over a copy. On failure the sequence is empty."""
        self.clear()
        state = with_number_of_streams(saved.state, llama.llama_n_seq_max(self._context))
        is_read = self._set_state(state, llama.LLAMA_STATE_SEQ_FLAGS_NONE)
        if not is_read or llama.llama_memory_seq_pos_max(self._memory, self.number) != len(saved.tokens) - 1:
            self.clear()
            return False
        self.tokens = list(saved.tokens)
        self._checkpoints = list(saved.checkpoints)
        self.mark()
        return True

    def continue_from(self, other: ContextSequence) -> None:
        """Stand for what `other` stood for in a context that was replaced; the memory here has been filled already."""
        if llama.llama_memory_seq_pos_max(self._memory, self.number) != len(other.tokens) - 1:
            self.clear()
            return
        self.tokens = other.tokens
        self.conversation_id, self.used_at = other.conversation_id, other.used_at
        self.saved_length = other.saved_length
        self._checkpoints = other._checkpoints

    def copy_from(self, other: ContextSequence, length: int) -> None:
        """Take over the first `length` tokens of another sequence."""
        self.clear()
        llama.llama_memory_seq_cp(self._memory, other.number, self.number, -1, -1)
        self.tokens = list(other.tokens)
        self._checkpoints = list(other._checkpoints)
        self.cut(length)

    def _go_back(self, length: int) -> None:
        if self._is_recurrent:
            length = self._restore_checkpoint(length)
        removed = length > 0 and bool(llama.llama_memory_seq_rm(self._memory, self.number, length, -1))
        if (
            not removed
            or llama.llama_memory_seq_pos_max(self._memory, self.number) != length - 1
            or self._lacks_before(length)
        ):
            self.clear()
        else:
            del self.tokens[length:]
            self.saved_length = min(self.saved_length, length)

    def _lacks_before(self, length: int) -> bool:
        """Whether tokens are gone that the next one, at `length`, would see.

        A saved state has only the last window of the layers with sliding windows, even where the context has them
        all: after a restore there is nothing to go back to.
        """
        if self._is_recurrent or not self._window:
            return False
        return bool(llama.llama_memory_seq_pos_min(self._memory, self.number) > max(0, length - self._window))

    def _restore_checkpoint(self, length: int) -> int:
        """Bring the recurrent state to the last checkpoint up to `length` tokens; returns how many it stands for."""
        self._checkpoints = [point for point in self._checkpoints if point.length <= length]
        while self._checkpoints:
            point = self._checkpoints[-1]
            if self._set_state(point.state, llama.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY):
                return point.length
            self._checkpoints.pop()
        return 0

    def _state(self, flags: int) -> bytearray | None:
        size = llama.llama_state_seq_get_size_ext(self._context, self.number, flags)
        if not size:
            return None
        state = bytearray(size)
        buffer = (ctypes.c_uint8 * size).from_buffer(state)
        written = llama.llama_state_seq_get_data_ext(self._context, buffer, size, self.number, flags)
        del buffer  # a bytearray that is exported cannot be cut
        del state[written:]
        return state or None

    def _set_state(self, state: bytes | bytearray, flags: int) -> bool:
        kind = ctypes.c_uint8 * len(state)
        buffer = kind.from_buffer(state) if isinstance(state, bytearray) else kind.from_buffer_copy(state)
        return bool(llama.llama_state_seq_set_data_ext(self._context, buffer, len(state), self.number, flags))
