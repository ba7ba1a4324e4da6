"""Computing with ggml itself, below any model: tensors of our own in graphs of our own."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from app.engine.worker.binding import ggml_function

POINTER, SIZE, INT, LENGTH, FLOAT = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int64,
    ctypes.c_float,
)
F32, F16 = 0, 1  # ggml.h: enum ggml_type
_ROOM_BYTES = 1 << 28


class _Parameters(ctypes.Structure):
    """ggml.h: struct ggml_init_params."""

    _fields_ = (("mem_size", SIZE), ("mem_buffer", POINTER), ("no_alloc", ctypes.c_bool))


@contextmanager
def ggml_context(*, has_data: bool = True) -> Iterator[int]:
    """Where tensors are made; without `has_data` their numbers lie in a buffer that they get later."""
    context = ggml_function("ggml_init", POINTER, _Parameters)(_Parameters(_ROOM_BYTES, None, not has_data))
    try:
        yield context
    finally:
        ggml_function("ggml_free", None, POINTER)(context)


@contextmanager
def processor(threads: int) -> Iterator[int]:
    """What computes graphs."""
    backend = ggml_function("ggml_backend_cpu_init", POINTER)()
    ggml_function("ggml_backend_cpu_set_n_threads", None, POINTER, INT)(backend, threads)
    try:
        yield backend
    finally:
        ggml_function("ggml_backend_free", None, POINTER)(backend)


def empty_tensor(context: int, kind: int, *lengths: int) -> int:
    """Of at most four dimensions, the one whose numbers lie side by side first."""
    all_lengths = (*lengths, *[1] * (4 - len(lengths)))
    make = ggml_function("ggml_new_tensor_4d", POINTER, POINTER, INT, *[LENGTH] * 4)
    return int(make(context, kind, *all_lengths))


def tensor_of(context: int, array: np.ndarray) -> int:
    """An array as a tensor; ggml counts dimensions from the last."""
    tensor = empty_tensor(context, F16 if array.dtype == np.float16 else F32, *reversed(array.shape))
    array = np.ascontiguousarray(array)
    ctypes.memmove(_data_of(tensor), array.ctypes.data, array.nbytes)
    return tensor


def compute(context: int, backend: int, result: int, shape: tuple[int, ...]) -> np.ndarray:
    """What comes out of a tensor, as F32 of this shape."""
    graph = ggml_function("ggml_new_graph", POINTER, POINTER)(context)
    ggml_function("ggml_build_forward_expand", None, POINTER, POINTER)(graph, result)
    assert ggml_function("ggml_backend_graph_compute", INT, POINTER, POINTER)(backend, graph) == 0
    found = (ctypes.c_float * int(np.prod(shape))).from_address(_data_of(result))
    return np.frombuffer(bytes(found), np.float32).reshape(shape)


def _data_of(tensor: int) -> int:
    return int(ggml_function("ggml_get_data", POINTER, POINTER)(tensor))
