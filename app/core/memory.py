"""How much memory a model and its context take: weights, KV cache, compute buffer and what surrounds them.

The cache's rules are those of llama.cpp 0c1e570 (src/llama-kv-cache*.cpp, src/llama-memory-recurrent.cpp). The compute
buffer is what ggml's graph allocator was seen to reserve for one batch: the largest of logits, feed-forward and
attention, since their buffers take turns.

Weights count once although llama.cpp copies many of them into the layout that the processor likes: the mapped
pages of the file that stay behind are clean, and the system drops them when it needs the room.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from app.core.model_shape import FINE_COMPRESSION, FLOAT_BYTES, ModelShape

CONTEXT_STEP_TOKENS = 256  # llama.cpp rounds every context up to this
CACHE_TYPES = ("f16", "q8_0", "q4_0")
HEADS_CONTEXT_TOKENS = 2048  # heads of a model that guess ahead: how much of a text they have, and read at once
HEADS_BATCH_TOKENS = 64
HEADS_STATES = 320  # states of the model that are kept for them, for the latest tokens of a conversation
_RESERVE_BYTES = 512 * 1024 * 1024  # for the window and everything else the person does
_SMALL_ATTENTION_LANES = 16  # HEARTH_LANES: numbers of a head that it takes together
_CACHE_BLOCK = 32  # numbers that a quantized cache stores together
_CACHE_BLOCK_BYTES = {"f16": 64, "q8_0": 34, "q4_0": 18}

# Measured beside the buffers that llama.cpp reports, on models with vocabularies of 32,000 to 262,144 tokens: 8 to 43
# MiB, in proportion to the vocabulary (texts, types, the maps from and to them) and to the merges.
_SURROUNDING_BYTES = 3 * 1024 * 1024
_TOKEN_BYTES = 160
_MERGE_BYTES = 150


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """How a context is to be made; the names in brackets are those of llama_context_params."""

    context_length: int  # of one conversation, tokens
    batch_tokens: int = 512  # n_ubatch
    output_tokens: int = 512  # n_outputs_max: for how many tokens of a batch logits are wanted
    flash_attention: bool = False
    whole_window_cache: bool = True  # swa_full: layers with a sliding window cache the whole context too
    sequences: int = 1  # n_seq_max: conversations, each with a cache of its own
    cache_type: str = "f16"  # type_k and type_v

    @property
    def cells(self) -> int:
        """Tokens that the cache of a conversation has room for."""
        return round_up(max(self.context_length, 1), CONTEXT_STEP_TOKENS)

    def with_length(self, context_length: int) -> ContextPlan:
        """The same plan for another length."""
        return replace(self, context_length=context_length)

    def to_json(self) -> dict[str, Any]:
        """The names and figures that a person or a record may want."""
        return {
            "context_length": self.context_length,
            "batch_tokens": self.batch_tokens,
            "flash_attention": self.flash_attention,
            "sequences": self.sequences,
            "cache_type": self.cache_type,
        }


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What a model and its context take, in bytes."""

    weights_bytes: int
    cache_bytes: int
    compute_bytes: int
    surrounding_bytes: int  # the vocabulary, the logits that are handed over, the records of tensors

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.cache_bytes + self.compute_bytes + self.surrounding_bytes


def memory_need(shape: ModelShape, context: ContextPlan) -> MemoryNeed:
    """The memory for a model with a context like that, all on one device."""
    return MemoryNeed(
        weights_bytes=shape.weights_bytes,
        cache_bytes=sum(layer_cache_bytes(shape, context)),
        compute_bytes=compute_bytes(shape, context),
        surrounding_bytes=surrounding_bytes(shape, context),
    )


def layer_cache_bytes(shape: ModelShape, context: ContextPlan) -> tuple[int, ...]:
    """What each layer keeps of all conversations: keys and values, or a state."""
    attending = set(zip(shape.kv_heads, shape.windowed, strict=True))
    # Without flash attention values are kept transposed, all layers as wide as the widest.
    widest_value = 0 if context.flash_attention else max(_value_width(shape, *each) for each in attending)
    with_own_cache = shape.layers - shape.layers_sharing_cache
    kinds = zip(shape.kv_heads, shape.windowed, shape.recurrent, shape.index_lengths, shape.compressed, strict=True)
    sizes: dict[_LayerKind, int] = {}  # layers are of few kinds, and this is asked often
    found = []
    for layer, fields in enumerate(kinds):
        kind = _LayerKind(layer < with_own_cache, *fields)
        if kind not in sizes:
            sizes[kind] = _layer_cache_bytes(shape, context, kind, widest_value)
        found.append(sizes[kind])
    return tuple(found)


def compute_bytes(shape: ModelShape, context: ContextPlan) -> int:
    """The buffer for the intermediate results of a batch, on a device that computes all kinds of layers."""
    batch = min(context.batch_tokens, context.cells)
    logits = min(context.output_tokens, batch) * shape.vocabulary + batch * 3 * shape.embedding
    inside = batch * _inside_numbers(shape)
    if not max(shape.heads):
        return max(logits, inside) * FLOAT_BYTES
    attention = _attention_numbers(shape, batch, context)
    return max(logits * FLOAT_BYTES, max(inside, attention) * FLOAT_BYTES + _mask_bytes(shape, context))


def input_bytes(shape: ModelShape, context: ContextPlan) -> int:
    """What the host keeps for a batch when all layers are on other devices: embeddings and masks."""
    batch = min(context.batch_tokens, context.cells)
    mask = _mask_bytes(shape, context) if max(shape.heads) else 0
    return batch * shape.embedding * FLOAT_BYTES + mask


def surrounding_bytes(shape: ModelShape, context: ContextPlan) -> int:
    """What llama.cpp takes beside its large buffers."""
    outputs = context.sequences * shape.vocabulary * FLOAT_BYTES
    return _SURROUNDING_BYTES + shape.vocabulary * _TOKEN_BYTES + shape.merges * _MERGE_BYTES + outputs


def heads_bytes(shape: ModelShape, context_length: int, sequences: int) -> int:
    """What the heads of a model that guess ahead take beside it: a context of one layer, and states to go on from."""
    length = min(context_length, HEADS_CONTEXT_TOKENS)
    context = ContextPlan(length, HEADS_BATCH_TOKENS, output_tokens=sequences, sequences=sequences)
    states = (HEADS_STATES * sequences + 2 * HEADS_BATCH_TOKENS) * shape.embedding * FLOAT_BYTES
    logits = sequences * shape.vocabulary * FLOAT_BYTES
    return max(layer_cache_bytes(shape, context)) + compute_bytes(shape, context) + states + logits


def without_reserve(free_bytes: int) -> int:
    """What a model may take of so much free memory. A device that is nearly full must still run the smallest one."""
    return int(free_bytes - min(_RESERVE_BYTES, free_bytes // 8))


def usable_cache_type(shape: ModelShape, cache_type: str) -> str:
    """The wished type where the model's heads can be stored so, else f16: llama.cpp refuses or aborts then."""
    fits = shape.has_cache and shape.flash_attention and not any(length % _CACHE_BLOCK for length in shape.head_lengths)
    return cache_type if fits else "f16"


def suits_small_attention(head_lengths: Iterable[int]) -> bool:
    """Whether packaging/engine/small_attention.h computes heads of these lengths; the rest it leaves to ggml."""
    return all(length % _SMALL_ATTENTION_LANES == 0 for length in head_lengths)


def prefers_flash_attention(shape: ModelShape, cache_type: str, on_processor: bool) -> bool:
    """Whether a processor computes this model by flash attention; `on_processor`: where it suits, it is faster there.

    llama.cpp has no other attention for quantized values, and some models need it.
    """
    suits = on_processor and suits_small_attention(shape.head_lengths)
    return shape.flash_attention and (cache_type != "f16" or suits or shape.only_flash_attention)


def round_up(value: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `value`."""
    return -(-value // step) * step


class _LayerKind(NamedTuple):
    """What the size of a layer's cache depends on."""

    has_own_cache: bool
    kv_heads: int
    is_windowed: bool
    is_recurrent: bool
    index_length: int
    compressed: int


def _layer_cache_bytes(shape: ModelShape, context: ContextPlan, kind: _LayerKind, widest_value: int) -> int:
    state = shape.state_bytes * context.sequences if kind.is_recurrent else 0
    attends = not kind.is_recurrent or shape.attention_and_state
    if not attends or not kind.kv_heads or not kind.has_own_cache:
        return state
    if shape.latent_length:
        width = shape.windowed_latent_length if kind.is_windowed else shape.latent_length
    else:
        keys = shape.windowed_key_length if kind.is_windowed else shape.key_length
        width = kind.kv_heads * keys + max(widest_value, _value_width(shape, kind.kv_heads, kind.is_windowed))
    numbers = (_windowed_cells(shape, context) if kind.is_windowed else context.cells) * width
    if kind.compressed:
        vectors = round_up(-(-context.cells // kind.compressed), CONTEXT_STEP_TOKENS)
        numbers += vectors * (shape.latent_length + kind.index_length)
        state += _unfinished_bytes(shape, kind) * context.sequences
    else:
        numbers += context.cells * kind.index_length
    stored_bytes = numbers * _CACHE_BLOCK_BYTES[context.cache_type] // _CACHE_BLOCK
    return state + stored_bytes * context.sequences


def _unfinished_bytes(shape: ModelShape, kind: _LayerKind) -> int:
    """What is kept of the tokens that no compressed vector stands for yet: two numbers for each of theirs."""
    overlap = 2 if kind.compressed == FINE_COMPRESSION else 1  # these vectors overlap by half
    numbers = overlap * kind.compressed * overlap * (shape.latent_length + kind.index_length)
    return 2 * FLOAT_BYTES * numbers


def _value_width(shape: ModelShape, kv_heads: int, is_windowed: bool) -> int:
    return kv_heads * (shape.windowed_value_length if is_windowed else shape.value_length)


def _windowed_cells(shape: ModelShape, context: ContextPlan) -> int:
    """How many tokens a layer with a sliding window caches of a conversation."""
    if context.whole_window_cache:
        return context.cells
    wanted = min(context.cells, shape.window + context.batch_tokens)
    return min(context.cells, round_up(wanted, CONTEXT_STEP_TOKENS))


def _mask_bytes(shape: ModelShape, context: ContextPlan) -> int:
    """Which cells a token sees, for each token of a batch; once more for windows."""
    batch = min(context.batch_tokens, context.cells)
    cells = context.cells + (_windowed_cells(shape, context) if any(shape.windowed) else 0)
    return batch * cells * (2 if context.flash_attention else 4)


def _inside_numbers(shape: ModelShape) -> int:
    """What one token's pass through a layer keeps at once, outside attention."""
    if shape.experts_used:
        gates = 3 * shape.experts_used * shape.expert_feed_forward + 4 * shape.embedding
        outputs = 2 * shape.experts_used * (shape.expert_feed_forward + shape.embedding)
        return max(gates, outputs)
    mixing = shape.mixing_numbers if any(shape.recurrent) else 0
    widths = 3 if shape.is_gated else 1
    return max(mixing, widths * shape.feed_forward + 4 * shape.embedding if shape.feed_forward else 0)


def _attention_numbers(shape: ModelShape, batch: int, context: ContextPlan) -> int:
    heads, kv_heads = max(shape.heads), max(shape.kv_heads)
    queries = heads * shape.key_length * 3
    cells = indexed = context.cells
    if any(shape.compressed):
        indexed = context.cells // FINE_COMPRESSION
        cells = _windowed_cells(shape, context) + indexed
    index = indexed if any(shape.index_lengths) else 0  # how well each cell suits
    if context.flash_attention:
        return batch * (queries + 4 * shape.embedding + index)
    # Without flash attention the scores of every head against every cell exist at once.
    around = kv_heads * (shape.key_length + shape.value_length) + 2 * shape.embedding
    return batch * cells * heads + batch * (queries + around + index)
