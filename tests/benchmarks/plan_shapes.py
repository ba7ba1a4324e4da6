"""Model files of real size without their data: the header is whole, the rest of the file is a hole.

llama.cpp itself says which tensors a header wants (`llama_model_init_from_user`), so names and sizes are never guessed.
A hole reads as zeros: such a model loads, allocates and computes like the real one and takes no disk.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from app.engine.worker.binding import ggml_function, initialize, llama
from tests.fixtures.tiny_gguf import CHATML, NORMAL, spm_vocabulary

_MATRIX_DIMENSIONS = 2
_ASKED_LAYERS = 2  # llama.cpp is asked about a model of so many, or more; further layers are like the last of them
_BLOCK = re.compile(r"blk\.(\d+)\.")
# What ordinary files do not have, although llama.cpp would take it.
_OPTIONAL = r"scale$|rope_f(reqs|actors)|\.nextn\."


@dataclass(frozen=True)
class Shape:
    """The numbers of a model that people use; keys are without the prefix of the architecture."""

    name: str
    architecture: str
    quantization: str  # of the matrices: a name of gguf.GGMLQuantizationType
    vocabulary: int
    keys: Mapping[str, Any]
    tied: bool = False  # the output is the embedding
    dropped: tuple[str, ...] = (r"\.bias$",)  # what llama.cpp would take and the real files do not have


def attention(
    layers: int, width: int, heads: int, kv_heads: int | list[int], feed_forward: int | list[int], head: int = 0
) -> dict[str, Any]:
    keys: dict[str, Any] = {
        "block_count": layers,
        "context_length": 131_072,
        "embedding_length": width,
        "feed_forward_length": feed_forward,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.layer_norm_epsilon": 1e-5,
        "rope.freq_base": 10_000.0,
    }
    if heads:
        keys["rope.dimension_count"] = head or width // heads
    if head:
        keys |= {"attention.key_length": head, "attention.value_length": head}
    return keys


def experts(count: int, used: int, width: int) -> dict[str, int]:
    return {"expert_count": count, "expert_used_count": used, "expert_feed_forward_length": width}


_MAMBA = {"ssm.conv_kernel": 4, "ssm.inner_size": 5120, "ssm.state_size": 16, "ssm.time_step_rank": 160}
_MAMBA_2 = {"ssm.conv_kernel": 4, "ssm.inner_size": 3072, "ssm.state_size": 128, "ssm.time_step_rank": 48}
_LATENT = {
    "attention.q_lora_rank": 1536,
    "attention.kv_lora_rank": 512,
    "attention.key_length": 576,
    "attention.value_length": 512,
    "attention.key_length_mla": 192,
    "attention.value_length_mla": 128,
    "rope.dimension_count": 64,
    "leading_dense_block_count": 1,
    "expert_shared_count": 2,
    "expert_weights_scale": 1.0,
}

SHAPES = (
    Shape("TinyLlama 1.1B", "llama", "Q4_0", 32_000, attention(22, 2048, 32, 4, 5632)),
    Shape("Llama 3.2 3B", "llama", "Q4_K", 128_256, attention(28, 3072, 24, 8, 8192), tied=True),
    Shape("Llama 3.1 8B", "llama", "Q4_K", 128_256, attention(32, 4096, 32, 8, 14_336)),
    Shape("Qwen2.5 0.5B", "qwen2", "Q8_0", 151_936, attention(24, 896, 14, 2, 4864), tied=True, dropped=()),
    Shape("Qwen3 4B", "qwen3", "Q4_K", 151_936, attention(36, 2560, 32, 8, 9728, 128), tied=True),
    Shape(
        "Gemma 2 2B",
        "gemma2",
        "Q4_K",
        256_000,
        attention(26, 2304, 8, 4, 9216, 256) | {"attention.sliding_window": 4096},
        tied=True,
    ),
    Shape(
        "Gemma 3 4B",
        "gemma3",
        "Q4_0",
        262_144,
        attention(34, 2560, 8, 4, 10_240, 256) | {"attention.sliding_window": 1024},
        tied=True,
    ),
    Shape("Phi 3 mini", "phi3", "Q4_K", 32_064, attention(32, 3072, 32, 32, 8192), dropped=()),
    Shape("Falcon 7B", "falcon", "Q4_0", 65_024, attention(32, 4544, 71, 1, 18_176), dropped=(r"attn_norm_2",)),
    Shape("StarCoder2 3B", "starcoder2", "Q8_0", 49_152, attention(30, 3072, 24, 2, 12_288), dropped=()),
    Shape(
        "Mixtral 8x7B",
        "llama",
        "Q4_K",
        32_000,
        attention(32, 4096, 32, 8, 14_336) | {"expert_count": 8, "expert_used_count": 2},
    ),
    Shape("Qwen3 30B-A3B", "qwen3moe", "Q4_K", 151_936, attention(48, 2048, 32, 4, 6144, 128) | experts(128, 8, 768)),
    Shape(
        "gpt-oss 20B",
        "gpt-oss",
        "MXFP4",
        201_088,
        attention(24, 2880, 64, 8, 2880, 64) | experts(32, 4, 2880) | {"attention.sliding_window": 128},
        dropped=(),
    ),
    Shape(
        "Latent attention 16B",
        "deepseek2",
        "Q4_K",
        102_400,
        attention(30, 2048, 16, 1, 10_944) | experts(64, 6, 1408) | _LATENT,
    ),
    Shape("Mamba 2.8B", "mamba", "Q8_0", 50_280, attention(64, 2560, 0, 0, 0) | _MAMBA, dropped=()),
    Shape(
        "Granite 4 H 1B",
        "granitehybrid",
        "Q4_K",
        100_352,
        attention(40, 1536, 12, [4 if layer % 10 == 5 else 0 for layer in range(40)], 4096)
        | _MAMBA_2
        | {"ssm.group_count": 1},
        tied=True,
        dropped=(r"(attn|ffn).*\.bias$",),
    ),
)


def write_shape(shape: Shape, path: Path) -> Path:
    """Write the file of a shape, its data a hole. Raises ValueError when llama.cpp refuses the header."""
    header_only = path.with_suffix(".header")
    is_uniform = not any(isinstance(value, list) for value in shape.keys.values())
    count = max(_ASKED_LAYERS, shape.keys.get("leading_dense_block_count", 0) + 1)
    asked = replace(shape, keys={**shape.keys, "block_count": count}) if is_uniform else shape
    _finish(_begin(asked, header_only))
    tensors = _wanted_tensors(header_only)
    if is_uniform:
        tensors = _repeated(tensors, shape.keys["block_count"])
    writer = _begin(shape, path)
    for name, dimensions in tensors.items():
        if not _is_left_out(shape, name):
            _add_tensor(writer, name, dimensions, shape.quantization)
    header_only.unlink()
    size_bytes = _finish(writer)
    os.truncate(path, size_bytes)
    return path


def _repeated(tensors: Mapping[str, tuple[int, ...]], layers: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a model of so many layers, from those of one that has fewer."""
    asked = max(map(_layer, tensors))
    last = [(name, dimensions) for name, dimensions in tensors.items() if _layer(name) == asked]
    more = {
        _BLOCK.sub(f"blk.{layer}.", name): dimensions for layer in range(asked + 1, layers) for name, dimensions in last
    }
    return {**tensors, **more}


def _layer(name: str) -> int:
    found = _BLOCK.match(name)
    return int(found[1]) if found else -1


def _is_left_out(shape: Shape, name: str) -> bool:
    parts = (_OPTIONAL, *shape.dropped)
    return any(re.search(part, name) for part in parts) or (shape.tied and name == "output.weight")


def _begin(shape: Shape, path: Path) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, shape.architecture)
    writer.add_name(shape.name)
    for key, value in shape.keys.items():
        name = f"{shape.architecture}.{key}"
        if isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        elif value is not None:
            writer.add_uint32(name, value)
    vocabulary = spm_vocabulary(controls=("<|im_start|>", "<|im_end|>"))
    more = shape.vocabulary - len(vocabulary.tokens)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*vocabulary.tokens, *(f"▁w{number}" for number in range(more))])
    writer.add_token_scores([*vocabulary.scores, *(-float(number) for number in range(more))])
    writer.add_token_types([*vocabulary.types, *(NORMAL for _ in range(more))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHATML)
    return writer


def _finish(writer: gguf.GGUFWriter) -> int:
    """Write the header; returns how long the file must be."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout is not None
    end = writer.fout[0].tell()
    infos = list(writer.tensors[0].values())
    writer.close()
    data = sum(gguf.GGUFWriter.ggml_pad(info.nbytes, writer.data_alignment) for info in infos)
    return int(gguf.GGUFWriter.ggml_pad(end, writer.data_alignment) + data)


def _add_tensor(writer: gguf.GGUFWriter, name: str, dimensions: tuple[int, ...], quantization: str) -> None:
    rows = tuple(reversed(dimensions))
    kind = gguf.GGMLQuantizationType[quantization]
    if kind is gguf.GGMLQuantizationType.MXFP4 and "_exps" not in name:
        kind = gguf.GGMLQuantizationType.Q8_0
    is_matrix = len(rows) >= _MATRIX_DIMENSIONS and name.endswith("weight") and "norm" not in name
    if not is_matrix or "conv1d" in name or "ffn_gate_inp" in name:
        count = int(np.prod(rows))
        writer.add_tensor_info(name, rows, np.dtype(np.float32), count * 4)
        return
    block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    if rows[-1] % block:  # as llama.cpp's own quantizer does it
        kind = gguf.GGMLQuantizationType.Q8_0 if rows[-1] % 32 == 0 else gguf.GGMLQuantizationType.F16
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    stored = (*rows[:-1], rows[-1] // block * block_bytes)
    if kind is gguf.GGMLQuantizationType.F16:
        writer.add_tensor_info(name, rows, np.dtype(np.float16), int(np.prod(rows)) * 2)
    else:
        writer.add_tensor_info(name, stored, np.dtype(np.uint8), int(np.prod(stored)), raw_dtype=kind)


class _InitParameters(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


def _wanted_tensors(header_path: Path) -> dict[str, tuple[int, ...]]:
    """Names and dimensions (fastest first) of the tensors that llama.cpp wants for a header."""
    found: dict[str, tuple[int, ...]] = {}
    name_of = ggml_function("ggml_get_name", ctypes.c_char_p, ctypes.c_void_p)
    callback_type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)

    def note(tensor: int, _: Any) -> None:
        # ggml.h: struct ggml_tensor begins with type, buffer and int64 ne[4].
        counts = list((ctypes.c_int64 * 4).from_address(tensor + 16))
        while len(counts) > 1 and counts[-1] == 1:
            counts.pop()
        found[name_of(tensor).decode()] = tuple(counts)

    opened = ggml_function("gguf_init_from_file", ctypes.c_void_p, ctypes.c_char_p, _InitParameters)(
        os.fsencode(header_path), _InitParameters(True, None)
    )
    create = ggml_function(
        "llama_model_init_from_user",
        ctypes.c_void_p,
        ctypes.c_void_p,
        callback_type,
        ctypes.c_void_p,
        llama.llama_model_params,
    )
    parameters = llama.llama_model_default_params()
    parameters.n_gpu_layers = 0
    model = create(opened, callback_type(note), None, parameters) if opened else None
    if not model:
        raise ValueError(f"llama.cpp refuses {header_path.name}")
    llama.llama_model_free(model)
    return found


def main() -> None:
    """Write one shape: python -m tests.benchmarks.plan_shapes NAME PATH."""
    name, path = sys.argv[1:]
    kept = initialize(lambda level, text: None, lambda message: None)
    write_shape(next(shape for shape in SHAPES if shape.name == name), Path(path))
    del kept


if __name__ == "__main__":
    main()
