"""The shape of a model of which not everything is known: from the first bytes of its header, or from a row of a list.

What the header's keys say is exact (caches, compute buffers). What its tensors would say is estimated: the weights
from the size of the files, their places from the widths of the layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from app.core.gguf import GgufHeader, corrupt
from app.core.model_shape import ModelShape, shape_of
from app.core.quantizations import quantization_of_type
from app.core.tokenizers import BYTE_PAIR_TOKENIZERS

MAX_LAYERS = 512  # LLAMA_MAX_LAYERS

_HEAD_CHOICES = 8  # more or fewer heads than usual ones would be

# Architectures whose feed-forward part has no gate; with a whole header the tensors' names tell.
_UNGATED = frozenset(
    {"apertus", "arcee", "bloom", "codeshell", "falcon", "gpt2", "gptneox", "jais2", "mamba", "mamba2", "mpt"}
    | {"nemotron", "nemotron_h", "nemotron_h_moe", "phi2", "plm", "rwkv6", "rwkv7", "starcoder", "starcoder2"}
)
# Vocabularies of the tiktoken kind were given about two merges a token when they were converted; others have one.
_TWO_MERGES_A_TOKEN = frozenset(
    {"chatglm-bpe", "glm4", "gpt-4o", "llama-bpe", "llama3", "llama4", "smaug-bpe", "tekken"}
)
_MERGES_A_TOKEN = 2.15
# What a header holds, bytes: seen in headers of 0.7 to 16 MB.
_TOKEN_BYTES, _MERGE_BYTES, _KEYS_BYTES, _TENSOR_BYTES, _LAYER_TENSORS = 15, 18, 16_384, 60, 12
_NUMBER_BYTES = 4  # of a token's type, and of its score
_USUAL_BITS = 4.9  # of a weight, where nothing tells

# For rows of lists, which know of a model little more than its size: what models of today have in common.
_USUAL_VOCABULARY = 128_000
_USUAL_HEAD, _HEAD_STEP = 128, 16  # numbers in a head, and what divides them in nearly all models
_PARAMETERS_OF_8B, _CACHE_OF_8B, _CACHE_EXPONENT = 8e9, 131_072, 0.45  # bytes a token, 16 bits a value
_SHARE_OF_TABLES = 0.05  # of the weights that are embeddings, and as many for the output


def described_shape(header: GgufHeader, size_bytes: int) -> ModelShape:
    """The shape of a model whose header is known, whole or in part; `size_bytes` are those of all its files.

    Raises:
        UserError: CORRUPT when the header does not say how many layers there are.
    """
    layers = header.integer(f"{header.architecture}.block_count") or 0
    if not 1 <= layers <= MAX_LAYERS:
        raise corrupt(f"{header.architecture}.block_count is {layers}")
    if header.is_complete and (header.integer("split.count") or 0) <= 1:
        return shape_of(header, header.tensors)
    known = shape_of(header, ())
    known = replace(
        known,
        is_gated=header.architecture not in _UNGATED,
        vocabulary=known.vocabulary or (0 if header.is_complete else _USUAL_VOCABULARY),
    )
    if not header.is_complete:
        known = replace(known, merges=_merges(header, known.vocabulary))
    header_bytes = header.data_offset if header.is_complete else _header_bytes(header, known)
    kind = quantization_of_type(header.integer("general.file_type"))
    bits = kind.bits_per_weight if kind is not None else _USUAL_BITS
    return _with_weights(known, max(0, size_bytes - header_bytes), bits, _shared_experts(header))


@dataclass(frozen=True, slots=True)
class ListedFigures:
    """What a row of a catalogue or a list of the hub knows of a model; None where it does not."""

    size_bytes: int  # of the files
    parameters: int | None = None
    active_parameters: int | None = None  # that a token uses; fewer than all in a mixture of experts
    layers: int | None = None
    cache_bytes_per_token: int | None = None  # at 16 bits a value


def listed_shape(figures: ListedFigures) -> ModelShape:
    """A shape with these figures and usual proportions: for estimates, until a header is read."""
    parameters = figures.parameters or max(1, int(figures.size_bytes * 8 / _USUAL_BITS))
    layers = min(max(figures.layers or round(4 * (parameters / 1e8) ** 0.46), 1), MAX_LAYERS)
    usual_cache = int(_CACHE_OF_8B * (parameters / _PARAMETERS_OF_8B) ** _CACHE_EXPONENT)
    of_layer = max((figures.cache_bytes_per_token or usual_cache) // (2 * 2 * layers), 1)
    # A mixture's layers are as wide as those of a model of its active parameters, or somewhat more.
    active = min(figures.active_parameters or parameters, parameters)
    width = round(math.sqrt(math.sqrt(active * parameters) / (12 * layers)) / _USUAL_HEAD) * _USUAL_HEAD
    width = max(width, _USUAL_HEAD)
    heads, (kv_heads, length) = width // _USUAL_HEAD, _cached_heads(of_layer)
    table = int(figures.size_bytes * _SHARE_OF_TABLES)
    layer = (figures.size_bytes - 2 * table) // layers
    experts, used = (64, max(1, round(64 * active / parameters))) if active < parameters else (0, 0)
    return ModelShape(
        weights_bytes=figures.size_bytes,
        layers=layers,
        layer_bytes=(layer,) * layers,
        expert_bytes=(int(layer * 0.95) if experts else 0,) * layers,
        embedding_bytes=table,
        output_bytes=table,
        embedding=width,
        vocabulary=_USUAL_VOCABULARY,
        merges=_USUAL_VOCABULARY,
        heads=(heads,) * layers,
        kv_heads=(kv_heads,) * layers,
        windowed=(False,) * layers,
        recurrent=(False,) * layers,
        window=0,
        key_length=length,
        value_length=length,
        windowed_key_length=length,
        windowed_value_length=length,
        latent_length=0,
        windowed_latent_length=0,
        index_lengths=(0,) * layers,
        compressed=(0,) * layers,
        layers_sharing_cache=0,
        state_bytes=0,
        feed_forward=0 if experts else 7 * width // 2,
        is_gated=True,
        experts=experts,
        experts_used=used,
        expert_feed_forward=width // 2,
        state_inner=0,
        mixing_numbers=0,
        attention_and_state=False,
        flash_attention=True,
        only_flash_attention=False,
    )


def _cached_heads(numbers: int) -> tuple[int, int]:
    """How many heads have so many numbers together, nearly, and how long they are.

    Their length is one that heads have: by it engines choose how they compute attention.
    """
    usual = max(1, round(numbers / _USUAL_HEAD))
    found = []
    for count in range(max(1, usual - usual // 3, usual - _HEAD_CHOICES), usual + min(usual // 3, _HEAD_CHOICES) + 1):
        length = max(_HEAD_STEP, round(numbers / count / _HEAD_STEP) * _HEAD_STEP)
        found.append((abs(count * length - numbers), abs(length - _USUAL_HEAD), count, length))
    return min(found)[2:]


def _merges(header: GgufHeader, vocabulary: int) -> int:
    found = header.array("tokenizer.ggml.merges")
    if found is not None:
        return found.count
    if header.text("tokenizer.ggml.model") not in BYTE_PAIR_TOKENIZERS:
        return 0
    doubled = header.text("tokenizer.ggml.pre") in _TWO_MERGES_A_TOKEN
    return int(vocabulary * (_MERGES_A_TOKEN if doubled else 1))


def _header_bytes(header: GgufHeader, shape: ModelShape) -> int:
    """How long the whole header probably is: up to 4 % of a small model's file."""
    numbers = _NUMBER_BYTES * (2 if header.text("tokenizer.ggml.model") == "llama" else 1)
    words = shape.vocabulary * (_TOKEN_BYTES + numbers) + shape.merges * _MERGE_BYTES
    return words + _KEYS_BYTES + shape.layers * _LAYER_TENSORS * _TENSOR_BYTES


def _shared_experts(header: GgufHeader) -> int:
    return header.integer(f"{header.architecture}.expert_shared_count") or 0


def _with_weights(shape: ModelShape, weights_bytes: int, bits: float, shared_experts: int) -> ModelShape:
    """The shape with its weights where the widths of its layers say that they are."""
    table = int(min(shape.embedding * shape.vocabulary * bits / 8, weights_bytes // 3))
    expected_layers = sum(_layer_parameters(shape, layer, shared_experts) for layer in range(shape.layers)) * bits / 8
    # Whether embedding and output are one table: what comes nearer to the size of the file.
    is_tied = abs(weights_bytes - expected_layers - table) < abs(weights_bytes - expected_layers - 2 * table)
    in_layers = weights_bytes - (table if is_tied else 2 * table)
    layer_bytes = in_layers // shape.layers
    expert_bytes = []
    for layer in range(shape.layers):
        of_experts, of_layer = _expert_parameters(shape), _layer_parameters(shape, layer, shared_experts)
        expert_bytes.append(layer_bytes * of_experts // of_layer if of_layer else 0)
    return replace(
        shape,
        weights_bytes=weights_bytes,
        layer_bytes=(layer_bytes,) * shape.layers,
        expert_bytes=tuple(expert_bytes),
        embedding_bytes=table,
        output_bytes=table,
    )


def _layer_parameters(shape: ModelShape, layer: int, shared_experts: int) -> int:
    """Weights of a layer, roughly: attention or state, and the feed-forward part."""
    width, heads, kv_heads = shape.embedding, shape.heads[layer], shape.kv_heads[layer]
    if shape.recurrent[layer] and not shape.attention_and_state:
        mixing = 3 * width * max(shape.state_inner, width)
    else:
        keys = width * (heads + kv_heads) * shape.key_length
        mixing = keys + width * (heads + kv_heads) * shape.value_length
    matrices = 3 if shape.is_gated else 2
    if shape.experts:
        shared = matrices * width * shape.expert_feed_forward * shared_experts
        return mixing + shared + _expert_parameters(shape)
    return mixing + matrices * width * shape.feed_forward


def _expert_parameters(shape: ModelShape) -> int:
    return 3 * shape.embedding * shape.expert_feed_forward * shape.experts
