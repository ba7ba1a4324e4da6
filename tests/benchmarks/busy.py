"""How fast tokens come while another program holds a processor: with one thread, with all, and with their number tuned.

    python -m tests.benchmarks.busy [--shape 1.1b] [--quant q4_0] [--tokens 60] [--rounds 3] [--threads 2]
                                    [--libraries FOLDER]

Each is measured with threads that wait as Hearth's child has them wait (GOMP_SPINCOUNT=1000), and as llama.cpp has them
by default; on a quiet computer and beside one program that never rests. A process of its own for every run.

--libraries: another build of llama.cpp than the installed one. Where it is built without OpenMP, its own threads, which
are made anew for each token, are compared with a pool of Hearth's, as the child has it then.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks.figures import spread
from tests.benchmarks.peers import neighbour
from tests.benchmarks.shapes import QUANTS, SHAPES, shape_file

KINDS = ("one thread", "all threads", "tuned")
POOLED = "tuned, pool"
OPENMP = "openmp"  # asks only whether the build has it
WAITING = {"short waits": {"GOMP_SPINCOUNT": "1000"}, "default waits": {}}
QUIET_TOKENS = 30


def write_tokens(path: Path, kind: str, threads: int, tokens: int, busy: bool) -> float:
    """Tokens per second. The neighbour comes after some tokens, so that there is a speed to compare with."""
    from app.engine.worker import binding
    from app.engine.worker.thread_pool import ThreadPool, uses_openmp
    from app.engine.worker.threads import ThreadTuner

    llama = binding.llama
    kept = binding.initialize(lambda level, text: None, lambda message: None)
    assert kept
    if kind == OPENMP:
        return float(uses_openmp())
    model = llama.llama_model_load_from_file(os.fsencode(path), llama.llama_model_default_params())
    parameters = llama.llama_context_default_params()
    parameters.n_ctx = QUIET_TOKENS + tokens + 1
    parameters.n_threads = parameters.n_threads_batch = 1 if kind == "one thread" else threads
    parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama.llama_init_from_model(model, parameters)
    if kind == POOLED:
        ThreadPool(threads).attach(context)
    tuner = ThreadTuner(threads) if kind in ("tuned", POOLED) else None
    batch = llama.llama_batch_get_one((ctypes.c_int32 * 1)(7), 1)

    def write(count: int) -> float:
        began = time.perf_counter()
        for length in range(count):
            start = time.perf_counter()
            llama.llama_decode(context, batch)
            changed = tuner.record(time.perf_counter() - start, length) if tuner else None
            if changed:
                llama.llama_set_n_threads(context, changed, changed)
        return count / (time.perf_counter() - began)

    write(QUIET_TOKENS)
    with neighbour(busy):
        return write(tokens)


def run(options: argparse.Namespace, kind: str, busy: bool, waiting: str) -> float:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.busy", "--run", kind, *(["--busy"] if busy else [])]
    command += ["--shape", options.shape, "--quant", options.quant]
    command += ["--threads", str(options.threads), "--tokens", str(options.tokens)]
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"} | WAITING[waiting]
    if options.libraries:
        environment["LLAMA_CPP_LIB_PATH"] = str(options.libraries.resolve())
    return float(json.loads(subprocess.check_output(command, env=environment)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="1.1b", choices=SHAPES)
    parser.add_argument("--quant", default="q4_0", choices=QUANTS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--libraries", type=Path, help="a folder with another build's libraries")
    parser.add_argument("--run", choices=(*KINDS, POOLED, OPENMP), help=argparse.SUPPRESS)
    parser.add_argument("--busy", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = shape_file(options.shape, options.quant)
    if options.run:
        print(json.dumps(write_tokens(path, options.run, options.threads, options.tokens, options.busy)))
        return 0
    kinds, waits = (*KINDS, POOLED), ["default waits"]
    if run(options, OPENMP, False, "default waits"):
        kinds, waits = KINDS, list(WAITING)
    found: dict[tuple[str, bool, str], list[float]] = {}
    for _ in range(options.rounds):
        cases: Iterable[tuple[str, bool, str]] = itertools.product(waits, (False, True), kinds)
        for waiting, busy, kind in cases:
            found.setdefault((waiting, busy, kind), []).append(run(options, kind, busy, waiting))
    for (waiting, busy, kind), speeds in found.items():
        print(f"{waiting:<14} {'beside a busy program' if busy else 'quiet':<22} {kind:<12} {spread(speeds)} tokens/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
