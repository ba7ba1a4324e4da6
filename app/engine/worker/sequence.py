"""One conversation's part of the context's memory: which tokens are in it, and how to get back to fewer."""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.engine.worker.backend import StopFlag
from app.engine.worker.batch import Batch
from app.engine.worker.binding import AbortCallback, llama
from app.engine.worker.saved_sequence import Checkpoint, SavedSequence, last_up_to, shared_length
from app.engine.worker.state_reader import StreamsError
from app.engine.worker.state_streams import with_number_of_streams
from app.engine.worker.window_cells import WindowState

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Room:
    """How many checkpoints are kept: `most` of them, but `least` where they take more than so many bytes."""

    least: int
    most: int
    size_bytes: int

    def count(self, checkpoint_bytes: int) -> int:
        """For checkpoints of this size."""
        return min(self.most, max(self.least, self.size_bytes // max(checkpoint_bytes, 1)))


_MIB = 1024 * 1024
_RECURRENT_ROOM = _Room(2, 12, 512 * _MIB)  # two a turn: the last six turns can be edited without reading all anew
_WINDOW_ROOM = _Room(1, 2, 256 * _MIB)  # those of the last turn: copies are made of them, the context has all
_LARGEST_WINDOW_BYTES = 512 * _MIB  # some windows are 4,096 tokens in half of the layers
_QUICK_BYTES = 64 * _MIB  # copied in some 20 ms, which nobody notices before a question is read


class ContextSequence:
    """Sequence `number` of a context; `tokens` is what the memory holds of it.

    An attention model forgets any tail. A recurrent state cannot go back: there, copies of it (checkpoints) are kept
    from the places to which a regenerated or edited answer returns. Layers with a sliding window go back anywhere as
    long as the context has all of their tokens, which after a copy it has not: there, checkpoints make copies better.
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
        self._window = 0 if is_recurrent else window_tokens(context)
        self._checkpoints: list[Checkpoint] = []
        self._whole_from = 0  # from this length on windows can be cut anywhere
        self._cut_points: list[int] = []  # and below it to these lengths
        self._first_position = 0  # the first token that windows had when that was so

    @property
    def needs_marks(self) -> bool:
        """Whether the model comes back to marked places only."""
        return self._is_recurrent

    def reusable(self, tokens: Sequence[int]) -> int:
        """How many of `tokens` need not be read."""
        shared = min(shared_length(self.tokens, tokens), len(tokens) - 1)
        return shared if shared == len(self.tokens) else self._reachable(shared)

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
        self.saved_length = self._whole_from = self._first_position = 0
        self._checkpoints, self._cut_points = [], []

    def extend(self, tokens: Sequence[int]) -> None:
        """These were decoded."""
        self.tokens.extend(tokens)

    def touch(self) -> None:
        """It is in use now."""
        self.used_at = time.monotonic()

    def mark(self) -> None:
        """Remember this place, if the model could not come back to it otherwise."""
        if self._is_recurrent:
            self._add_checkpoint(_RECURRENT_ROOM)

    def mark_question(self) -> None:
        """Remember that a question begins here, if that is quick."""
        if self._has_parts and self._partial_bytes() <= _QUICK_BYTES:
            self._add_checkpoint(_RECURRENT_ROOM if self._is_recurrent else _WINDOW_ROOM)

    def mark_answer(self) -> None:
        """Remember for copies that an answer begins here; where the model could not come back, `mark` has done so."""
        is_marked = any(point.length >= len(self.tokens) - 1 for point in self._checkpoints)
        if self._window and not is_marked and self._partial_bytes() <= _LARGEST_WINDOW_BYTES:
            self._add_checkpoint(_WINDOW_ROOM)

    def repair(self) -> None:
        """Bring `tokens` in line with the memory after a decode that failed or was aborted."""
        # llama.cpp takes back the failed part by itself, but a recurrent state has been overwritten by then.
        held = llama.llama_memory_seq_pos_max(self._memory, self.number) + 1
        if self._is_recurrent or held != len(self.tokens):
            self._go_back(len(self.tokens))

    def save(self) -> SavedSequence | None:
        """A copy; None when llama.cpp cannot give it."""
        state = self._state(llama.LLAMA_STATE_SEQ_FLAGS_NONE)
        if state is None:
            return None
        tokens, points = list(self.tokens), tuple(self._checkpoints)
        if self._is_recurrent:
            return SavedSequence(tokens, state, points, [point.length for point in points], is_recurrent=True)
        if not self._window:
            return SavedSequence(tokens, state)
        try:
            cut_points = WindowState(state, [point.state for point in points]).cut_points(self._window)
        except StreamsError as error:
            log.warning("a copy of %d tokens serves as a whole only: %s", len(tokens), error)
            return SavedSequence(tokens, state)
        return SavedSequence(tokens, state, points, cut_points)

    def restore(self, saved: SavedSequence) -> bool:
        """Take over a copy. On failure the sequence is empty."""
        self.clear()
        state = with_number_of_streams(saved.whole_state, llama.llama_n_seq_max(self._context))
        is_read = self._set_state(state, llama.LLAMA_STATE_SEQ_FLAGS_NONE)
        if not is_read or llama.llama_memory_seq_pos_max(self._memory, self.number) != len(saved.tokens) - 1:
            self.clear()
            return False
        self.tokens = list(saved.tokens)
        self._checkpoints = list(saved.checkpoints)
        if self._window:
            self._whole_from, self._cut_points = len(self.tokens), list(saved.cut_points)
            self._first_position = self._least_position
        self.mark()
        return True

    def continue_from(self, other: ContextSequence, saved: SavedSequence | None = None) -> bool:
        """Stand for what `other` stood for in a context that was replaced; the memory here has been filled already.

        `saved`: a copy of the other, which has more of sliding windows than the memory was filled with.
        False when something was lost on the way: then this is empty.
        """
        if llama.llama_memory_seq_pos_max(self._memory, self.number) != len(other.tokens) - 1:
            self.clear()
            return False
        if saved is None:
            self.tokens = other.tokens
            self._checkpoints = other._checkpoints
            self._note_losses()
        elif not self.restore(saved):
            return False
        self.conversation_id, self.used_at = other.conversation_id, other.used_at
        self.saved_length, self.is_busy = other.saved_length, other.is_busy
        return True

    def copy_from(self, other: ContextSequence, length: int) -> None:
        """Take over the first `length` tokens of another sequence; the sequence is empty if that fails."""
        if self._window:
            self._copy_all(other)
        elif (saved := other.save()) is None or not self.restore(saved):
            self.clear()
        self.cut(length)

    def _copy_all(self, other: ContextSequence) -> None:
        """Take over all that the context has of another sequence, which of windows is more than a state has.

        llama.cpp copies the data not until something is decoded, and by then it may be other data: whatever is saved or
        restored in between is wrong. So it is made to decode, and stopped at once.
        """
        self.clear()
        llama.llama_memory_seq_cp(self._memory, other.number, self.number, -1, -1)
        self.tokens = list(other.tokens)
        self._checkpoints = list(other._checkpoints)
        self._whole_from, self._cut_points = other._whole_from, list(other._cut_points)
        self._first_position = other._first_position
        batch, abort, stopped = Batch(1), AbortCallback(), StopFlag()
        batch.add(self.tokens[-1:], len(self.tokens), self.number, all_logits=False)
        stopped.set()
        abort.watch(self._context, stopped)
        batch.decode(self._context)
        abort.release(self._context)
        llama.llama_memory_seq_rm(self._memory, self.number, len(self.tokens), -1)

    @property
    def _has_parts(self) -> bool:
        """Whether llama.cpp copies part of the memory by itself: what it cannot cut."""
        return self._is_recurrent or self._window > 0

    def _reachable(self, length: int) -> int:
        """The longest beginning of up to `length` tokens, fewer than there are, to which the memory can go back."""
        if self._is_recurrent:
            return last_up_to([point.length for point in self._checkpoints], length)
        self._note_losses()
        return length if length >= self._whole_from else last_up_to(self._cut_points, length)

    @property
    def _least_position(self) -> int:
        """The first token of which layers with windows have anything."""
        return int(llama.llama_memory_seq_pos_min(self._memory, self.number))

    def _note_losses(self) -> None:
        """llama.cpp may write over tokens that no window sees any more; it then forgets all before them."""
        if self._window and (first := self._least_position) > self._first_position:
            self._first_position = first
            least = min(first + self._window - 1, len(self.tokens))
            self._whole_from = max(self._whole_from, least)
            self._cut_points = [point for point in self._cut_points if point >= least]

    def _go_back(self, length: int) -> None:
        length = self._restore_checkpoint(length) if self._is_recurrent else self._reachable(length)
        removed = length > 0 and bool(llama.llama_memory_seq_rm(self._memory, self.number, length, -1))
        if not removed or llama.llama_memory_seq_pos_max(self._memory, self.number) != length - 1:
            self.clear()
            return
        del self.tokens[length:]
        self.saved_length = min(self.saved_length, length)
        self._whole_from = min(self._whole_from, length)
        self._cut_points = [point for point in self._cut_points if point <= length]
        self._checkpoints = [point for point in self._checkpoints if point.length <= length]

    def _restore_checkpoint(self, length: int) -> int:
        """Bring the recurrent state to the last checkpoint up to `length` tokens; returns how many it stands for."""
        self._checkpoints = [point for point in self._checkpoints if point.length <= length]
        while self._checkpoints:
            point = self._checkpoints[-1]
            if self._set_state(point.state, llama.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY):
                return point.length
            self._checkpoints.pop()
        return 0

    def _add_checkpoint(self, room: _Room) -> None:
        length = len(self.tokens)
        if not length or any(point.length == length for point in self._checkpoints):
            return
        try:
            state = self._state(llama.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
        except MemoryError:
            log.warning("no memory to remember where %d tokens end", length)
            return
        if state is not None:
            self._checkpoints.append(Checkpoint(length, state))
            del self._checkpoints[: -room.count(len(state))]

    def _partial_bytes(self) -> int:
        flags = llama.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        return int(llama.llama_state_seq_get_size_ext(self._context, self.number, flags))

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
        size = len(state)
        if isinstance(state, bytes):  # not copied: it may be a gigabyte
            buffer: Any = ctypes.cast(ctypes.c_char_p(state), ctypes.POINTER(ctypes.c_uint8))
        else:
            buffer = (ctypes.c_uint8 * size).from_buffer(state)
        return bool(llama.llama_state_seq_set_data_ext(self._context, buffer, size, self.number, flags))


def window_tokens(context: int) -> int:
    """How many tokens layers with a sliding window see; 0 where there are none, or llama.cpp keeps all for them.

    It keeps what it can do without apart: then part of a state is less than the whole.
    """
    whole, part = (
        llama.llama_state_seq_get_size_ext(context, 0, flags)
        for flags in (llama.LLAMA_STATE_SEQ_FLAGS_NONE, llama.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
    )
    return int(llama.llama_model_n_swa(llama.llama_get_model(context))) if part < whole else 0
