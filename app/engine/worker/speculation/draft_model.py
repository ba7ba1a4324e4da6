"""Guesses of a second, small model with the same vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.worker.batch import Batch
from app.engine.worker.binding import llama
from app.engine.worker.loaded_model import LoadedModel
from app.engine.worker.sequence import ContextSequence
from app.engine.worker.vocabulary import Vocabulary


class UnfitDraftError(ValueError):
    """A model that cannot guess for another; the text says why."""


class DraftModel:
    """A drafter that reads along with a model of its own and says what that finds likeliest.

    Its context follows the text: what is new is read, what was taken back is forgotten. The model is the caller's to
    close, after the drafter.
    """

    def __init__(self, model: LoadedModel, target: Vocabulary) -> None:
        """`model` with an open context, which the drafter has for itself. Raises UnfitDraftError."""
        if model.is_recurrent:
            raise UnfitDraftError("a recurrent model cannot take back wrong guesses")
        check_vocabularies(model.vocabulary, target)
        assert model.context is not None
        self._context = model.context
        self._room = model.context_length
        self._chunk = model.batch_tokens
        self._batch = Batch(model.batch_tokens)
        self._sequence = ContextSequence(model.context, 0, is_recurrent=False)
        self._sequence.clear()
        self._sampler = llama.llama_sampler_init_greedy()

    @property
    def is_free(self) -> bool:
        """Each guess is a decode of the small model."""
        return False

    def propose(self, tokens: Sequence[int], last: int, limit: int) -> list[int]:
        """The small model's own continuation; none where the text is longer than its context."""
        limit = min(limit, self._room - len(tokens) - 1)
        if limit <= 0 or not self._follow([*tokens, last]):
            return []
        guesses: list[int] = []
        while len(guesses) < limit:
            guesses.append(int(llama.llama_sampler_sample(self._sampler, self._context, -1)))
            if len(guesses) < limit and not self._read(guesses[-1:]):
                break
        return guesses

    def close(self) -> None:
        """Free what is the drafter's own; it is not usable afterwards."""
        if self._sampler:
            llama.llama_sampler_free(self._sampler)
            self._sampler = None

    def _follow(self, text: Sequence[int]) -> bool:
        """Bring the context to this text, the last token of which is read in any case: its logits are wanted."""
        held = self._sequence.tokens
        if held != text[: len(held)] or len(held) == len(text):
            self._sequence.keep_prefix(text)
        for start in range(len(self._sequence.tokens), len(text), self._chunk):
            if not self._read(text[start : start + self._chunk]):
                return False
        return True

    def _read(self, tokens: Sequence[int]) -> bool:
        self._batch.clear()
        self._batch.add(tokens, len(self._sequence.tokens), 0, all_logits=False)
        if self._batch.decode(self._context) != 0:
            self._sequence.clear()
            return False
        self._sequence.extend(tokens)
        return True


def check_vocabularies(draft: Vocabulary, target: Vocabulary) -> None:
    """Raises UnfitDraftError unless every token means the same to both models."""
    if draft.size != target.size:
        raise UnfitDraftError(f"{draft.size} tokens instead of {target.size}")
    for name in ("bos", "eos", "adds_bos"):
        if getattr(draft, name) != getattr(target, name):
            raise UnfitDraftError(f"another {name}: {getattr(draft, name)} instead of {getattr(target, name)}")
    text_of = llama.llama_vocab_get_text
    for token in range(target.size):
        if text_of(draft.handle, token) != text_of(target.handle, token):
            raise UnfitDraftError(f"token {token} is {draft.text_of(token)!r} instead of {target.text_of(token)!r}")
