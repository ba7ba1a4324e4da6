"""Answers that follow a grammar, at the price of a glance per token.

llama.cpp's grammar sampler looks at every candidate: 22 ms a token with 152,000 of them. Here the usual samplers narrow
the candidates down and choose first, and only the winner is looked at. The result has the distribution of "what the
samplers left over, less what the grammar forbids", exactly:

Let p be the distribution over what the samplers left, A the probability of all that the grammar allows in it. The first
draw is kept with probability A. Otherwise a second draw comes from the same candidates without the forbidden ones, p(t)
/ A. An allowed token t thus comes with p(t) + (1 - A) p(t) / A = p(t) / A: the second draw changes no proportion. If
nothing of what they left is allowed (A = 0), the grammar comes first and the samplers narrow down what it allows.

Mirostat learns from every draw, so with it the grammar always comes first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from app.core.errors import ErrorKind, UserError
from app.core.reasoning import ReasoningMarks
from app.engine.worker.binding import llama
from app.engine.worker.candidates import Candidates
from app.engine.worker.gbnf import ROOT, GrammarError, check_grammar
from app.engine.worker.json_schema import SchemaError, grammar_of_schema
from app.engine.worker.token_scores import bias_sampler
from app.engine.worker.vocabulary import Vocabulary

_LEAST_PROBABILITY = 1.2e-38  # the smallest normal float: drops nothing but what was masked
_MOST_SECONDS = 1.0
"""Of processor time for one token. A grammar with many ways to read the same text needs twice as much with every
character, and llama.cpp cannot be interrupted there."""


def grammar_text(grammar: str, json_schema: str) -> str:
    """The grammar of a request: as it is, or made from its schema; empty for none. Raises UserError."""
    if grammar and json_schema:
        raise UserError(ErrorKind.GRAMMAR_UNUSABLE, reason="there is a grammar and a schema; one of them can be kept")
    if not json_schema:
        return grammar
    try:
        return grammar_of_schema(json_schema)
    except SchemaError as error:
        raise UserError(ErrorKind.SCHEMA_UNUSABLE, reason=str(error)) from None


class Grammar:
    """Keeps one answer to a grammar, until it is closed."""

    def __init__(
        self,
        text: str,
        vocabulary: Vocabulary,
        marks: Sequence[ReasoningMarks] = (),
        opened: ReasoningMarks | None = None,
    ) -> None:
        """Thinking between any of `marks` is free, and so is that which the prompt has `opened`.

        Raises UserError(GRAMMAR_UNUSABLE).
        """
        try:
            facts = check_grammar(text)
        except GrammarError as error:
            raise UserError(ErrorKind.GRAMMAR_UNUSABLE, reason=str(error)) from None
        self._vocabulary = vocabulary
        self._prelude = Prelude(vocabulary, marks, opened) if marks or opened else None
        self._handle = llama.llama_sampler_init_grammar(
            vocabulary.handle, text.encode("utf-8", "replace"), ROOT.encode()
        )
        if not self._handle:
            raise UserError(ErrorKind.GRAMMAR_UNUSABLE, reason="llama.cpp cannot read it")
        self._candidates = Candidates(vocabulary.size)
        # The text of a control token would pass for text, but is never shown.
        hidden = {} if facts.names_tokens else dict.fromkeys(vocabulary.control_texts, -math.inf)
        for token in vocabulary.end_tokens:
            hidden.pop(token, None)
        self._hide = bias_sampler(hidden, vocabulary)
        self._best = llama.llama_sampler_init_greedy()
        self._drop_masked = llama.llama_sampler_init_min_p(_LEAST_PROBABILITY, 1)

    def sample(self, context: int, index: int, filters: Any, choice: Any, *, grammar_first: bool) -> int:
        """The next token; all samplers have accepted it.

        Raises UserError(GRAMMAR_UNUSABLE) when no token of the model can go on, or the grammar is too ambiguous.
        """
        started = time.thread_time()
        token = None
        if self._prelude is not None:
            self._candidates.fill(context, index)
            token = self._chosen(filters, choice)
            if not self._prelude.takes(token):
                self._prelude = token = None
        if token is None:
            self._candidates.fill(context, index)
            token = self._bound(context, index, filters, choice, grammar_first)
            llama.llama_sampler_accept(self._handle, token)
        llama.llama_sampler_accept(filters, token)
        llama.llama_sampler_accept(choice, token)
        if time.thread_time() - started > _MOST_SECONDS:
            raise UserError(ErrorKind.GRAMMAR_UNUSABLE, reason="it has too many ways to read the same text")
        return token

    def accept_text(self, text: str) -> None:
        """The answer has begun with this. Raises UserError(GRAMMAR_UNUSABLE) if it does not follow the grammar."""
        if self._prelude is not None and self._prelude.is_thinking:
            return
        self._prelude = None
        for token in _text_tokens(text, self._vocabulary):
            if not self._candidates.is_allowed(self._handle, token):
                raise UserError(ErrorKind.GRAMMAR_UNUSABLE, reason="the answer so far does not follow it")
            llama.llama_sampler_accept(self._handle, token)

    def close(self) -> None:
        """Free everything; not usable afterwards."""
        for sampler in (self._handle, self._hide, self._best, self._drop_masked):
            if sampler:
                llama.llama_sampler_free(sampler)
        self._handle = self._hide = self._best = self._drop_masked = None

    def _bound(self, context: int, index: int, filters: Any, choice: Any, grammar_first: bool) -> int:
        """A token that the grammar allows; accepting any other would end the process."""
        candidates = self._candidates
        candidates.apply(self._hide)
        if not grammar_first:
            token = self._chosen(filters, choice)
            if candidates.is_allowed(self._handle, token):
                return token
            if self._mask():
                candidates.apply(choice)
                return candidates.selected[0]
            candidates.fill(context, index)
            candidates.apply(self._hide)
        if not self._mask():
            raise UserError(ErrorKind.GRAMMAR_UNUSABLE, reason="no token of the model can follow")
        return self._chosen(filters, choice)

    def _chosen(self, filters: Any, choice: Any) -> int:
        self._candidates.apply(filters)
        self._candidates.apply(choice)
        return self._candidates.selected[0]

    def _mask(self) -> bool:
        """Drop what the grammar forbids; False if that is everything."""
        candidates = self._candidates
        candidates.apply(self._handle)
        candidates.array.sorted = False
        candidates.apply(self._best)
        if candidates.selected[1] == -math.inf:
            return False
        candidates.apply(self._drop_masked)
        return True


class Prelude:
    """What a model may say before the answer that is bound: its thinking, and the marks around it."""

    def __init__(self, vocabulary: Vocabulary, marks: Sequence[ReasoningMarks], opened: ReasoningMarks | None) -> None:
        self._vocabulary = vocabulary
        self._special = vocabulary.control_texts.keys() | vocabulary.user_defined_texts.keys()
        self._closings = {opening.encode(): each.closing.encode() for each in marks for opening in each.openings}
        self._answer_openings = {opening.encode() for each in marks for opening in each.answer_openings}
        self._until = opened.closing.encode() if opened else b""
        self._said = b""  # the end of the thought, or a mark as far as it has come

    @property
    def is_thinking(self) -> bool:
        """Whether the model is between two marks."""
        return bool(self._until)

    def takes(self, token: int) -> bool:
        """Whether this token still belongs to it; the first that does not is the answer's."""
        piece = self._vocabulary.piece(token, special=True)
        if self._until:
            self._said = (self._said + piece)[-len(self._until) - len(piece) :]
            if self._until in self._said:
                self._until = self._said = b""
            return True
        # A mark is a token of its own, or begins with one; the same characters may as well begin an answer.
        said = self._said + piece
        is_begun = bool(self._said) or token in self._special
        if not is_begun or not any(mark.startswith(said) for mark in (*self._closings, *self._answer_openings)):
            return False
        self._said = b"" if said in self._closings else said
        self._until = self._closings.get(said, b"")
        return True


def _text_tokens(text: str, vocabulary: Vocabulary) -> list[int]:
    """The tokens of a text, without the space that SentencePiece puts before a beginning."""
    if not vocabulary.prefixes_space:
        return vocabulary.tokenize(text.encode(), parse_special=False)
    tokens = vocabulary.tokenize(b"\n" + text.encode(), parse_special=False)
    before = b""
    while tokens and not before.endswith(b"\n"):
        before += vocabulary.piece(tokens.pop(0))
    return tokens
