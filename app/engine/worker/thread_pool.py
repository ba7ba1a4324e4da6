"""Threads for llama.cpp where its CPU backend is built without OpenMP, as with Apple's compiler.

ggml then makes threads of its own for every graph, several for each token, and ends them after it. Here they are kept
and sleep in between. How they wait for each other within a graph is settled when llama.cpp is built: see
packaging/engine/short_waits.h.
"""

from __future__ import annotations

import ctypes
import logging
from typing import Any

from app.engine.worker.binding import ggml_function, llama

log = logging.getLogger(__name__)

_MAX_THREADS = 512  # ggml.h: GGML_MAX_N_THREADS
_CPU = 0  # ggml-backend.h: GGML_BACKEND_DEVICE_TYPE_CPU
_POLLING = 50  # what ggml suggests: a third of a second of busy waiting after every token
_NO_POLLING = 0


class _Parameters(ctypes.Structure):
    """ggml.h: struct ggml_threadpool_params; room for what newer ones add."""

    _fields_ = (
        ("cpu_mask", ctypes.c_bool * _MAX_THREADS),
        ("threads", ctypes.c_int),
        ("priority", ctypes.c_int),
        ("polling", ctypes.c_uint32),
        ("is_strict", ctypes.c_bool),
        ("is_paused", ctypes.c_bool),
        ("more", ctypes.c_ubyte * 4096),
    )


class _Feature(ctypes.Structure):
    """ggml-backend.h: struct ggml_backend_feature."""

    _fields_ = (("name", ctypes.c_char_p), ("value", ctypes.c_char_p))


def make_thread_pool(threads: int) -> ThreadPool | None:
    """A pool for a context on which so many threads compute at most; None where llama.cpp does well without."""
    if threads == 1 or uses_openmp():
        return None
    try:
        return ThreadPool(threads)
    except OSError as error:
        log.warning("threads are made anew for every graph: %s", error)
        return None


def uses_openmp() -> bool:
    """Whether threads are OpenMP's, which keeps and puts to sleep its own; True where the backend does not tell."""
    registry = _cpu_registry()
    address = _address(registry, "ggml_backend_get_features") if registry else None
    if not address:
        return True
    list_features = ctypes.CFUNCTYPE(ctypes.POINTER(_Feature), ctypes.c_void_p)(address)
    features = list_features(registry)
    index = 0
    while features[index].name:
        if features[index].name == b"OPENMP":
            return True
        index += 1
    return False


class ThreadPool:
    """So many threads for one context, the calling one included. Fewer may compute: the others sleep then.

    Attach it to a context, and close it after the context.
    """

    def __init__(self, threads: int) -> None:
        """Raises OSError where the library has no such pools, or others than those known here."""
        registry = _cpu_registry()
        make = _address(registry, "ggml_threadpool_new") if registry else None
        free = _address(registry, "ggml_threadpool_free") if registry else None
        if not make or not free:
            raise OSError("the CPU backend has no thread pools")
        parameters = _Parameters()
        initialize = ggml_function("ggml_threadpool_params_init", None, ctypes.c_void_p, ctypes.c_int)
        initialize(ctypes.byref(parameters), threads)
        if (parameters.threads, parameters.polling) != (threads, _POLLING):
            raise OSError("the parameters of thread pools are others")
        parameters.polling = _NO_POLLING
        self._free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(free)
        self._handle = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(make)(ctypes.byref(parameters))
        if not self._handle:
            raise OSError("no thread pool")

    def attach(self, context: int) -> None:
        """Have a context compute with these threads."""
        attach = llama._lib["llama_attach_threadpool"]
        attach.restype, attach.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        attach(context, self._handle, None)

    def close(self) -> None:
        """End the threads; the context must be gone."""
        if self._handle:
            self._free(self._handle)
            self._handle = None


def _cpu_registry() -> Any:
    """Where the CPU backend tells its functions: with backends in libraries of their own these export nothing else."""
    device = ggml_function("ggml_backend_dev_by_type", ctypes.c_void_p, ctypes.c_int)(_CPU)
    if not device:
        return None
    return ggml_function("ggml_backend_dev_backend_reg", ctypes.c_void_p, ctypes.c_void_p)(device)


def _address(registry: Any, name: str) -> Any:
    find = ggml_function("ggml_backend_reg_get_proc_address", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
    return find(registry, name.encode())
