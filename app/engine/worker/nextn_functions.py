"""llama.cpp's functions for the states that prediction heads go on from.

There are no C functions for them. The C++ ones (llama-ext.h) are found by their names as compilers on Linux and macOS
write them (Itanium C++ ABI); where they are not found, heads are not offered.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

from app.engine.worker.binding import ggml_function
from app.engine.worker.inspection import ModelFacts, tensors_of

HEADS_ARCHITECTURES = frozenset({"glm4moe", "deepseek2"})
"""Those whose head llama.cpp computes from token and state alone, in a cache of its own that can be cut. Others keep a
recurrent state (Qwen 3.5, Nemotron-H) or chain several heads (Step 3.5)."""

_TENSORS = ("nextn.eh_proj.weight", "nextn.enorm.weight", "nextn.hnorm.weight", "ffn_gate_inp.weight")


@dataclass(frozen=True, slots=True)
class NextnFunctions:
    """Each takes a context."""

    keep_states: Any  # llama_set_embeddings_nextn(context, value, only of outputs)
    states: Any  # llama_get_embeddings_nextn(context): of all tokens of the last decode
    state_of: Any  # llama_get_embeddings_nextn_ith(context, index)


@cache
def nextn_functions() -> NextnFunctions | None:
    """The functions of this engine; None where they are not to be had."""
    floats = ctypes.POINTER(ctypes.c_float)
    context, flag = ctypes.c_void_p, ctypes.c_bool
    try:
        return NextnFunctions(
            ggml_function("_Z26llama_set_embeddings_nextnP13llama_contextbb", None, context, flag, flag),
            ggml_function("_Z26llama_get_embeddings_nextnP13llama_context", floats, context),
            ggml_function("_Z30llama_get_embeddings_nextn_ithP13llama_contexti", floats, context, ctypes.c_int32),
        )
    except AttributeError:
        return None


def keep_states(context: int) -> None:
    """Have a context of a model with heads keep the states that they go on from."""
    if functions := nextn_functions():
        functions.keep_states(context, True, False)


def has_heads(facts: ModelFacts) -> bool:
    """Whether a file has a head that can guess here. llama.cpp aborts where its parts are missing."""
    header, architecture = facts.header, facts.architecture
    if architecture not in HEADS_ARCHITECTURES or nextn_functions() is None:
        return False
    if header.integer(f"{architecture}.nextn_predict_layers") != 1:
        return False
    if architecture == "deepseek2" and not header.integer(f"{architecture}.attention.key_length_mla"):
        return False
    layer = (header.integer(f"{architecture}.block_count") or 0) - 1
    names = {tensor.name for tensor in tensors_of(facts.path)}
    return all(f"blk.{layer}.{name}" in names for name in _TENSORS)
