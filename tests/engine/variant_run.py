"""Reads a prompt and writes an answer with one library for processors; a process of its own for each run.

    python -m tests.engine.variant_run FOLDER MODEL [--variant NAME] [--prompt N] [--tokens N] [--logits FILE]

FOLDER holds a release engine's libraries. Without --variant Hearth chooses, as it does in the app. A named one is used
even if it says that this processor cannot run it. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Speed:
    """Tokens per second by the clock, and per second of processor time, which other programs disturb less."""

    wall: float
    cpu: float


class Watch:
    """Times a stretch of work."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def speed(self, tokens: int) -> Speed:
        return Speed(tokens / (time.perf_counter() - self._wall), tokens / (time.process_time() - self._cpu))


@dataclass(frozen=True)
class VariantRun:
    """What one library did."""

    variant: str
    buffers: list[str]  # where the weights are: lines of llama.cpp's log
    tokens: list[int]
    load_s: float
    prompt: Speed
    generation: Speed


def run(folder: Path, model_path: Path, variant: str, prompt: int, tokens: int, threads: int) -> tuple[VariantRun, Any]:
    """The run, and the logits after the prompt."""
    os.environ["LLAMA_CPP_LIB_PATH"] = str(folder)
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the child has it; before ggml is loaded

    import numpy as np

    from app.engine.worker import binding
    from app.engine.worker.backend_libraries import best_cpu_library, library_path, variant_name

    lines: list[str] = []
    best = best_cpu_library(folder)
    if variant:
        library = ctypes.CDLL(str(library_path(folder, f"cpu-{variant}")))
        library.ggml_backend_init.restype = ctypes.c_void_p
        binding.ggml_function("ggml_backend_register", None, ctypes.c_void_p)(library.ggml_backend_init())
    kept = binding.initialize(lambda _, text: lines.append(text.strip()), lines.append, backends=())
    llama = binding.llama
    began = time.perf_counter()
    model = llama.llama_model_load_from_file(os.fsencode(model_path), llama.llama_model_default_params())
    assert model, lines[-5:]
    parameters = llama.llama_context_default_params()
    parameters.n_ctx = prompt + tokens
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = llama.llama_init_from_model(model, parameters)
    load_s = time.perf_counter() - began
    count = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))

    def decode(ids: list[int]) -> Any:
        batch = (ctypes.c_int32 * len(ids))(*ids)
        assert llama.llama_decode(context, llama.llama_batch_get_one(batch, len(ids))) == 0
        return np.ctypeslib.as_array(llama.llama_get_logits_ith(context, -1), (count,))

    decode([1, 2])  # warms up
    llama.llama_memory_clear(llama.llama_get_memory(context), True)
    watch = Watch()
    first = decode([(7 * index * index + 11) % count for index in range(prompt)]).copy()
    prompt_speed = watch.speed(prompt)
    chosen = [int(first.argmax())]
    watch = Watch()
    for _ in range(tokens - 1):
        chosen.append(int(decode(chosen[-1:]).argmax()))
    generation_speed = watch.speed(tokens - 1)
    del kept
    done = VariantRun(
        variant=variant or (variant_name(best) if best else ""),
        buffers=[line for line in lines if "buffer size" in line and "load_tensors" in line],
        tokens=chosen,
        load_s=load_s,
        prompt=prompt_speed,
        generation=generation_speed,
    )
    return done, first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--variant", default="")
    parser.add_argument("--prompt", type=int, default=45)
    parser.add_argument("--tokens", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--logits", type=Path)
    options = parser.parse_args()
    done, logits = run(options.folder, options.model, options.variant, options.prompt, options.tokens, options.threads)
    if options.logits:
        logits.tofile(options.logits)
    print(json.dumps(asdict(done)))


if __name__ == "__main__":
    main()
