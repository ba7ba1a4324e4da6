"""Attention for few tokens as packaging/engine/small_attention.h computes it, against the formula in float64.

A row is the same whatever is computed beside it, by however many threads: to that guessing ahead owes its exactness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from app.engine.worker.binding import ggml_function, has_small_attention
from tests.engine.ggml_graphs import FLOAT, POINTER, compute, ggml_context, processor, tensor_of

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not has_small_attention(), reason="needs an x86-64 processor with AVX2 and not Windows"),
]

MOST_ERROR = 1e-5  # ggml's own, which rounds queries and sums to F16, is off by 1e-4 to 1e-2


@dataclass(frozen=True)
class Case:
    """One attention: how large, and with what."""

    key_length: int
    value_length: int
    tokens: int
    cells: int
    heads: int
    kv_heads: int
    streams: int = 1
    max_bias: float = 0.0
    softcap: float = 0.0
    has_sinks: bool = False
    hidden: float | None = None  # which share of the cells a token does not see; None: there is no mask


@dataclass(frozen=True)
class Inputs:
    """Arrays by [stream, head, token or cell, number]."""

    queries: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    mask: np.ndarray | None
    sinks: np.ndarray | None


CASES = [
    Case(64, 64, 1, 256, 32, 4),
    Case(64, 64, 1, 4096, 32, 4, hidden=0.3),
    Case(128, 128, 1, 2000, 32, 8, hidden=0.9),
    Case(128, 128, 5, 512, 32, 32, has_sinks=True, hidden=0.5),
    Case(80, 80, 3, 320, 10, 10, max_bias=8.0, hidden=0.2),
    Case(256, 256, 2, 512, 8, 4, softcap=50.0, hidden=0.2),
    Case(576, 512, 1, 768, 16, 1, hidden=0.1),
    Case(64, 64, 63, 288, 71, 1, hidden=0.2),
    Case(96, 96, 7, 1024, 12, 4, streams=3, has_sinks=True, hidden=0.99),
    Case(64, 64, 16, 16, 6, 3, max_bias=8.0, softcap=30.0, has_sinks=True, hidden=0.5),
    Case(192, 128, 9, 528, 16, 16, hidden=0.5),
    Case(128, 128, 1, 1024, 32, 8, hidden=0.999),
]


def inputs_of(case: Case) -> Inputs:
    """Noise; every token sees the first cell."""
    noise = np.random.default_rng(case.tokens * 1000 + case.cells)
    rows = (case.streams, case.kv_heads, case.cells)
    mask = None
    if case.hidden is not None:
        shape = (case.streams, 1, case.tokens, case.cells)
        mask = np.where(noise.random(shape) < case.hidden, -np.inf, -3 * noise.random(shape)).astype("f2")
        mask[..., 0] = 0
    return Inputs(
        2 * noise.standard_normal((case.streams, case.heads, case.tokens, case.key_length), "f4"),
        noise.standard_normal((*rows, case.key_length)).astype("f2"),
        noise.standard_normal((*rows, case.value_length)).astype("f2"),
        mask,
        3 * noise.standard_normal(case.heads, "f4") if case.has_sinks else None,
    )


def attention_of(case: Case, inputs: Inputs) -> np.ndarray:
    """The formula: [stream, token, head, number]."""
    shared = case.heads // case.kv_heads
    keys, values = (np.repeat(each.astype("f8"), shared, axis=1) for each in (inputs.keys, inputs.values))
    scores = np.einsum("shtd,shcd->shtc", inputs.queries.astype("f8"), keys) / case.key_length**0.5
    if case.softcap:
        scores = case.softcap * np.tanh(scores / case.softcap)
    if inputs.mask is not None:
        scores = scores + slopes_of(case)[:, None, None] * inputs.mask.astype("f8")
    if inputs.sinks is not None:  # a cell more, without a value
        sinks = np.broadcast_to(inputs.sinks[:, None, None], (*scores.shape[:3], 1))
        scores = np.concatenate([scores, sinks], axis=-1)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.asarray(np.einsum("shtc,shcd->sthd", weights[..., : case.cells], values))


def slopes_of(case: Case) -> np.ndarray:
    """How steeply each head forgets: "Train Short, Test Long", arXiv 2108.12409."""
    if not case.max_bias:
        return np.ones(case.heads)
    power = 1 << (case.heads.bit_length() - 1)
    first, later = 2 ** (-case.max_bias / power), 2 ** (-case.max_bias / 2 / power)
    return np.array([first ** (n + 1) if n < power else later ** (2 * (n - power) + 1) for n in range(case.heads)])


def computed(case: Case, inputs: Inputs, threads: int) -> np.ndarray:
    """What ggml makes of it: [stream, token, head, number]."""
    with ggml_context() as context, processor(threads) as backend:
        queries, keys, values = (tensor_of(context, each) for each in (inputs.queries, inputs.keys, inputs.values))
        mask = None if inputs.mask is None else tensor_of(context, inputs.mask)
        attend = ggml_function("ggml_flash_attn_ext", POINTER, *[POINTER] * 5, *[FLOAT] * 3)
        result = attend(context, queries, keys, values, mask, case.key_length**-0.5, case.max_bias, case.softcap)
        if inputs.sinks is not None:
            add = ggml_function("ggml_flash_attn_ext_add_sinks", None, POINTER, POINTER)
            add(result, tensor_of(context, inputs.sinks))
        return compute(context, backend, result, (case.streams, case.tokens, case.heads, case.value_length))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_the_formula_with_any_number_of_threads(case: Case) -> None:
    inputs = inputs_of(case)
    wanted = attention_of(case, inputs)
    alone = computed(case, inputs, threads=1)
    assert np.abs(alone - wanted).max() < MOST_ERROR * np.abs(wanted).max()
    for threads in (2, 3, 7):
        assert np.array_equal(computed(case, inputs, threads), alone), threads


@pytest.mark.parametrize("case", [case for case in CASES if case.tokens > 1], ids=str)
def test_a_token_gets_the_same_alone_as_beside_others(case: Case) -> None:
    inputs = inputs_of(case)
    together = computed(case, inputs, threads=2)
    for token in range(min(case.tokens, 9)):
        one = replace(
            inputs,
            queries=inputs.queries[:, :, token : token + 1],
            mask=None if inputs.mask is None else inputs.mask[:, :, token : token + 1],
        )
        alone = computed(replace(case, tokens=1), one, threads=2)
        assert np.array_equal(alone[:, 0], together[:, token]), token
