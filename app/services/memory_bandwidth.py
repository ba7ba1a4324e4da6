"""How fast this computer moves memory: a first guess at its speed with models, until the engine's self-test has run."""

from __future__ import annotations

import ctypes
import threading
import time

import psutil

MEASURE_S = 0.2
_BLOCK_BYTES = 4 * 1024 * 1024  # a copy of so much takes under a millisecond: the clock is looked at in between
_AREA_BYTES = 48 * 1024 * 1024  # larger than most caches; once to read from and once to write to
_MAX_THREADS = 8


def measure_copy_bandwidth(seconds: float = MEASURE_S) -> float:
    """Bytes read and written per second when all cores copy memory; takes `seconds` and some milliseconds.

    For worker threads: ctypes lets go of the interpreter while it copies, so the window is not held up.
    """
    threads = min(psutil.cpu_count(logical=False) or 1, _MAX_THREADS)
    blocks = max(1, _AREA_BYTES // threads // _BLOCK_BYTES)
    copied = [0] * threads
    end_s = time.perf_counter() + seconds

    def copy(number: int) -> None:
        size = blocks * _BLOCK_BYTES
        source, target = (ctypes.create_string_buffer(size) for _ in range(2))
        begins = [(ctypes.addressof(target) + at, ctypes.addressof(source) + at) for at in range(0, size, _BLOCK_BYTES)]
        for to, start in begins:  # the pages are made
            ctypes.memmove(to, start, _BLOCK_BYTES)
        started_s = time.perf_counter()
        moved = 0
        while (now_s := time.perf_counter()) < end_s or not moved:
            to, start = begins[moved // _BLOCK_BYTES % blocks]
            ctypes.memmove(to, start, _BLOCK_BYTES)
            moved += _BLOCK_BYTES
        copied[number] = int(2 * moved / max(now_s - started_s, 1e-3)) if now_s > started_s else 0

    workers = [threading.Thread(target=copy, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return float(sum(copied))
