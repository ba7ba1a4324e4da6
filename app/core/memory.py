"""How much memory a model needs, from its header alone: weights, KV cache and compute buffer.

The rules are those of llama.cpp 0c1e570: the cache's of src/llama-kv-cache*.cpp and src/llama-hparams.cpp, the
sliding windows' of src/models/*.cpp. The compute buffer is what ggml's graph allocator was seen to reserve for
one batch: the largest of logits, feed-forward and attention, since their buffers take turns.

Weights count once although llama.cpp copies many of them into the layout that the processor likes: the mapped
pages of the file that stay behind are clean, and the system drops them when it needs the room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.core.gguf import GgufHeader

CONTEXT_STEP_TOKENS = 256  # llama.cpp rounds every context up to this
_FLOAT_BYTES = 4
_CACHE_BYTES = 2  # the KV cache is kept in half precision

_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
_ATTENTION_AND_STATE = frozenset({"falcon-h1"})  # every layer has both
# Every fourth layer attends and the others keep a state, unless full_attention_interval says otherwise.
_ATTENTION_AT_INTERVALS = frozenset({"qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"})
# A layer without attention is a feed-forward layer where it has a width, else one that keeps a state.
_ONE_PART_LAYERS = frozenset({"nemotron_h", "nemotron_h_moe"})

# How many layers make a period of which one sees everything, and whether that one comes first: what
# src/models/*.cpp pass to load_swa_pattern when the file has no attention.sliding_window_pattern.
_WINDOW_PERIODS: Mapping[str, tuple[int, bool]] = {
    "afmoe": (4, False),
    "cohere2": (4, False),
    "cohere2moe": (4, True),
    "exaone-moe": (4, False),
    "exaone4": (4, False),
    "gemma2": (2, False),
    "gemma3": (6, False),
    "gemma3n": (5, False),
    "gpt-oss": (2, False),
    "laguna": (4, True),
    "llama4": (4, False),
    "mellum": (4, False),
    "muse-glimmer": (4, False),
    "olmo2": (4, False),
    "plamo3": (8, False),
    "smallthinker": (4, True),
}
_WINDOW_BY_DEFAULT: Mapping[str, int] = {"gemma2": 4096}
# These carry the key and attend to everything all the same.
_WINDOW_UNUSED = frozenset({"llama", "mistral3", "phi3", "phimoe", "qwen2", "starcoder2"}) | _RECURRENT


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """How a context is to be made; the names are those of llama_context_params."""

    context_length: int
    batch_tokens: int = 512  # n_ubatch
    output_tokens: int = 512  # n_outputs_max: for how many tokens of a batch logits are wanted
    flash_attention: bool = False
    whole_window_cache: bool = True  # swa_full: layers with a sliding window cache the whole context too

    def with_length(self, context_length: int) -> ContextPlan:
        """The same plan for another length."""
        return replace(self, context_length=context_length)


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What a model and its context take, in bytes."""

    weights_bytes: int
    cache_bytes: int
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.cache_bytes + self.compute_bytes


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes of a model that decide what it takes; tuples have one entry per layer."""

    weights_bytes: int
    layers: int
    embedding: int
    vocabulary: int
    heads: tuple[int, ...]
    kv_heads: tuple[int, ...]
    windowed: tuple[bool, ...]
    recurrent: tuple[bool, ...]
    window: int  # tokens that a windowed layer sees
    key_length: int
    value_length: int
    windowed_key_length: int
    windowed_value_length: int
    latent_length: int  # of multi-head latent attention, which caches one vector in place of keys and values; else 0
    layers_sharing_cache: int  # the last layers that use the cache of earlier ones
    state_bytes: int  # of one recurrent layer
    feed_forward: int
    experts_used: int
    expert_feed_forward: int
    state_inner: int  # width inside a state-space layer
    attention_and_state: bool

    def need(self, plan: ContextPlan) -> MemoryNeed:
        """The memory for this model with a context like that."""
        cells = round_up(max(plan.context_length, 1), CONTEXT_STEP_TOKENS)
        return MemoryNeed(self.weights_bytes, self._cache_bytes(cells, plan), self._compute_bytes(cells, plan))

    def _cache_bytes(self, cells: int, plan: ContextPlan) -> int:
        windowed_cells = self._windowed_cells(cells, plan)
        # Without flash attention values are kept transposed, all layers as wide as the widest.
        widest_value = 0 if plan.flash_attention else max(self._value_width(n) for n in range(self.layers))
        total = 0
        for layer in range(self.layers):
            if self.recurrent[layer]:
                total += self.state_bytes
                if not self.attention_and_state:
                    continue
            if not self.kv_heads[layer] or layer >= self.layers - self.layers_sharing_cache:
                continue
            if self.latent_length:
                total += cells * self.latent_length * _CACHE_BYTES
                continue
            keys = self.windowed_key_length if self.windowed[layer] else self.key_length
            width = self.kv_heads[layer] * keys + max(widest_value, self._value_width(layer))
            total += (windowed_cells if self.windowed[layer] else cells) * width * _CACHE_BYTES
        return total

    def _value_width(self, layer: int) -> int:
        values = self.windowed_value_length if self.windowed[layer] else self.value_length
        return self.kv_heads[layer] * values

    def _windowed_cells(self, cells: int, plan: ContextPlan) -> int:
        """How many tokens a layer with a sliding window caches."""
        if plan.whole_window_cache:
            return cells
        wanted = min(cells, self.window + plan.batch_tokens)
        return min(cells, round_up(wanted, CONTEXT_STEP_TOKENS))

    def _compute_bytes(self, cells: int, plan: ContextPlan) -> int:
        batch = min(plan.batch_tokens, cells)
        logits = min(plan.output_tokens, batch) * self.vocabulary + batch * 3 * self.embedding
        inside = batch * self._inside_numbers()
        if not max(self.heads):
            return max(logits, inside) * _FLOAT_BYTES
        masked_cells = cells + (self._windowed_cells(cells, plan) if any(self.windowed) else 0)
        mask_bytes = batch * masked_cells * (2 if plan.flash_attention else 4)
        attention = self._attention_numbers(batch, cells, plan.flash_attention)
        return max(logits * _FLOAT_BYTES, max(inside, attention) * _FLOAT_BYTES + mask_bytes)

    def _inside_numbers(self) -> int:
        """What one token's pass through a layer keeps at once, outside attention."""
        if self.experts_used:
            gates = 3 * self.experts_used * self.expert_feed_forward + 4 * self.embedding
            outputs = 2 * self.experts_used * (self.expert_feed_forward + self.embedding)
            return max(gates, outputs)
        if self.state_inner and not self.feed_forward:
            return 6 * self.state_inner + 2 * self.embedding
        return 3 * self.feed_forward + 4 * self.embedding

    def _attention_numbers(self, batch: int, cells: int, flash_attention: bool) -> int:
        heads, kv_heads = max(self.heads), max(self.kv_heads)
        queries = heads * self.key_length * 3
        if flash_attention:
            return batch * (queries + 4 * self.embedding)
        # without flash attention the scores of every head against every cell exist at once
        around = kv_heads * (self.key_length + self.value_length) + 3 * self.embedding
        if kv_heads < heads:
            around -= 2 * self.embedding
        return batch * cells * heads + batch * (queries + around)


def shape_of(header: GgufHeader, weights_bytes: int) -> ModelShape:
    """The shape that a header describes; `weights_bytes` covers all parts of a split model.

    The header must name at least one layer (`app.engine.worker.inspection` sees to it).
    """
    facts = _Facts(header)
    layers = facts.integer("block_count")
    heads = facts.per_layer("attention.head_count", layers, 0)
    kv_heads = facts.per_layer("attention.head_count_kv", layers, max(heads))
    embedding = facts.integer("embedding_length")
    key_length = facts.integer("attention.key_length", embedding // max(1, *heads))
    value_length = facts.integer("attention.value_length", embedding // max(1, *heads))
    feed_forward = max(facts.per_layer("feed_forward_length", layers, 4 * embedding))
    experts = facts.integer("expert_count")
    window, windowed = _windows(facts, layers)
    return ModelShape(
        weights_bytes=weights_bytes,
        layers=layers,
        embedding=embedding,
        vocabulary=_vocabulary(header, facts),
        heads=heads,
        kv_heads=kv_heads,
        windowed=windowed,
        recurrent=_recurrent(facts, kv_heads),
        window=window,
        key_length=key_length,
        value_length=value_length,
        windowed_key_length=facts.integer("attention.key_length_swa", key_length),
        windowed_value_length=facts.integer("attention.value_length_swa", value_length),
        latent_length=_latent_length(facts),
        layers_sharing_cache=facts.integer("attention.shared_kv_layers"),
        state_bytes=_state_bytes(facts, embedding, max(heads)),
        feed_forward=feed_forward,
        experts_used=facts.integer("expert_used_count") if experts else 0,
        expert_feed_forward=max(facts.per_layer("expert_feed_forward_length", layers, feed_forward)),
        state_inner=facts.integer("ssm.inner_size"),
        attention_and_state=facts.architecture in _ATTENTION_AND_STATE,
    )


def longest_context(shape: ModelShape, plan: ContextPlan, budget_bytes: int) -> int:
    """The longest context up to the plan's that fits into the budget, a multiple of 256 tokens; 0 if none does."""
    low, high = 0, round_up(plan.context_length, CONTEXT_STEP_TOKENS) // CONTEXT_STEP_TOKENS
    while low < high:
        middle = (low + high + 1) // 2
        if shape.need(plan.with_length(middle * CONTEXT_STEP_TOKENS)).total_bytes <= budget_bytes:
            low = middle
        else:
            high = middle - 1
    return low * CONTEXT_STEP_TOKENS


def round_up(value: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `value`."""
    return -(-value // step) * step


class _Facts:
    """The keys of the header's own architecture, without their prefix."""

    def __init__(self, header: GgufHeader) -> None:
        self._header = header
        self.architecture = header.architecture

    def integer(self, name: str, default: int = 0) -> int:
        value = self._header.integer(f"{self.architecture}.{name}")
        return default if value is None else value

    def numbers(self, name: str) -> Sequence[int] | None:
        """The values of an array of whole numbers or truth values; None when there is none."""
        array = self._header.array(f"{self.architecture}.{name}")
        if array is None or array.values is None:
            return None
        return [int(value) for value in array.values if isinstance(value, int)]

    def per_layer(self, name: str, layers: int, default: int) -> tuple[int, ...]:
        """One number for each layer; a single number stands for all, a short array goes on with its last."""
        values = self.numbers(name) or (self.integer(name, default),)
        return (*values[:layers], *(values[-1] for _ in range(layers - len(values))))


def _vocabulary(header: GgufHeader, facts: _Facts) -> int:
    tokens = header.array("tokenizer.ggml.tokens")
    return tokens.count if tokens is not None else facts.integer("vocab_size")


def _windows(facts: _Facts, layers: int) -> tuple[int, tuple[bool, ...]]:
    """The window in tokens, and which layers have it."""
    window = facts.integer("attention.sliding_window", _WINDOW_BY_DEFAULT.get(facts.architecture, 0))
    pattern = facts.numbers("attention.sliding_window_pattern")
    if not window or facts.architecture in _WINDOW_UNUSED:
        return 0, (False,) * layers
    if pattern:
        return window, tuple(layer < len(pattern) and bool(pattern[layer]) for layer in range(layers))
    period, whole_first = _WINDOW_PERIODS.get(facts.architecture, (0, False))
    period = facts.integer("attention.sliding_window_pattern", period)
    if period <= 0:
        return window, (False,) * layers
    whole_at = 0 if whole_first else period - 1
    return window, tuple(layer % period != whole_at for layer in range(layers))


def _recurrent(facts: _Facts, kv_heads: tuple[int, ...]) -> tuple[bool, ...]:
    """Which layers keep a state of fixed size."""
    layers = len(kv_heads)
    if facts.architecture in _RECURRENT | _ATTENTION_AND_STATE:
        return (True,) * layers
    if facts.architecture in _ATTENTION_AT_INTERVALS:
        interval = max(facts.integer("full_attention_interval", 4), 1)
        return tuple((layer + 1) % interval != 0 for layer in range(layers))
    if facts.architecture in _ONE_PART_LAYERS:
        widths = facts.per_layer("feed_forward_length", layers, 0)
        return tuple(count == 0 and width == 0 for count, width in zip(kv_heads, widths, strict=True))
    if any(facts.integer(key) for key in ("ssm.inner_size", "shortconv.l_cache", "kda.head_dim")):
        return tuple(count == 0 for count in kv_heads)
    return (False,) * layers


def _latent_length(facts: _Facts) -> int:
    rank = facts.integer("attention.kv_lora_rank")
    if not rank or not facts.integer("attention.key_length_mla"):
        return 0
    return rank + facts.integer("rope.dimension_count", 64)


def _state_bytes(facts: _Facts, embedding: int, heads: int) -> int:
    """llama_hparams::n_embd_r + n_embd_s, in single precision."""
    if head := facts.integer("wkv.head_size"):
        return _FLOAT_BYTES * embedding * (facts.integer("token_shift_count", 2) + head)
    if kept := facts.integer("shortconv.l_cache"):
        return _FLOAT_BYTES * embedding * (kept - 1)
    kernel = max(facts.integer("ssm.conv_kernel"), 1)
    if head := facts.integer("kda.head_dim"):
        return _FLOAT_BYTES * (3 * (kernel - 1) * heads * head + head * head * heads)
    inner, state = facts.integer("ssm.inner_size"), facts.integer("ssm.state_size")
    convolution = (kernel - 1) * (inner + 2 * facts.integer("ssm.group_count") * state)
    return _FLOAT_BYTES * (convolution + inner * state)
