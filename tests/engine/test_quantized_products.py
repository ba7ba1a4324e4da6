"""Products of repacked weights as packaging/engine/quantized_products.h computes them, against the formula in float64.

A token is the same whatever is computed beside it, by however many threads: to that guessing ahead owes its exactness.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize

from app.engine.worker.binding import ggml_function, has_small_attention
from tests.engine.ggml_graphs import POINTER, SIZE, compute, empty_tensor, ggml_context, processor, tensor_of

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not has_small_attention(), reason="needs an x86-64 processor with AVX2 and not Windows"),
]

BLOCKS = {  # weights, bytes
    Kind.Q4_0: (32, 18),
    Kind.MXFP4: (32, 17),
    Kind.Q8_0: (32, 34),
    Kind.Q4_K: (256, 144),
    Kind.Q5_K: (256, 176),
    Kind.Q6_K: (256, 210),
}
SCALES = {Kind.Q4_0: [0], Kind.Q8_0: [0], Kind.Q4_K: [0, 2], Kind.Q5_K: [0, 2], Kind.Q6_K: [208]}  # in F16, from where
GGML_REPACKS = (Kind.Q4_0, Kind.MXFP4, Kind.Q4_K)  # on such processors, whatever we do
TOO_LONG = 33_024  # left to ggml
MOST_ERROR = 1e-5
PROCESSOR_DEVICE = 0  # ggml-backend.h: enum ggml_backend_dev_type
KINDS = pytest.mark.parametrize("kind", BLOCKS, ids=lambda kind: kind.name)


def weights_of(kind: Kind, columns: int, length: int) -> np.ndarray:
    """Noise: [column, byte]."""
    weights, size = BLOCKS[kind]
    noise = np.random.default_rng(columns * 100_000 + length)
    blocks = noise.integers(0, 256, (columns, length // weights, size), np.uint8)
    for at in SCALES.get(kind, ()):
        scales = noise.uniform(-0.1, 0.1, blocks.shape[:2]).astype("<f2")
        blocks[..., at : at + 2] = scales[..., None].view(np.uint8)
    if kind is Kind.MXFP4:
        blocks[..., 0] = noise.integers(110, 128, blocks.shape[:2])  # exponents of 2, plus 128
    return blocks.reshape(columns, -1)


def values_of(tokens: int, length: int) -> np.ndarray:
    """Noise that 8 bits hold exactly: whole numbers, of which the largest of each 32 is 127."""
    noise = np.random.default_rng(tokens * 100_000 + length)
    values = noise.integers(-127, 128, (tokens, length)).astype("f4")
    values[:, ::32] = 127
    return values


@contextmanager
def repacked(kind: Kind, weights: np.ndarray, length: int) -> Iterator[int]:
    """Weights as a tensor in the order that the processor's kernels want."""
    device = ggml_function("ggml_backend_dev_by_type", POINTER, ctypes.c_int)(PROCESSOR_DEVICE)
    registry = ggml_function("ggml_backend_dev_backend_reg", POINTER, POINTER)(device)
    find = ggml_function("ggml_backend_reg_get_proc_address", POINTER, POINTER, ctypes.c_char_p)
    list_types = ctypes.CFUNCTYPE(ctypes.POINTER(POINTER), POINTER)(find(registry, b"ggml_backend_dev_get_extra_bufts"))
    name_of = ggml_function("ggml_backend_buft_name", ctypes.c_char_p, POINTER)
    found = list_types(device)
    types = [each for each in iter(iter(found).__next__, None) if name_of(each) == b"CPU_REPACK"]
    with ggml_context(has_data=False) as context:
        tensor = empty_tensor(context, kind, length, len(weights))
        allocate = ggml_function("ggml_backend_alloc_ctx_tensors_from_buft", POINTER, POINTER, POINTER)
        buffer = allocate(context, types[0])
        try:
            fill = ggml_function("ggml_backend_tensor_set", None, POINTER, POINTER, SIZE, SIZE)
            fill(tensor, weights.ctypes.data, 0, weights.nbytes)
            yield tensor
        finally:
            ggml_function("ggml_backend_buffer_free", None, POINTER)(buffer)


def multiplied(weights: int, columns: int, values: np.ndarray, threads: int) -> np.ndarray:
    """[token, column]."""
    with ggml_context() as context, processor(threads) as backend:
        multiply = ggml_function("ggml_mul_mat", POINTER, POINTER, POINTER, POINTER)
        result = multiply(context, weights, tensor_of(context, values))
        return compute(context, backend, result, (len(values), columns))


@pytest.mark.parametrize("columns", [8, 24, 264])
@pytest.mark.parametrize(
    ("kind", "length"),
    [*product(BLOCKS, (256, 2048)), *product(GGML_REPACKS, [TOO_LONG])],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_they_are_the_formula_with_any_number_of_threads(kind: Kind, length: int, columns: int) -> None:
    weights = weights_of(kind, columns, length)
    exact = dequantize(weights, kind).astype("f8")
    with repacked(kind, weights, length) as tensor:
        for tokens in (1, 4, 21):
            values = values_of(tokens, length)
            wanted = values.astype("f8") @ exact.T
            alone = multiplied(tensor, columns, values, threads=1)
            assert np.abs(alone - wanted).max() < MOST_ERROR * np.abs(wanted).max()
            for threads in (2, 3):
                assert np.array_equal(multiplied(tensor, columns, values, threads), alone), threads


@KINDS
def test_a_token_gets_the_same_alone_as_beside_others(kind: Kind) -> None:
    length, columns, tokens = 1024, 72, 39
    values = values_of(tokens, length)
    with repacked(kind, weights_of(kind, columns, length), length) as tensor:
        alone = np.concatenate([multiplied(tensor, columns, value[None], threads=2) for value in values])
        for together in range(2, tokens + 1):
            found = multiplied(tensor, columns, values[:together], threads=2)
            assert np.array_equal(found, alone[:together]), together
