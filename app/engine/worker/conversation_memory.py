"""Which conversation is where: in a sequence of the context, as a copy in RAM, or in a file.

The longest part of a prompt that was read before is found wherever it is, so that nothing is read twice.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from app.engine.host_memory import host_memory
from app.engine.worker.loaded_model import LoadedModel
from app.engine.worker.saved_sequence import SavedSequence, reusable_length
from app.engine.worker.sequence import ContextSequence, window_tokens
from app.engine.worker.state_file import StateError, TransferCancelledError
from app.engine.worker.state_store import StateKey, StateStore

log = logging.getLogger(__name__)

MIN_KEPT_TOKENS = 256
"""Shorter conversations are read again as fast as they are fetched."""

_MIN_COPIED_TOKENS = 32
_MIN_GROWTH_TOKENS = 256
_MIN_GROWTH_SHARE = 4
_RAM_BYTES = 1024 * 1024 * 1024
_RAM_SHARE = 8  # of the available memory
_LONG_POSITIONS = "long positions"  # see LoadedModel.has_long_positions


class ConversationMemory:
    """The sequences of a context, and the states of conversations that had to make room."""

    def __init__(self, model: LoadedModel, store: StateStore | None, key: StateKey | None) -> None:
        """`store` and `key`: where states outlive this process, and what they must agree in; both or neither."""
        self._is_recurrent = model.is_recurrent
        self._sequences = _sequences_of(model)
        assert model.context is not None
        # A saved state has of a sliding window only what the next tokens see, so it cannot be cut anywhere either.
        self._can_cut_states = not model.is_recurrent and not window_tokens(model.context)
        self._kept: OrderedDict[str, SavedSequence] = OrderedDict()
        self._unwritten: set[str] = set()  # those of them that the store has not got yet
        self._store = store
        self._key = key
        self._has_long_positions = False
        self._note_positions(model)

    @property
    def has_room(self) -> bool:
        """Whether one more answer can begin now."""
        return any(not sequence.is_busy for sequence in self._sequences)

    def take(
        self, conversation_id: str, tokens: Sequence[int], is_stopped: Callable[[], bool] = lambda: False
    ) -> ContextSequence:
        """A sequence for an answer to this prompt, with the longest part of it that could be had already in it.

        There must be room. The caller says `release` when the answer is over. Fetching from a disk, which may take
        seconds, ends when `is_stopped` says so.
        """
        sequence = self._choose(conversation_id, tokens)
        if conversation_id != sequence.conversation_id or not conversation_id:
            if sequence.reusable(tokens) < len(sequence.tokens):
                self._keep(sequence)
            sequence.conversation_id = conversation_id
        self._fill(sequence, tokens, is_stopped)
        sequence.keep_prefix(tokens)
        sequence.mark_question()
        sequence.is_busy = True
        sequence.touch()
        return sequence

    def known_length(self, tokens: Sequence[int]) -> int:
        """How much of a prompt need not be read, wherever it lies."""
        free = (each.reusable(tokens) for each in self._sequences if not each.is_busy)
        best = max(0, *free, *(self._usable(kept, tokens) for kept in self._kept.values()))
        if self._store is not None and self._key is not None:
            found = self._store.find(self._key, tokens, can_cut=self._can_cut_states, better_than=best)
            if found is not None:
                best = found.shared_tokens
        return best

    def tail_of(self, conversation_id: str, tokens: Sequence[int]) -> Sequence[int]:
        """What the sequence holds that would be taken for this prompt: the model's own tokens of an earlier answer."""
        return self._choose(conversation_id, tokens).tokens

    def release(self, sequence: ContextSequence) -> None:
        """The answer is over; what was read stays until its place is needed."""
        sequence.is_busy = False
        sequence.touch()

    def save(self, *, is_last: bool = False) -> None:
        """Write what has changed to the store, if there is one."""
        while self.save_next(is_last=is_last):
            pass

    def save_next(self, *, is_last: bool = False) -> bool:
        """Write one of the conversations that have changed; False when there is none.

        A state is written whole each time, up to a gigabyte: as long as it is not the last chance, only what has grown
        by a good part. Copying it takes up to half a second, in which nothing else is done.
        """
        for sequence in self._sequences:
            length = len(sequence.tokens)
            grown = length - sequence.saved_length
            least = 1 if is_last else max(_MIN_GROWTH_TOKENS, length // _MIN_GROWTH_SHARE)
            is_worth_it = grown >= least and length >= MIN_KEPT_TOKENS and sequence.conversation_id
            if is_worth_it and not sequence.is_busy:
                sequence.saved_length = length  # also where there is no memory for the copy: not again and again
                if (saved := _copy_of(sequence)) is not None:
                    self._write(sequence.conversation_id, saved)
                return True
        for conversation_id in self._unwritten & self._kept.keys():
            self._write(conversation_id, self._kept[conversation_id])
            return True
        return False

    def forget(self, conversation_id: str) -> None:
        """Drop what is kept of a conversation in memory."""
        self._kept.pop(conversation_id, None)
        for sequence in self._sequences:
            if sequence.conversation_id == conversation_id and not sequence.is_busy:
                sequence.clear()

    @property
    def busy_count(self) -> int:
        """How many sequences have an answer that goes on."""
        return sum(1 for sequence in self._sequences if sequence.is_busy)

    def by_importance(self, conversation_id: str = "") -> list[int]:
        """The numbers of the sequences: the busy ones, that of this conversation, then the one that was used last."""

        def importance(sequence: ContextSequence) -> tuple[bool, bool, float]:
            return sequence.is_busy, sequence.conversation_id == conversation_id, sequence.used_at

        return [each.number for each in sorted(self._sequences, key=importance, reverse=True)]

    def copies(self) -> dict[int, SavedSequence]:
        """What llama.cpp would lose of sliding windows when the context is replaced, by sequence; for `move`."""
        if self._can_cut_states or self._is_recurrent:
            return {}
        filled = [sequence for sequence in self._sequences if sequence.tokens]
        return {each.number: saved for each in filled if (saved := _copy_of(each)) is not None}

    def move(
        self, model: LoadedModel, places: Mapping[int, int], copies: Mapping[int, SavedSequence]
    ) -> dict[int, ContextSequence]:
        """Go on in another context of the model, where sequence n is now `places[n]`; the others were lost.

        Returns what stands for each of the former sequences that is whole.
        """
        former, self._sequences = self._sequences, _sequences_of(model)
        self._note_positions(model)
        moved = {}
        for sequence in former:
            if sequence.number in places:
                now = self._sequences[places[sequence.number]]
                if now.continue_from(sequence, copies.get(sequence.number)):
                    moved[sequence.number] = now
        return moved

    def forget_all(self) -> None:
        """Nothing that was read counts any more: the model computes otherwise from now on."""
        self._kept.clear()
        for sequence in self._sequences:
            sequence.clear()

    def _note_positions(self, model: LoadedModel) -> None:
        """Forget the copies if the context computes positions otherwise than the one before."""
        if model.has_long_positions != self._has_long_positions:
            self._kept.clear()
        self._has_long_positions = model.has_long_positions
        if self._key is not None:
            self._key = replace(self._key, details=(_LONG_POSITIONS,) if model.has_long_positions else ())

    def _choose(self, conversation_id: str, tokens: Sequence[int]) -> ContextSequence:
        free = [sequence for sequence in self._sequences if not sequence.is_busy]
        if conversation_id:
            own = next((sequence for sequence in free if sequence.conversation_id == conversation_id), None)
            if own is not None:
                return own
        else:
            nearest = max(free, key=lambda sequence: sequence.reusable(tokens))
            if nearest.reusable(tokens):
                return nearest
        return min(free, key=lambda sequence: (bool(sequence.tokens), sequence.used_at))

    def _fill(self, sequence: ContextSequence, tokens: Sequence[int], is_stopped: Callable[[], bool]) -> None:
        """Bring into `sequence` what of the prompt lies elsewhere, if that is more than it holds itself."""
        best = sequence.reusable(tokens) + _MIN_COPIED_TOKENS
        source: ContextSequence | None = None
        for other in self._sequences:
            if other is not sequence and not other.is_busy and other.reusable(tokens) >= best:
                source, best = other, other.reusable(tokens) + 1
        kept_id = ""
        for conversation_id, kept in self._kept.items():
            if (length := self._usable(kept, tokens)) >= best:
                kept_id, best = conversation_id, length + 1
        if self._restore_from_store(sequence, tokens, best, is_stopped):
            return
        if kept_id:
            sequence.restore(self._kept[kept_id])
            if kept_id == sequence.conversation_id:
                del self._kept[kept_id]
        elif source is not None:
            sequence.copy_from(source, source.reusable(tokens))

    def _usable(self, saved: SavedSequence, tokens: Sequence[int]) -> int:
        """How much of a copy serves a prompt."""
        return reusable_length(saved.tokens, saved.cut_points, tokens, not self._can_cut_states)

    def _restore_from_store(
        self, sequence: ContextSequence, tokens: Sequence[int], least: int, is_stopped: Callable[[], bool]
    ) -> bool:
        if self._store is None or self._key is None or len(tokens) < max(least, MIN_KEPT_TOKENS):
            return False
        found = self._store.find(self._key, tokens, can_cut=self._can_cut_states, better_than=least - 1)
        if found is None:
            return False
        try:
            data, cut_points = found.read(is_stopped), found.head.cut_points
            saved = SavedSequence.from_bytes(found.tokens, data, cut_points, self._is_recurrent)
        except TransferCancelledError:
            return False
        except (StateError, ValueError) as error:
            log.warning("a stored conversation cannot be used: %s", error)
            return False
        if self._usable(saved, tokens) < least:
            return False
        if not sequence.restore(saved):
            return False
        sequence.saved_length = len(saved.tokens)
        return True

    def _keep(self, sequence: ContextSequence) -> None:
        """Copy a conversation that makes room, so that it need not be read again."""
        if len(sequence.tokens) < MIN_KEPT_TOKENS or not sequence.conversation_id:
            return
        if (saved := _copy_of(sequence)) is None:
            return
        self._kept[sequence.conversation_id] = saved
        self._kept.move_to_end(sequence.conversation_id)
        self._unwritten.add(sequence.conversation_id)
        limit = min(_RAM_BYTES, host_memory().free_bytes // _RAM_SHARE)
        while self._kept and sum(kept.size_bytes for kept in self._kept.values()) > limit:
            self._write(*self._kept.popitem(last=False))

    def _write(self, conversation_id: str, saved: SavedSequence) -> None:
        self._unwritten.discard(conversation_id)
        if self._store is None or self._key is None:
            return
        try:
            data = saved.to_bytes()
        except MemoryError:
            log.warning("no memory to write %d tokens", len(saved.tokens))
            return
        can_cut, cut_points = self._can_cut_states, saved.stored_cut_points
        self._store.put_soon(self._key, conversation_id, saved.tokens, data, can_cut=can_cut, cut_points=cut_points)


def _sequences_of(model: LoadedModel) -> list[ContextSequence]:
    assert model.context is not None
    return [ContextSequence(model.context, number, model.is_recurrent) for number in range(model.sequences)]


def _copy_of(sequence: ContextSequence) -> SavedSequence | None:
    try:
        return sequence.save()
    except MemoryError:
        log.warning("no memory for a copy of %d tokens", len(sequence.tokens))
        return None
