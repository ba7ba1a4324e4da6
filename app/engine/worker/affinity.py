"""Writes on the fast cores of a processor that has slow ones too.

There are as many threads for single tokens as fast cores (`threads.choose_counts`), and a step ends when its slowest
thread does: one that the system puts on a slow core holds up all others. Prompts are read by a thread on every core,
wherever the system puts them.

All hardware threads of the fast cores are allowed, and which thread runs where is the system's choice: beside another
program a thread that is bound to one place would have to wait for it while the place next to it is free. Nothing is
bound where all cores are alike: measured, it gained nothing, and beside a busy program it made things slower. Nor while
more threads write than there are fast cores, as a person may want it. macOS binds no threads; there performance cores
are for whoever computes without having asked for a low quality of service.
"""

from __future__ import annotations

import ctypes
import logging
import os
import struct
import sys
from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from app.engine.worker.backend_libraries import best_cpu_library
from app.engine.worker.binding import LIBRARY_FOLDER, llama
from app.engine.worker.processors import WINDOWS_GROUP_SIZE, Processors, find_processors

log = logging.getLogger(__name__)

_WINDOWS_CPU_SET = 0  # winnt.h: CpuSetInformation

_FREE = nullcontext()


@dataclass(frozen=True, slots=True)
class FastCores:
    """The fast cores of a processor that has slow ones too."""

    count: int
    all_cores: int
    processors: frozenset[int]  # the system's numbers of their hardware threads

    @classmethod
    def of(cls, processors: Processors) -> FastCores | None:
        """None where all cores are alike."""
        fast = processors.fast_cores
        if len(fast) == len(processors.cores):
            return None
        return cls(len(fast), len(processors.cores), frozenset[int]().union(*(core.processors for core in fast)))


class Binding(Protocol):
    """A system's way to keep threads on the fast cores."""

    cores: FastCores

    def computing(self, threads: int, writing: int) -> AbstractContextManager[None]:
        """While so many threads compute, the calling one among them; `writing` of them compute single tokens."""


def computing(context: int, tokens: int) -> AbstractContextManager[None]:
    """While so many tokens are computed in a context; on the worker thread only."""
    binding = find_binding()
    if binding is None:
        return _FREE
    writing = llama.llama_n_threads(context)
    return binding.computing(writing if tokens == 1 else llama.llama_n_threads_batch(context), writing)


def bound_cores(threads: int) -> FastCores | None:
    """The cores on which so many threads write if they are bound to them."""
    binding = find_binding()
    return binding.cores if binding is not None and threads <= binding.cores.count else None


@cache
def find_binding() -> Binding | None:
    """That of this process; None where nothing is bound."""
    cores = FastCores.of(find_processors())
    if cores is None or sys.platform == "darwin":
        return None
    log.info("single tokens are computed on the processors %s", sorted(cores.processors))
    return WindowsBinding(cores, *_windows_functions()) if sys.platform == "win32" else LinuxBinding(cores)


class LinuxBinding:
    """Binds the thread that computes while it does, and OpenMP's threads that compute with it for good.

    New threads have the affinity of the one that they come from, and libgomp keeps the first ones of a team when it
    gets smaller. So once those that write are bound, the others come and go with each prompt and are free. Everything
    else in this process, and what it starts, is free as well: the thread that computes is so at any other time.
    """

    def __init__(self, cores: FastCores) -> None:
        self.cores = cores
        self._team = 1  # so many threads, the calling one included, are bound
        self._parallel = _openmp_parallel()
        self._team_work = _TEAM_WORK(self._bind_member)

    @contextmanager
    def computing(self, threads: int, writing: int) -> Iterator[None]:
        """See `Binding`. An affinity that the process has been given meanwhile is respected."""
        is_bound = threads <= self.cores.count
        to_bind = threads if is_bound else writing
        if self._team < to_bind <= self.cores.count:
            self._bind_team(to_bind)
        if not is_bound:
            yield
            return
        if threads > 1:
            self._team = threads  # what there is beyond ends
        allowed = self._bind()
        try:
            yield
        finally:
            _set_affinity(allowed)

    def _bind_team(self, threads: int) -> None:
        """Have so many threads of OpenMP, each of which binds itself."""
        self._team = threads
        if self._parallel is None:
            return
        allowed = os.sched_getaffinity(0)
        self._parallel(self._team_work, None, threads, 0)
        _set_affinity(allowed)

    def _bind_member(self, _: object) -> None:
        self._bind()

    def _bind(self) -> set[int]:
        """The calling thread, unless it may run on none of the fast cores; returns where it was allowed to run."""
        allowed = os.sched_getaffinity(0)
        if fast := allowed & self.cores.processors:
            _set_affinity(fast)
        return allowed


class WindowsBinding:
    """Gives the whole process the processors for single tokens, and takes them back for a prompt.

    Windows' new threads have nothing from the one that they come from. CPU sets are what its documentation advises for
    processors with two kinds of cores; an affinity that the process was given stays above them.
    """

    def __init__(self, cores: FastCores, ask: Callable[[], bytes], assign: Callable[[list[int]], bool]) -> None:
        """`ask`: see `cpu_set_ids`; `assign` has the process run on CPU sets, none of them: on all."""
        self.cores = cores
        self._ids = cpu_set_ids(ask(), cores.processors)
        self._assign = assign
        self._is_bound = False

    def computing(self, threads: int, writing: int) -> AbstractContextManager[None]:
        """See `Binding`."""
        is_bound = threads <= self.cores.count and bool(self._ids)
        if is_bound != self._is_bound:
            self._is_bound = is_bound
            if not self._assign(self._ids if is_bound else []):
                log.warning("threads cannot be bound to the fast cores")
                self._ids = []
        return _FREE


def cpu_set_ids(answer: bytes, processors: Set[int]) -> list[int]:
    """The CPU sets of processors, from the answer of GetSystemCpuSetInformation (winnt.h: SYSTEM_CPU_SET_INFORMATION).

    Processor 3 of group 1 has the number 64 + 3.
    """
    ids = []
    at = 0
    while at + 16 <= len(answer):
        size, kind, set_id, group, index = struct.unpack_from("<IIIHB", answer, at)
        if kind == _WINDOWS_CPU_SET and group * WINDOWS_GROUP_SIZE + index in processors:
            ids.append(set_id)
        at += max(size, 16)
    return ids


_TEAM_WORK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def _openmp_parallel() -> Any:
    """`void GOMP_parallel(void (*)(void *), void *, unsigned threads, unsigned flags)` of the library that ggml uses.

    LLVM's library has it as well. None in a build without OpenMP.
    """
    path = best_cpu_library(LIBRARY_FOLDER)
    library = None if path is None else ctypes.CDLL(str(path))
    if library is None or not hasattr(library, "GOMP_parallel"):
        return None
    parallel = library.GOMP_parallel
    parallel.restype, parallel.argtypes = None, [_TEAM_WORK, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    return parallel


def _set_affinity(processors: Set[int]) -> None:
    """Of the calling thread. One that cannot be changed, as when processors were taken away just now, stays."""
    with suppress(OSError):
        os.sched_setaffinity(0, processors)


def _windows_functions() -> tuple[Callable[[], bytes], Callable[[list[int]], bool]]:
    """What `WindowsBinding` needs, from processthreadsapi.h. Windows 10 and later."""
    system = ctypes.CDLL("kernel32")
    this_process = ctypes.c_void_p(-1)

    def ask() -> bytes:
        size = ctypes.c_uint32(0)
        system.GetSystemCpuSetInformation(None, 0, ctypes.byref(size), this_process, 0)
        buffer = ctypes.create_string_buffer(size.value)
        answered = system.GetSystemCpuSetInformation(buffer, size.value, ctypes.byref(size), this_process, 0)
        return buffer.raw[: size.value] if answered else b""

    def assign(ids: list[int]) -> bool:
        array = (ctypes.c_uint32 * len(ids))(*ids) if ids else None
        return bool(system.SetProcessDefaultCpuSets(this_process, array, len(ids)))

    return ask, assign
