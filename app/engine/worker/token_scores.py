"""How likely the model found each token it wrote, and what it might have written instead."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from typing import Any

from app.core.errors import ErrorKind, UserError
from app.core.events import Alternative, TokenScored
from app.engine.worker.binding import llama
from app.engine.worker.candidates import Candidates
from app.engine.worker.vocabulary import Vocabulary

MAX_ALTERNATIVES = 100


class TokenScorer:
    """Reads log-probabilities off the model's own logits: before penalties, temperature, bias and grammar.

    Costs about two milliseconds per token with 152,000 tokens in the vocabulary. An answer that wants none has no
    scorer.
    """

    def __init__(self, request_id: int, vocabulary: Vocabulary, alternatives: int) -> None:
        """Raises UserError(BAD_REQUEST) for more `alternatives` than are ever told."""
        if not 0 < alternatives <= MAX_ALTERNATIVES:
            raise UserError(ErrorKind.BAD_REQUEST, reason=f"alternatives must be 1 to {MAX_ALTERNATIVES}")
        self._request_id = request_id
        self._vocabulary = vocabulary
        self._count = min(alternatives, vocabulary.size - 1)
        self._candidates = Candidates(vocabulary.size)
        self._softmax = llama.llama_sampler_init_dist(0)
        self._likeliest = llama.llama_sampler_init_top_k(self._count + 1)

    def score(self, context: int, index: int, token: int) -> TokenScored:
        """What the logits at the `index`-th token of the last batch say of a token."""
        candidates = self._candidates
        candidates.fill(context, index)
        chosen_logit = candidates.logit(token)
        candidates.apply(self._softmax)
        candidates.apply(self._likeliest)
        likeliest = candidates.first(self._count + 1)
        # ln Σ exp(logit), from a probability that cannot have vanished: a small one would be rounded to 0.
        _, top_logit, top_probability = likeliest[0]
        normalizer = top_logit - math.log(top_probability)
        others = [self._alternative(each, logit - normalizer) for each, logit, _ in likeliest if each != token]
        chosen = self._alternative(token, chosen_logit - normalizer)
        return TokenScored(self._request_id, chosen, tuple(others[: self._count]))

    def close(self) -> None:
        """Free the samplers; not usable afterwards."""
        for sampler in (self._softmax, self._likeliest):
            llama.llama_sampler_free(sampler)
        self._softmax = self._likeliest = None

    def _alternative(self, token: int, log_probability: float) -> Alternative:
        text = self._vocabulary.piece(token, special=True).decode("utf-8", "replace")
        return Alternative(token, text, min(log_probability, 0.0))


def logit_bias_sampler(logit_bias: Mapping[str, float], vocabulary: Vocabulary) -> Any:
    """A sampler that adds to the logits of tokens, by their ids.

    Raises UserError(BAD_REQUEST) for an id that is none, twice the same, or a bias that is out of all proportion.
    """
    biases: dict[int, float] = {}
    for text, bias in logit_bias.items():
        token = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if not 0 <= token < vocabulary.size or token in biases:
            raise UserError(ErrorKind.BAD_REQUEST, reason=f"logit_bias: {text[:20]!r} is not one token of this model")
        if not abs(bias) <= _MAX_BIAS:  # false for NaN too
            raise UserError(ErrorKind.BAD_REQUEST, reason=f"logit_bias: {bias} is not within ±{_MAX_BIAS:g}")
        biases[token] = bias
    return bias_sampler(biases, vocabulary)


def bias_sampler(biases: Mapping[int, float], vocabulary: Vocabulary) -> Any:
    """A sampler that adds these to the logits."""
    entries = (llama.llama_logit_bias * len(biases))()
    for entry, (token, bias) in zip(entries, biases.items(), strict=True):
        entry.token, entry.bias = token, bias
    return llama.llama_sampler_init_logit_bias(vocabulary.size, ctypes.c_int32(len(biases)), entries)


_MAX_BIAS = 10_000.0  # logits are some tens; much more would overflow when divided by a small temperature
