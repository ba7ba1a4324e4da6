"""Writes trained weights as GGUF files: python export.py --run FOLDER --to FOLDER [--type q8_0]."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from network import Shape
from tokenizer import END_OF_TEXT, SPECIAL, TURN_END

NAME = "Hearth guide"
FILE_STEM = "hearth-guide"
VERSION = "0.1"
DESCRIPTION = (
    "A tiny chat model that explains the program Hearth. A demonstration and a guide, not an assistant. "
    "Trained from nothing on questions and answers written for this purpose."
)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TYPES = {"f16": gguf.LlamaFileType.MOSTLY_F16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder that train.py wrote")
    parser.add_argument("--to", type=Path, required=True, help="folder for the GGUF file")
    parser.add_argument("--type", choices=sorted(TYPES), default="q8_0")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    path = options.to / f"{FILE_STEM}-{options.type}.gguf"
    write_gguf(options.run, path, options.type)
    print(path, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def write_gguf(run: Path, path: Path, file_type: str) -> None:
    """Weights and tokenizer of a run as one file of the "llama" architecture."""
    checkpoint = torch.load(run / "weights.pt", weights_only=True)
    shape = Shape(**checkpoint["shape"])
    weights = {name: value.float().numpy() for name, value in checkpoint["weights"].items()}
    writer = gguf.GGUFWriter(path, "llama")
    _add_description(writer, sum(value.size for value in weights.values()), TYPES[file_type])
    _add_shape(writer, shape)
    _add_tokenizer(writer, json.loads((run / "tokenizer.json").read_text(encoding="utf-8")))
    for name, value in _tensors(weights, shape):
        _add_tensor(writer, name, value, file_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_description(writer: gguf.GGUFWriter, parameters: int, file_type: gguf.LlamaFileType) -> None:
    writer.add_name(NAME)
    writer.add_version(VERSION)
    writer.add_author("Hearth contributors")
    writer.add_description(DESCRIPTION)
    writer.add_license("mit")
    writer.add_languages(["en"])
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    # Its answers are fixed sentences, so there is nothing to gain from chance.
    writer.add_sampling_temp(0.0)


def _add_shape(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)


def _add_tokenizer(writer: gguf.GGUFWriter, saved: dict) -> None:
    vocabulary: dict[str, int] = dict(saved["model"]["vocab"])
    vocabulary |= {token["content"]: token["id"] for token in saved["added_tokens"]}
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in saved["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if token in SPECIAL else normal for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(vocabulary[END_OF_TEXT])
    writer.add_eos_token_id(vocabulary[TURN_END])
    writer.add_pad_token_id(vocabulary[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _tensors(weights: dict[str, np.ndarray], shape: Shape) -> list[tuple[str, np.ndarray]]:
    """The weights under the names that llama.cpp gives them."""
    tensors = [("token_embd.weight", weights["embedding.weight"]), ("output_norm.weight", weights["norm.weight"])]
    names = {
        "attention_norm": "attn_norm",
        "query": "attn_q",
        "key": "attn_k",
        "value": "attn_v",
        "output": "attn_output",
        "feed_norm": "ffn_norm",
        "gate": "ffn_gate",
        "up": "ffn_up",
        "down": "ffn_down",
    }
    heads = {"query": shape.heads, "key": shape.kv_heads}
    for layer in range(shape.layers):
        for ours, theirs in names.items():
            value = weights[f"blocks.{layer}.{ours}.weight"]
            if ours in heads:
                value = _neighbouring_pairs(value, heads[ours])
            tensors.append((f"blk.{layer}.{theirs}.weight", value))
    return tensors


def _neighbouring_pairs(matrix: np.ndarray, heads: int) -> np.ndarray:
    """Rows (i, i + half) of each head become neighbours, which is how llama.cpp rotates them."""
    rows, columns = matrix.shape
    return matrix.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _add_tensor(writer: gguf.GGUFWriter, name: str, value: np.ndarray, file_type: str) -> None:
    value = np.ascontiguousarray(value, np.float32)
    if value.ndim == 1:
        writer.add_tensor(name, value)
    elif file_type == "f16":
        writer.add_tensor(name, value.astype(np.float16))
    else:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)


if __name__ == "__main__":
    main()
