"""Model files of real size for measurements, written in seconds: right shapes, right formats, random weights.

    python -m tests.benchmarks.shapes [1.1b q4_0 ...]

The tensors have the names, sizes and formats of real Llama-like models, so that speed and memory are real; the text is
noise. `shape_file("1.1b", "q4_0")` writes the file at the first call and finds it afterwards, in the cache folder of
the development tools (HEARTH_DEV_CACHE names another), where it may be deleted at any time.

Each block of quantized weights is random bytes with a scale set such that the weights have a deviation of
1/sqrt(inputs): numbers stay finite through all layers. Formats of the blocks: ggml's ggml-common.h.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import gguf
import numpy as np
import platformdirs
from gguf import GGMLQuantizationType as Format

from tests.fixtures import tiny_gguf as tiny

_REVISION = 1  # part of the file's name: raise it when the contents change
_POOL_BYTES = 32 * 1024 * 1024

TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """The dimensions of a Llama-like model."""

    embedding: int
    layers: int
    heads: int
    kv_heads: int
    inner: int
    words: int = 32_000
    context_tokens: int = 32_768  # more than some were trained for: long contexts are to be measured
    rope_base: float = 10_000.0


SHAPES = {
    "0.1b": Shape(768, 12, 12, 4, 2048),  # to try a benchmark out
    "1.1b": Shape(2048, 22, 32, 4, 5632),  # TinyLlama 1.1B
    "7b": Shape(4096, 32, 32, 8, 14336, rope_base=1_000_000.0),  # Mistral 7B
}
QUANTS = {
    "q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
    "q4_k_m": gguf.LlamaFileType.MOSTLY_Q4_K_M,
    "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}


def shape_file(shape: str, quant: str) -> Path:
    """The model file of that shape (a key of SHAPES) and quantization (of QUANTS); written if it is not there yet."""
    folder = _cache_folder()
    path = folder / f"{shape}-{quant}-r{_REVISION}.gguf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        try:
            write_file(part, f"{shape} {quant}", SHAPES[shape], quant)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return path


def noise_text(words: int, seed: int = 0) -> str:
    """Text of words that these models know, each one token; every seed has its own."""
    random = Random(seed)
    known = _two_syllables()
    return " ".join(random.choice(known) for _ in range(words))


def _cache_folder() -> Path:
    chosen = os.environ.get("HEARTH_DEV_CACHE")
    base = Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("hearth-dev", appauthor=False)
    return base / "shapes"


def write_file(path: Path, name: str, shape: Shape, quant: str) -> None:
    """Write a model of a shape of one's own; `quant` is a key of QUANTS."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_description("random weights, for measurements only")
    writer.add_file_type(QUANTS[quant])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.embedding)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.embedding // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(1e-5)
    _add_vocabulary(writer, shape.words)
    weights = _RandomWeights()
    tensors = list(_tensors(shape, quant))
    for tensor in tensors:
        tensor.announce(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        writer.write_tensor_data(weights.of(tensor))
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter, words: int) -> None:
    """SentencePiece with letters, bytes, ChatML's marks and words of up to three syllables."""
    syllables = _syllables()
    pieces = [*syllables, *_two_syllables()]
    pieces += [f"▁{piece}" for piece in pieces]
    pieces += ["▁" + "".join(three) for three in itertools.islice(itertools.product(syllables, repeat=3), words)]
    known = tiny.spm_vocabulary(controls=("<|im_start|>", "<|im_end|>"), pieces=pieces)
    writer.add_vocab_size(words)
    writer.add_tokenizer_model(known.model)
    writer.add_token_list(list(known.tokens[:words]))
    writer.add_token_types(list(known.types[:words]))
    writer.add_token_scores(list(known.scores[:words]))
    writer.add_bos_token_id(known.id_of("<s>"))
    writer.add_eos_token_id(known.id_of("<|im_end|>"))
    writer.add_unk_token_id(known.id_of("<unk>"))
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(TEMPLATE)


def _syllables() -> list[str]:
    return [first + second for first in "bdfghjklmnprstvwz" for second in "aeiou"]


def _two_syllables() -> list[str]:
    return ["".join(two) for two in itertools.product(_syllables(), repeat=2)]


@dataclass(frozen=True)
class _Tensor:
    name: str
    rows: int
    columns: int
    format: Format

    def announce(self, writer: gguf.GGUFWriter) -> None:
        if self.format is Format.F32:
            writer.add_tensor_info(self.name, (self.columns,), np.dtype(np.float32), 4 * self.columns)
            return
        row_bytes = self.row_bytes
        size_bytes = self.rows * row_bytes
        dtype = np.dtype(np.uint8)
        writer.add_tensor_info(self.name, (self.rows, row_bytes), dtype, size_bytes, raw_dtype=self.format)

    @property
    def row_bytes(self) -> int:
        block, block_bytes = gguf.GGML_QUANT_SIZES[self.format]
        return self.columns // block * block_bytes


def _tensors(shape: Shape, quant: str) -> Iterator[_Tensor]:
    """The tensors of the model in their order; formats as llama.cpp's quantizer mixes them."""
    size, narrow = shape.embedding, shape.embedding // shape.heads * shape.kv_heads
    plain = {"q4_0": Format.Q4_0, "q4_k_m": Format.Q4_K, "q8_0": Format.Q8_0}[quant]
    fine = Format.Q8_0 if quant == "q8_0" else Format.Q6_K
    yield _Tensor("token_embd.weight", shape.words, size, plain)
    yield _Tensor("output.weight", shape.words, size, fine)
    yield _Tensor("output_norm.weight", 1, size, Format.F32)
    for layer in range(shape.layers):
        eighth = shape.layers // 8
        is_sensitive = layer < eighth or layer >= 7 * shape.layers // 8 or (layer - eighth) % 3 == 2
        mixed = fine if quant == "q4_k_m" and is_sensitive else plain
        for name, rows, columns, form in (
            ("attn_norm", 1, size, Format.F32),
            ("attn_q", size, size, plain),
            ("attn_k", narrow, size, plain),
            ("attn_v", narrow, size, mixed),
            ("attn_output", size, size, plain),
            ("ffn_norm", 1, size, Format.F32),
            ("ffn_gate", shape.inner, size, plain),
            ("ffn_up", shape.inner, size, plain),
            ("ffn_down", size, shape.inner, mixed),
        ):
            yield _Tensor(f"blk.{layer}.{name}.weight", rows, columns, form)


class _RandomWeights:
    """Random blocks out of one pool of random bytes, since making 7 GB of them anew would take a minute."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._bytes = self._random.integers(0, 256, _POOL_BYTES, dtype=np.uint8)
        # 1 to 15, the mean of which is the zero of these formats: else all weights lean to one side and every text
        # soon repeats itself.
        low, high = self._random.integers(1, 16, (2, _POOL_BYTES), dtype=np.uint8)
        self._nibbles = low | high << 4

    def of(self, tensor: _Tensor) -> np.ndarray:
        """The data of a tensor: ones for a norm, else one row of bytes for each of its rows."""
        if tensor.format is Format.F32:
            return np.ones(tensor.columns, np.float32)
        block_bytes = gguf.GGML_QUANT_SIZES[tensor.format][1]
        size_bytes = tensor.rows * tensor.row_bytes
        start = int(self._random.integers(_POOL_BYTES))
        pool = self._nibbles if tensor.format in (Format.Q4_0, Format.Q4_K) else self._bytes
        repeated = np.resize(np.roll(pool, -start), size_bytes).reshape(-1, block_bytes)
        _set_scales(repeated, tensor.format, tensor.columns**-0.5)
        return repeated.reshape(tensor.rows, -1)


def _set_scales(blocks: np.ndarray, form: Format, deviation: float) -> None:
    """Overwrite what of the random blocks are scales, such that the weights have this deviation."""
    if form is Format.Q4_0:  # half scale, 16 bytes of nibbles; weight = scale * (nibble - 8)
        blocks[:, :2] = _half(deviation / _uniform_deviation(15))
    elif form is Format.Q8_0:  # half scale, 32 signed bytes
        blocks[:, :2] = _half(deviation / _uniform_deviation(256))
    elif form is Format.Q4_K:  # half scale, half minimum, 12 bytes of six-bit scales and minima, 128 bytes of nibbles
        scale = deviation / _uniform_deviation(15) / 32
        blocks[:, :2] = _half(scale)
        blocks[:, 2:4] = _half(8 * scale)  # subtracted: the mean of the nibbles
        blocks[:, 4:12] = 0b1010_0000  # with the next line every scale and every minimum is 32
        blocks[:, 12:16] = 0
    elif form is Format.Q6_K:  # 192 bytes of six-bit numbers, 16 signed scales, half scale; weight = scales * (n - 32)
        blocks[:, 192:208] = 8
        blocks[:, 208:] = _half(deviation / _uniform_deviation(64) / 8)
    else:
        raise ValueError(f"no blocks of {form.name}")


def _uniform_deviation(values: int) -> float:
    """The standard deviation of whole numbers drawn evenly from so many in a row."""
    return float(((values**2 - 1) / 12) ** 0.5)


def _half(value: float) -> np.ndarray:
    return np.frombuffer(np.float16(value).tobytes(), np.uint8)


def main() -> int:
    names = sys.argv[1:] or [name for shape in SHAPES for quant in QUANTS for name in (shape, quant)]
    for shape, quant in zip(names[::2], names[1::2], strict=True):
        start = time.perf_counter()
        path = shape_file(shape, quant)
        print(f"{path}: {path.stat().st_size / 1e9:.2f} GB, {time.perf_counter() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
