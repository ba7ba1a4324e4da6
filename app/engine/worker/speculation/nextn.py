"""Guesses of the model's own heads for the token after the next (multi-token prediction; llama.cpp's name: nextn).

Some models come with one more layer, which was trained to go on from the model's last state and the token that was
chosen after it (DeepSeek-V3, section 2.2). It guesses at the price of a layer, and needs no second file.

The person chooses nothing: where the file has such a layer and the engine the functions for it, it is used as far as it
pays.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from app.core.errors import ErrorKind, UserError
from app.core.memory import CONTEXT_STEP_TOKENS, HEADS_BATCH_TOKENS, HEADS_CONTEXT_TOKENS, HEADS_STATES, round_up
from app.engine.worker.backend import StopFlag
from app.engine.worker.batch import Batch
from app.engine.worker.binding import AbortCallback, llama
from app.engine.worker.loaded_model import LoadedModel
from app.engine.worker.nextn_functions import nextn_functions
from app.engine.worker.threads import reading_threads

_KEPT_STATES = HEADS_STATES - HEADS_BATCH_TOKENS  # of the latest tokens; what is older need not be read
_NEAR_TOKENS = 24


class PredictionHeads:
    """The heads of a loaded model, in a context of their own; each answer has a place in it."""

    def __init__(self, model: LoadedModel, planned_bytes: int = 0) -> None:
        """`model` with its heads and an open context; `planned_bytes`: for `details`. Raises UserError(LOAD_FAILED)."""
        functions, settings = nextn_functions(), model.settings
        assert functions is not None
        assert settings is not None
        self.functions = functions
        self.model = model
        self._planned_bytes = planned_bytes
        self.width = int(llama.llama_model_n_embd_out(model.handle))
        parameters = llama.llama_context_default_params()
        parameters.ctx_type = llama.LLAMA_CONTEXT_TYPE_MTP
        parameters.n_seq_max = model.sequences
        length = min(HEADS_CONTEXT_TOKENS, model.context_length)
        parameters.n_ctx = round_up(length, CONTEXT_STEP_TOKENS) * model.sequences
        parameters.kv_unified = False
        parameters.n_batch = parameters.n_ubatch = HEADS_BATCH_TOKENS
        parameters.n_outputs_max = model.sequences
        parameters.n_threads = settings.threads
        parameters.n_threads_batch = reading_threads(settings.threads)
        parameters.flash_attn_type = model.flash_attention_type(settings.plan)
        parameters.no_perf = True
        self.context = llama.llama_init_from_model(model.handle, parameters)
        if not self.context:
            raise UserError(ErrorKind.LOAD_FAILED, path=str(model.path), reason="no context for its heads")
        self.cells = int(llama.llama_n_ctx_seq(self.context))
        functions.keep_states(self.context, True, True)
        self.memory = llama.llama_get_memory(self.context)
        self.batch = _StatesBatch(HEADS_BATCH_TOKENS, self.width)
        self._abort = AbortCallback()
        self._threads = 0
        self._sampler = llama.llama_sampler_init_greedy()
        self._places = [HeadsPlace(self, number) for number in range(model.sequences)]

    def place(self, number: int, flag: StopFlag, threads: int) -> HeadsPlace | None:
        """The place for the answer in this sequence of the model; see `DraftModel.place`."""
        if number >= len(self._places):  # the model has got more sequences since
            return None
        place = self._places[number]
        place.begin(flag)
        if threads != self._threads:
            self._threads = threads
            llama.llama_set_n_threads(self.context, threads, reading_threads(threads))
        return place

    def decode(self, flag: StopFlag) -> bool:
        """Compute what was put into the batch."""
        self._abort.watch(self.context, flag)
        return self.batch.decode(self.context) == 0

    def likeliest(self) -> int:
        """What follows the last token that was read."""
        return int(llama.llama_sampler_sample(self._sampler, self.context, -1))

    def last_state(self) -> bytes:
        """Of the last token that was read."""
        row = self.functions.state_of(self.context, self.batch.length - 1)
        return ctypes.string_at(row, self.width * ctypes.sizeof(ctypes.c_float))

    @property
    def details(self) -> dict[str, Any]:
        """That they are there and what they take, for ModelInfo."""
        return {"heads": {"used_bytes": self._planned_bytes}}

    def close(self) -> None:
        """Free what is not the model's."""
        if self.context:
            llama.llama_sampler_free(self._sampler)
            llama.llama_free(self.context)
            self.context = None


class HeadsPlace:
    """One sequence of the heads' context: a drafter for one answer after the other.

    The states of the latest tokens are noted after each decode of the model. Only when guesses are wanted does the head
    read them: a token with the state of the one before it.
    """

    is_free = False

    def __init__(self, heads: PredictionHeads, number: int) -> None:
        self._heads = heads
        self._number = number
        self._flag = StopFlag()
        self._first = 0  # position of the first of the tokens whose states are kept
        self._tokens: list[int] = []
        self._states: list[bytes] = []
        self._held = range(0)  # positions that the head has read

    def begin(self, flag: StopFlag) -> None:
        """An answer begins, perhaps of another conversation."""
        self._flag = flag
        self._first = 0
        self._tokens.clear()
        self._states.clear()
        self._forget()

    def decoded(self, tokens: Sequence[int], position: int, index: int) -> None:
        """Keep the states of tokens that the model has just read, the first of them at `index` of its batch."""
        known = position - self._first
        if not 0 <= known <= len(self._tokens):
            self._first, known = position, 0
        del self._tokens[known:], self._states[known:]
        if self._held.stop > position:
            self._forget()
        width = self._heads.width * ctypes.sizeof(ctypes.c_float)
        rows = self._heads.functions.states(self._heads.model.context)
        start = ctypes.addressof(rows.contents) + index * width
        self._tokens += tokens
        self._states += [ctypes.string_at(start + place * width, width) for place in range(len(tokens))]
        if (surplus := len(self._tokens) - _KEPT_STATES) > HEADS_BATCH_TOKENS:
            del self._tokens[:surplus], self._states[:surplus]
            self._first += surplus

    def catch_up(self, tokens: Sequence[int]) -> bool:
        """Read a piece of what was noted."""
        if not self._first < len(tokens) <= self._first + len(self._states):
            return False
        self._make_room(len(tokens))
        end = min(len(tokens), self._held.stop + HEADS_BATCH_TOKENS)
        if len(tokens) - self._held.stop <= _NEAR_TOKENS:
            return True
        return self._read(end) and len(tokens) - end <= _NEAR_TOKENS

    def propose(self, tokens: Sequence[int], last: int, limit: int) -> list[int]:
        """What the head says, on from what it said itself."""
        count = len(tokens)
        if not self._first < count <= self._first + len(self._states):
            return []
        self._make_room(count)
        while self._held.stop < count:
            if not self._read(min(count, self._held.stop + HEADS_BATCH_TOKENS)):
                return []
        token, state = last, self._states[count - 1 - self._first]
        guesses: list[int] = []
        heads = self._heads
        for position in range(count, count + limit):
            heads.batch.clear()
            heads.batch.add_with_states([token], [state], position, self._number)
            if not heads.decode(self._flag):
                break
            token, state = heads.likeliest(), heads.last_state()
            guesses.append(token)
        llama.llama_memory_seq_rm(heads.memory, self._number, count, -1)  # it comes again with the model's own states
        return guesses

    def close(self) -> None:
        """The answer is over."""

    def _make_room(self, count: int) -> None:
        """Begin anew near the end of the text where the head's context is full, or has fallen too far behind."""
        if not self._held or self._held.stop <= self._first or len(self._held) + _KEPT_STATES > self._heads.cells:
            self._forget()
            latest = count - min(_KEPT_STATES, self._heads.cells // 2)
            start = max(self._first, latest) + 1  # a token is read with the state of the one before it
            self._held = range(start, start)

    def _read(self, end: int) -> bool:
        """Go on up to this position."""
        start = self._held.stop
        tokens = self._tokens[start - self._first : end - self._first]
        states = self._states[start - 1 - self._first : end - 1 - self._first]
        self._heads.batch.clear()
        self._heads.batch.add_with_states(tokens, states, start, self._number)
        if not self._heads.decode(self._flag):
            self._forget()
            return False
        self._held = range(self._held.start, end)
        return True

    def _forget(self) -> None:
        llama.llama_memory_seq_rm(self._heads.memory, self._number, -1, -1)
        self._held = range(0)


class _StatesBatch(Batch):
    """A batch in which each token comes with a state."""

    def __init__(self, capacity: int, width: int) -> None:
        super().__init__(capacity)
        self._state_bytes = width * ctypes.sizeof(ctypes.c_float)
        self._states = (ctypes.c_float * (capacity * width))()
        self._batch.embd = ctypes.cast(self._states, ctypes.POINTER(ctypes.c_float))

    def add_with_states(self, tokens: Sequence[int], states: Sequence[bytes], position: int, sequence: int) -> None:
        """Add consecutive tokens of a sequence."""
        start = self.add(tokens, position, sequence, all_logits=False)
        for place, state in enumerate(states, start):
            ctypes.memmove(ctypes.addressof(self._states) + place * self._state_bytes, state, self._state_bytes)
