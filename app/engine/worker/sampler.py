"""llama.cpp's chain of samplers, in llama.cpp's order (common/sampling.cpp)."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

from app.core.sampling import Sampling
from app.engine.worker.binding import llama
from app.engine.worker.grammar import Grammar
from app.engine.worker.token_scores import logit_bias_sampler
from app.engine.worker.vocabulary import Vocabulary

_MIROSTAT_CANDIDATES = 100  # the paper's m, fixed in llama.cpp too
_GREEDY_CANDIDATES = 64
_DRY_BREAKERS = ("\n", ":", '"', "*")  # llama.cpp's defaults

# llama.h: enum llama_model_meta_key; the keys with which a file suggests how to sample it
_FILE_KEYS: Mapping[str, str] = {
    "general.sampling.temp": "temperature",
    "general.sampling.top_k": "top_k",
    "general.sampling.top_p": "top_p",
    "general.sampling.min_p": "min_p",
    "general.sampling.xtc_probability": "xtc_probability",
    "general.sampling.xtc_threshold": "xtc_threshold",
    "general.sampling.penalty_last_n": "repeat_last_n",
    "general.sampling.penalty_repeat": "repeat_penalty",
    "general.sampling.mirostat": "mirostat",
    "general.sampling.mirostat_tau": "mirostat_tau",
    "general.sampling.mirostat_eta": "mirostat_eta",
}

METADATA_KEYS = tuple(_FILE_KEYS)


def suggested_sampling(metadata: Mapping[str, str]) -> dict[str, float | int | None]:
    """What a model file suggests, by the names of `Sampling`; values that are no numbers are left out."""
    found: dict[str, float | int | None] = {}
    for key, name in _FILE_KEYS.items():
        try:
            found[name] = float(metadata[key])
        except (KeyError, ValueError):
            continue
    settled = Sampling().merged(found).to_json()  # brought into range
    return {name: settled[name] for name in found}


class SamplerChain:
    """Chooses the next token from the logits of a context, until it is closed."""

    def __init__(
        self,
        sampling: Sampling,
        seed: int,
        vocabulary: Vocabulary,
        context_tokens: int,
        logit_bias: Mapping[str, float] | None = None,
        grammar: Grammar | None = None,
    ) -> None:
        """`logit_bias` by token ids as text. The chain owns the grammar. Raises UserError(BAD_REQUEST)."""
        bias = logit_bias_sampler(logit_bias, vocabulary) if logit_bias else None
        self._handle = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        self._sampling = sampling
        self._context_tokens = context_tokens
        self._grammar = grammar
        self._has_mirostat = sampling.temperature > 0 and bool(sampling.mirostat)
        if bias is not None:
            self._add(bias)
        if self._has_mirostat:
            self._add(llama.llama_sampler_init_temp(sampling.temperature))
            choice = self._mirostat(seed, vocabulary)
        else:
            self._add_penalties(vocabulary)
            if sampling.temperature <= 0:
                if grammar is not None:  # it need not look at more of them
                    self._add(llama.llama_sampler_init_top_k(_GREEDY_CANDIDATES))
                choice = llama.llama_sampler_init_greedy()
            else:
                self._add_truncation(seed)
                choice = llama.llama_sampler_init_dist(seed)
        # What chooses stands apart where a grammar comes between.
        self._choice = choice if grammar is not None else None
        if grammar is None:
            self._add(choice)

    def sample(self, context: int, index: int) -> int:
        """The next token by the logits of the `index`-th token of the last batch; the chain accepts it.

        Raises UserError(GRAMMAR_UNUSABLE) when the grammar leads nowhere.
        """
        if self._grammar is None:
            return int(llama.llama_sampler_sample(self._handle, context, index))
        return self._grammar.sample(context, index, self._handle, self._choice, grammar_first=self._has_mirostat)

    def close(self) -> None:
        """Free the chain; it is not usable afterwards."""
        for sampler in (self._handle, self._choice):
            if sampler:
                llama.llama_sampler_free(sampler)
        if self._grammar is not None:
            self._grammar.close()
        self._handle = self._choice = self._grammar = None

    def accept_prompt(self, tokens: Sequence[int]) -> None:
        """Let the penalties know the end of the prompt, as far back as they look."""
        seen = self._look_back()
        accept, handle = llama.llama_sampler_accept, self._handle
        for token in tokens[-seen:] if seen else ():
            accept(handle, token)

    def _look_back(self) -> int:
        s = self._sampling
        penalizes = s.repeat_penalty != 1.0 or s.frequency_penalty != 0.0 or s.presence_penalty != 0.0
        return max(s.repeat_last_n if penalizes else 0, self._dry_look_back())

    def _dry_look_back(self) -> int:
        """How many tokens DRY looks at; -1 in the settings means all."""
        s = self._sampling
        if s.dry_multiplier == 0.0:
            return 0
        return s.dry_penalty_last_n if s.dry_penalty_last_n >= 0 else self._context_tokens

    def _add(self, sampler: Any) -> None:
        llama.llama_sampler_chain_add(self._handle, sampler)

    def _add_penalties(self, vocabulary: Vocabulary) -> None:
        s = self._sampling
        self._add(
            llama.llama_sampler_init_penalties(
                vocabulary.size, s.repeat_last_n, s.repeat_penalty, s.frequency_penalty, s.presence_penalty
            )
        )
        if look_back := self._dry_look_back():
            breakers = (ctypes.c_char_p * len(_DRY_BREAKERS))(*(text.encode() for text in _DRY_BREAKERS))
            self._add(
                llama.llama_sampler_init_dry(
                    vocabulary.handle,
                    s.dry_multiplier,
                    s.dry_base,
                    s.dry_allowed_length,
                    look_back,
                    breakers,
                    len(_DRY_BREAKERS),
                )
            )

    def _add_truncation(self, seed: int) -> None:
        s = self._sampling
        self._add(llama.llama_sampler_init_top_k(s.top_k))
        self._add(llama.llama_sampler_init_typical(s.typical_p, 1))
        self._add(llama.llama_sampler_init_top_p(s.top_p, 1))
        self._add(llama.llama_sampler_init_min_p(s.min_p, 1))
        self._add(llama.llama_sampler_init_xtc(s.xtc_probability, s.xtc_threshold, 1, seed))
        self._add(llama.llama_sampler_init_temp(s.temperature))

    def _mirostat(self, seed: int, vocabulary: Vocabulary) -> Any:
        """Mirostat holds the surprise steady by itself and takes the place of everything but temperature."""
        s = self._sampling
        if s.mirostat == 1:
            return llama.llama_sampler_init_mirostat(
                vocabulary.size, seed, s.mirostat_tau, s.mirostat_eta, _MIROSTAT_CANDIDATES
            )
        return llama.llama_sampler_init_mirostat_v2(seed, s.mirostat_tau, s.mirostat_eta)
