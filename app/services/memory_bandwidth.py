"""How fast this computer moves memory: a first guess at its speed with models, until the engine's self-test has run."""

from __future__ import annotations

import ctypes
import threading
import time
from bisect import bisect_right
from collections.abc import Sequence

import psutil

MEASURE_S = 0.2
_WINDOW_S = 0.002  # a system gives a core to another program for some milliseconds at a time
_STEPS = 4  # windows begin so many times in the length of one
_BLOCK_BYTES = 1024 * 1024  # a copy of so much takes a small part of a window
_AREA_BYTES = 48 * 1024 * 1024  # larger than most caches; once to read from and once to write to
_MAX_THREADS = 8
_LOOKED_AT_S = 2.0  # at most: a computer may sleep in the middle


def measure_copy_bandwidth(seconds: float = MEASURE_S) -> float:
    """Bytes read and written per second when all cores copy memory; takes `seconds` and some milliseconds.

    It is what the cores did together in the best few milliseconds: on average they also wait for other programs. 0
    where no memory or no thread is left to try it.

    For worker threads: ctypes lets go of the interpreter while it copies, so the window is not held up.
    """
    threads = min(psutil.cpu_count(logical=False) or 1, _MAX_THREADS)
    moments: list[list[float]] = [[] for _ in range(threads)]
    workers = [
        threading.Thread(target=_copy, args=(_AREA_BYTES // threads, seconds, noted), daemon=True) for noted in moments
    ]
    started = []
    for worker in workers:
        try:
            worker.start()
        except RuntimeError:  # the system has no thread for it
            break
        started.append(worker)
    for worker in started:
        worker.join()
    return 2 * _BLOCK_BYTES * best_rate(moments, _WINDOW_S)


def best_rate(moments: Sequence[Sequence[float]], window_s: float) -> float:
    """The most blocks per second that all threads together did in a window of so many seconds; 0 if there is none.

    `moments`: for each thread when it began, then when each of its blocks was done.
    """
    start_s = min((noted[0] for noted in moments if noted), default=0.0)
    end_s = max((noted[-1] for noted in moments if noted), default=0.0)
    step_s = window_s / _STEPS
    done = [
        sum(_blocks_done(noted, start_s + number * step_s) for noted in moments)
        for number in range(int(min(end_s - start_s, _LOOKED_AT_S) / step_s) + 1)
    ]
    return max((after - before for before, after in zip(done, done[_STEPS:], strict=False)), default=0.0) / window_s


def _blocks_done(noted: Sequence[float], moment_s: float) -> float:
    """How many blocks a thread had done, counting the part of one that it was at."""
    whole = bisect_right(noted, moment_s) - 1
    if whole < 0:
        return 0.0
    if whole + 1 >= len(noted):
        return float(whole)
    return whole + (moment_s - noted[whole]) / (noted[whole + 1] - noted[whole])


def _copy(area_bytes: int, seconds: float, noted: list[float]) -> None:
    """Copy one area to another, block by block, for so many seconds."""
    size = max(1, area_bytes // _BLOCK_BYTES) * _BLOCK_BYTES
    try:
        source, target = (ctypes.create_string_buffer(size) for _ in range(2))
    except MemoryError:
        return
    begins = [(ctypes.addressof(target) + at, ctypes.addressof(source) + at) for at in range(0, size, _BLOCK_BYTES)]
    for to, start in begins:  # the pages are made
        ctypes.memmove(to, start, _BLOCK_BYTES)
    noted.append(time.perf_counter())
    while noted[-1] < noted[0] + seconds or len(noted) == 1:
        to, start = begins[(len(noted) - 1) % len(begins)]
        ctypes.memmove(to, start, _BLOCK_BYTES)
        noted.append(time.perf_counter())
