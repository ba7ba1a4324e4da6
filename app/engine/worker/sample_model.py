"""A model file for measuring devices: some layers in the shape of a billion-parameter model, all weights zero.

Computing does not care for the values, so the file is nearly all hole: it is written at once and takes no room on most
disks, but is read like 300 MB of weights, more than a processor keeps in its caches: with 60 MB a server that keeps
260 MB was expected to write three times as fast as it does. A whole model takes as many times longer as it has more
layers.
"""

from __future__ import annotations

import struct
from pathlib import Path

WIDTH, FEED_FORWARD, HEADS, KV_HEADS, LAYERS = 2048, 5632, 32, 8, 12
VOCABULARY = 2048
WHOLE_LAYERS = 22  # of a model of a billion parameters in this shape

_ALIGNMENT = 32
_F32, _Q4_0 = 0, 2  # ggml.h: enum ggml_type
_UINT32, _FLOAT32, _STRING = 4, 6, 8  # GGUF's types of values
_BLOCK, _BLOCK_BYTES = 32, 18  # Q4_0: a scale and 32 half bytes


def write_sample_model(path: Path) -> None:
    """Write the file. Raises OSError."""
    tensors = _tensors()
    header = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(_METADATA)))
    for key, value in _METADATA.items():
        header += _string(key) + _value(value)
    offset = 0
    for name, shape in tensors.items():
        header += _string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        header += struct.pack("<IQ", _kind(shape), offset)
        offset = _aligned(offset + _size_bytes(shape))
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(_aligned(len(header)) + offset)


_METADATA: dict[str, str | int | float] = {
    "general.architecture": "llama",
    "general.name": "Self-test",
    "general.alignment": _ALIGNMENT,
    "llama.block_count": LAYERS,
    "llama.context_length": 2048,
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": FEED_FORWARD,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KV_HEADS,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.vocab_size": VOCABULARY,
    "tokenizer.ggml.model": "no_vocab",
}


def _tensors() -> dict[str, tuple[int, ...]]:
    """Names and shapes, the fastest dimension first."""
    kv_width = WIDTH // HEADS * KV_HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (WIDTH, VOCABULARY),
        "output.weight": (WIDTH, VOCABULARY),
        "output_norm.weight": (WIDTH,),
    }
    for layer in range(LAYERS):
        shapes |= {
            f"blk.{layer}.attn_norm.weight": (WIDTH,),
            f"blk.{layer}.attn_q.weight": (WIDTH, WIDTH),
            f"blk.{layer}.attn_k.weight": (WIDTH, kv_width),
            f"blk.{layer}.attn_v.weight": (WIDTH, kv_width),
            f"blk.{layer}.attn_output.weight": (WIDTH, WIDTH),
            f"blk.{layer}.ffn_norm.weight": (WIDTH,),
            f"blk.{layer}.ffn_gate.weight": (WIDTH, FEED_FORWARD),
            f"blk.{layer}.ffn_up.weight": (WIDTH, FEED_FORWARD),
            f"blk.{layer}.ffn_down.weight": (FEED_FORWARD, WIDTH),
        }
    return shapes


def _kind(shape: tuple[int, ...]) -> int:
    return _F32 if len(shape) == 1 else _Q4_0


def _size_bytes(shape: tuple[int, ...]) -> int:
    if len(shape) == 1:
        return 4 * shape[0]
    return shape[0] * shape[1] // _BLOCK * _BLOCK_BYTES


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: str | int | float) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    return struct.pack("<If", _FLOAT32, value)
