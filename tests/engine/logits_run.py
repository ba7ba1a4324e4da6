"""Reads the same tokens with model files, once for each number of layers on the GPU; a process of its own.

    python -m tests.engine.logits_run FOLDER MODEL ... --layers 0 2 3

FOLDER holds the engine's libraries. Beside each MODEL it leaves MODEL.npy: for each number of layers the logits after
a prompt and after each of some more tokens, read one by one.
"""

from __future__ import annotations

import argparse
import ctypes
import os
from pathlib import Path
from typing import Any

import numpy as np

PROMPT_TOKENS, MORE_TOKENS = 40, 4


def logits_of(binding: Any, path: Path, gpu_layers: int) -> np.ndarray:
    """The logits, one row for the prompt and one for each further token."""
    llama = binding.llama
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers = gpu_layers
    model = llama.llama_model_load_from_file(os.fsencode(path), parameters)
    assert model, path
    context_parameters = llama.llama_context_default_params()
    context_parameters.n_ctx = PROMPT_TOKENS + MORE_TOKENS
    context_parameters.n_threads = context_parameters.n_threads_batch = 1
    context = llama.llama_init_from_model(model, context_parameters)
    count = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    tokens = [(7 * index * index + 11) % count for index in range(PROMPT_TOKENS + MORE_TOKENS)]
    rows = []
    for part in (tokens[:PROMPT_TOKENS], *([token] for token in tokens[PROMPT_TOKENS:])):
        batch = (ctypes.c_int32 * len(part))(*part)
        assert llama.llama_decode(context, llama.llama_batch_get_one(batch, len(part))) == 0
        rows.append(np.ctypeslib.as_array(llama.llama_get_logits_ith(context, -1), (count,)).copy())
    llama.llama_free(context)
    llama.llama_model_free(model)
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--layers", type=int, nargs="+", required=True)
    options = parser.parse_args()
    os.environ["LLAMA_CPP_LIB_PATH"] = str(options.folder)

    from app.engine.worker import binding

    kept = binding.initialize(lambda level, text: None, print)
    for path in options.models:
        np.save(f"{path}.npy", [logits_of(binding, path, layers) for layers in options.layers])
    del kept


if __name__ == "__main__":
    main()
