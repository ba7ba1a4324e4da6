"""Guesses of a second, small model with the same vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.engine.worker.backend import StopFlag
from app.engine.worker.batch import Batch
from app.engine.worker.binding import AbortCallback, llama
from app.engine.worker.loaded_model import LoadedModel
from app.engine.worker.sequence import ContextSequence
from app.engine.worker.speculation.speculation import MAX_DRAFT_TOKENS
from app.engine.worker.threads import reading_threads
from app.engine.worker.vocabulary import Vocabulary

DRAFT_BATCH_TOKENS = 64
"""As much as a draft model reads between two tokens of an answer."""

_FIRST_TOKENS = 4
"""Of a long text the beginning is kept as well: models lay attention there that belongs nowhere, and without it what
they say is poor (Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks", section 3.1)."""

_LATEST_TOKENS = 512
"""A draft model that has fallen further behind goes on with so much of the text: to read all would cost more than
guesses gain, and the next words depend on the last ones most."""

_NEAR_TOKENS = 24  # it may be asked before it has read these: they are read with the question
_SPARE_TOKENS = 256  # by which the vocabularies may differ at their end: weights are padded to round numbers


class UnfitDraftError(ValueError):
    """A model that cannot guess for another; the text says why."""


class DraftModel:
    """A model that reads along with the answers of another and says what it finds likeliest.

    Each answer has a place of its own in its context.
    """

    def __init__(self, model: LoadedModel, target: Vocabulary) -> None:
        """`model` with an open context, which now belongs to the draft model. Raises UnfitDraftError."""
        if model.is_recurrent:
            raise UnfitDraftError("a recurrent model cannot take back wrong guesses")
        check_vocabularies(model.vocabulary, target)
        assert model.context is not None
        self.model = model
        self._context = model.context
        self._target_size = target.size
        self._batch = Batch(model.batch_tokens)
        self._abort = AbortCallback()
        self._threads = 0
        self._sampler = llama.llama_sampler_init_greedy()
        self._places = [DraftPlace(self, model.context, number) for number in range(model.sequences)]

    def place(self, number: int, flag: StopFlag, threads: int) -> DraftPlace | None:
        """A place for an answer, by preference the one with this number, which may have read this text before.

        `flag` ends its computations early, `threads` compute. None while all places are taken.
        """
        order = sorted(self._places, key=lambda place: place.number != number)
        place = next((place for place in order if not place.is_busy), None)
        if place is not None:
            place.begin(flag)
        if threads != self._threads:
            self._threads = threads
            llama.llama_set_n_threads(self._context, threads, reading_threads(threads))
        return place

    def decode(self, tokens: Sequence[int], position: int, number: int, flag: StopFlag) -> bool:
        """Read tokens of a place, as many as a batch takes."""
        last = self.model.vocabulary.size - 1
        self._abort.watch(self._context, flag)
        self._batch.clear()
        self._batch.add([min(token, last) for token in tokens], position, number, all_logits=False)
        return self._batch.decode(self._context) == 0

    def likeliest(self) -> int:
        """What follows the last token that was read; beyond the other model's vocabulary: -1."""
        token = int(llama.llama_sampler_sample(self._sampler, self._context, -1))
        return token if token < self._target_size else -1

    @property
    def details(self) -> dict[str, Any]:
        """What it is and takes, for ModelInfo."""
        name = self.model.metadata("general.name") or self.model.path.stem
        used_bytes = sum(share.total_bytes for share in self.model.used)
        return {"draft": {"path": str(self.model.path), "name": name, "used_bytes": used_bytes}}

    def close(self) -> None:
        """Free everything, the model too."""
        if self._sampler:
            llama.llama_sampler_free(self._sampler)
            self._sampler = None
        self.model.close()


class DraftPlace:
    """One place in the context of a draft model: a drafter for one answer after the other.

    It follows the text: what is new is read, what was taken back is forgotten. Of a long text it has the beginning and
    the end.
    """

    def __init__(self, draft: DraftModel, context: int, number: int) -> None:
        self.number = number
        self.is_busy = False
        self._draft = draft
        self._room = draft.model.context_length
        self._chunk = min(draft.model.batch_tokens, DRAFT_BATCH_TOKENS)
        self._latest = min(_LATEST_TOKENS, self._room // 2)
        self._sequence = ContextSequence(context, number, is_recurrent=False)
        self._sequence.clear()
        self._left_out = 0  # how many tokens between beginning and end
        self._flag = StopFlag()

    def begin(self, flag: StopFlag) -> None:
        """An answer begins."""
        self.is_busy = True
        self._flag = flag

    @property
    def is_free(self) -> bool:
        """Each guess is a decode of the small model."""
        return False

    def decoded(self, tokens: Sequence[int], position: int, index: int) -> None:
        """It looks at texts only."""

    def catch_up(self, tokens: Sequence[int]) -> bool:
        """Read a piece of what it has not read."""
        rest = self._unread(tokens)
        if len(rest) <= _NEAR_TOKENS:
            return True
        return self._read(rest[: self._chunk]) and len(rest) - self._chunk <= _NEAR_TOKENS

    def propose(self, tokens: Sequence[int], last: int, limit: int) -> list[int]:
        """The small model's own continuation."""
        rest = [*self._unread(tokens), last]
        for start in range(0, len(rest), self._chunk):
            if not self._read(rest[start : start + self._chunk]):
                return []
        guesses: list[int] = []
        limit = min(limit, self._room - len(self._sequence.tokens))
        while len(guesses) < limit:
            token = self._draft.likeliest()
            if token < 0:
                break
            guesses.append(token)
            if len(guesses) < limit and not self._read([token]):
                break
        return guesses

    def close(self) -> None:
        """The place is free again; what was read stays for the next answer."""
        self.is_busy = False

    def _unread(self, tokens: Sequence[int]) -> Sequence[int]:
        """What is to be read of a text, after what no longer belongs to it was forgotten."""
        text = self._part_of(tokens)
        if self._left_out and self._keep(text) <= _FIRST_TOKENS:  # it was another text that was too long
            self._left_out, text = 0, tokens
        unread = len(text) - self._keep(text)
        if unread > self._latest or len(text) + 1 + MAX_DRAFT_TOKENS > self._room:
            self._left_out = max(len(tokens) - self._latest - _FIRST_TOKENS, 0)
            text = self._part_of(tokens)
        return text[self._keep(text) :]

    def _part_of(self, tokens: Sequence[int]) -> Sequence[int]:
        if not self._left_out:
            return tokens
        return [*tokens[:_FIRST_TOKENS], *tokens[_FIRST_TOKENS + self._left_out :]]

    def _keep(self, text: Sequence[int]) -> int:
        """Forget what is not the beginning of this; how much of it is held."""
        held = self._sequence.tokens
        if held != text[: len(held)]:
            self._sequence.keep_prefix([*text, _NO_TOKEN])
        return len(self._sequence.tokens)

    def _read(self, tokens: Sequence[int]) -> bool:
        if not self._draft.decode(tokens, len(self._sequence.tokens), self.number, self._flag):
            self._sequence.clear()
            return False
        self._sequence.extend(tokens)
        return True


_NO_TOKEN = -1


def check_vocabularies(draft: Vocabulary, target: Vocabulary) -> None:
    """Raises UnfitDraftError unless the words of both models have the same numbers.

    Guesses are checked, so that nothing depends on it but how many are right: marks may have other names, as in later
    versions of a model, and the number of tokens may be rounded up.
    """
    if abs(draft.size - target.size) > _SPARE_TOKENS:
        raise UnfitDraftError(f"{draft.size} tokens instead of {target.size}")
    text_of = llama.llama_vocab_get_text
    words = llama.LLAMA_TOKEN_ATTR_NORMAL | llama.LLAMA_TOKEN_ATTR_BYTE
    for token in range(min(draft.size, target.size)):
        if text_of(draft.handle, token) == text_of(target.handle, token):
            continue
        if (draft.attributes(token) | target.attributes(token)) & words:
            raise UnfitDraftError(f"token {token} is {draft.text_of(token)!r} instead of {target.text_of(token)!r}")
