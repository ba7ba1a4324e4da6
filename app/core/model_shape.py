"""The sizes of a model that decide what it takes, from its header alone.

The rules are those of llama.cpp 0c1e570: the layers' of src/llama-hparams.cpp, the sliding windows' of
src/models/*.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.architectures import WITHOUT_FLASH_ATTENTION
from app.core.gguf import GgufHeader, TensorInfo

FLOAT_BYTES = 4  # of one number in single precision
FINE_COMPRESSION = 4  # DeepSeek 4 compresses so many tokens to a vector, or many more; only the former have an index

_BLOCK = re.compile(r"blk\.(\d+)\.")
_EXPERT = re.compile(r"\.ffn_(up|down|gate|gate_up)_(ch)?exps\.")  # llama.cpp's LLM_FFN_EXPS_REGEX
_GATE = re.compile(r"\.ffn_gate(_up)?(_exps|_shexp)?\.weight$")

_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
# How many times its width a token has at once where RWKV mixes it with its state: measured, 1,024 to 3,584 wide.
_MIXING_WIDTHS = {"rwkv6": 14.25, "rwkv6qwen2": 13.6, "rwkv7": 19.3, "arwkv7": 19.3}
_ATTENTION_AND_STATE = frozenset({"falcon-h1"})  # every layer has both
# Every fourth layer attends and the others keep a state, unless the file says otherwise; of MiniMax 01 every eighth.
_ATTENTION_AT_INTERVALS = frozenset({"qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"})
# A layer without attention is a feed-forward layer where it has a width, else one that keeps a state.
_ONE_PART_LAYERS = frozenset({"nemotron_h", "nemotron_h_moe"})
_COMPRESSED = frozenset({"deepseek4"})
_INDEXED = _COMPRESSED | {"deepseek32", "dots3note", "glm-dsa", "glm5-next", "hy_v4", "minimax-m3", "qwen4exp"}
_LONG_GLM_TOKENS = 1 << 20  # from GLM 5.2 on, which has an index in every fourth layer only
# Without it their layers attend to all tokens instead of to those that they were trained to pick.
_ONLY_FLASH_ATTENTION = frozenset({"minimax-m3"})

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
class ModelShape:
    """The sizes of a model that decide what it takes; tuples have one entry per layer."""

    weights_bytes: int
    layers: int
    layer_bytes: tuple[int, ...]  # weights of each layer
    expert_bytes: tuple[int, ...]  # of these, what belongs to experts of which few are used for a token
    embedding_bytes: int  # the table of token embeddings
    output_bytes: int  # what comes after the last layer; a tied output is a second copy of the table on another device
    embedding: int
    vocabulary: int
    merges: int  # of the tokenizer
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
    windowed_latent_length: int
    index_lengths: tuple[int, ...]  # what layers cache besides, to pick the tokens that they attend to; 0: nothing
    compressed: tuple[int, ...]  # how many tokens one more cached vector stands for; 0: there are none
    layers_sharing_cache: int  # the last layers, which use the cache of earlier ones or are not used at all
    state_bytes: int  # of one recurrent layer
    feed_forward: int
    is_gated: bool  # the feed-forward part has a gate, as wide as itself
    experts: int  # of a layer; a token uses some of them
    experts_used: int
    expert_feed_forward: int
    state_inner: int  # width inside a state-space layer
    mixing_numbers: int  # what a token's pass through a layer that keeps a state has at once
    attention_and_state: bool
    flash_attention: bool  # whether llama.cpp has it for this architecture
    only_flash_attention: bool  # and computes it right in no other way

    @property
    def has_cache(self) -> bool:
        """Whether any layer attends to earlier tokens; if none does, the context's length takes no memory."""
        attends = (self.attention_and_state or not keeps_state for keeps_state in self.recurrent)
        return any(heads and does for heads, does in zip(self.kv_heads, attends, strict=True))

    @property
    def keeps_whole_windows(self) -> bool:
        """Whether layers with a window cache the whole context, to go back anywhere: for nothing where others cannot.

        Where vectors stand for several tokens, a checkpoint brings back both, the window included.
        """
        return not any(self.compressed)

    @property
    def head_lengths(self) -> frozenset[int]:
        """The lengths of the vectors that the KV cache holds, per head."""
        if not self.has_cache:
            return frozenset()
        lengths = {self.key_length, self.value_length}
        return frozenset(lengths | {self.windowed_key_length, self.windowed_value_length} if self.window else lengths)


def shape_of(header: GgufHeader, tensors: Sequence[TensorInfo]) -> ModelShape:
    """The shape that a header describes; `tensors` are those of all parts of a split model.

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
    recurrent = _recurrent(facts, kv_heads)
    compressed = _compressed(facts, layers)
    latent_length = key_length if any(compressed) else _latent_length(facts)
    weights = _Weights.of(tensors, layers)
    return ModelShape(
        weights_bytes=weights.total,
        layers=layers,
        layer_bytes=weights.layers,
        expert_bytes=weights.experts,
        embedding_bytes=weights.embedding,
        output_bytes=weights.output,
        embedding=embedding,
        vocabulary=_vocabulary(header, facts),
        merges=merges.count if (merges := header.array("tokenizer.ggml.merges")) is not None else 0,
        heads=heads,
        kv_heads=kv_heads,
        windowed=windowed,
        recurrent=recurrent,
        window=window,
        key_length=key_length,
        value_length=value_length,
        windowed_key_length=facts.integer("attention.key_length_swa", key_length),
        windowed_value_length=facts.integer("attention.value_length_swa", value_length),
        latent_length=latent_length,
        windowed_latent_length=facts.integer("attention.key_length_swa", latent_length),
        index_lengths=_index_lengths(facts, recurrent, compressed, value_length),
        compressed=compressed,
        layers_sharing_cache=max(facts.integer("attention.shared_kv_layers"), facts.integer("nextn_predict_layers")),
        state_bytes=_state_bytes(facts, embedding, max(heads), key_length),
        feed_forward=feed_forward,
        is_gated=weights.is_gated,
        experts=experts,
        experts_used=facts.integer("expert_used_count") if experts else 0,
        expert_feed_forward=max(facts.per_layer("expert_feed_forward_length", layers, feed_forward)),
        state_inner=facts.integer("ssm.inner_size"),
        mixing_numbers=_mixing_numbers(facts, embedding),
        attention_and_state=facts.architecture in _ATTENTION_AND_STATE,
        flash_attention=facts.architecture not in WITHOUT_FLASH_ATTENTION,
        only_flash_attention=facts.architecture in _ONLY_FLASH_ATTENTION,
    )


@dataclass(frozen=True, slots=True)
class _Weights:
    """Where the bytes of a model's tensors belong."""

    total: int
    layers: tuple[int, ...]
    experts: tuple[int, ...]
    embedding: int
    output: int
    is_gated: bool

    @classmethod
    def of(cls, tensors: Sequence[TensorInfo], layers: int) -> _Weights:
        in_layers, in_experts = [0] * layers, [0] * layers
        total = embedding = output = 0
        names = {tensor.name for tensor in tensors}
        for tensor in tensors:
            size = tensor.size_bytes
            total += size
            block = _BLOCK.match(tensor.name)
            if block is not None and int(block[1]) < layers:
                in_layers[int(block[1])] += size
                in_experts[int(block[1])] += size if _EXPERT.search(tensor.name) else 0
            elif tensor.name.startswith("token_embd.") or tensor.name.startswith("per_layer_token_embd."):
                embedding += size
            else:
                output += size
        if "output.weight" not in names:
            output += sum(tensor.size_bytes for tensor in tensors if tensor.name == "token_embd.weight")
        is_gated = not names or any(_GATE.search(name) for name in names) or _is_fused(tensors)
        return cls(total, tuple(in_layers), tuple(in_experts), embedding, output, is_gated)


def _is_fused(tensors: Sequence[TensorInfo]) -> bool:
    """Whether the gate is the other half of ffn_up, as in phi3."""
    sizes = {tensor.name: tensor.elements for tensor in tensors if tensor.name.startswith("blk.0.ffn_")}
    return 0 < sizes.get("blk.0.ffn_down.weight", 0) * 2 == sizes.get("blk.0.ffn_up.weight", 0)


class _Facts:
    """The keys of the header's own architecture, without their prefix."""

    def __init__(self, header: GgufHeader) -> None:
        self._header = header
        self.architecture = header.architecture

    def integer(self, name: str, default: int = 0) -> int:
        """A size; one below zero makes no sense and counts as absent."""
        value = self._header.integer(f"{self.architecture}.{name}")
        return default if value is None or value < 0 else value

    def numbers(self, name: str) -> Sequence[int] | None:
        """The values of an array of whole numbers or truth values; None when there is none."""
        array = self._header.array(f"{self.architecture}.{name}")
        if array is None or array.values is None:
            return None
        return [max(0, int(value)) for value in array.values if isinstance(value, int)]

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
    if facts.architecture in _COMPRESSED:
        return window, (True,) * layers
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
        listed = facts.numbers("attention.recurrent_layers")
        if listed is not None:
            return tuple(layer < len(listed) and bool(listed[layer]) for layer in range(layers))
        usual = 8 if facts.architecture == "minimax-01" else 4
        interval = max(facts.integer("full_attention_interval", usual), 1)
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


def _compressed(facts: _Facts, layers: int) -> tuple[int, ...]:
    """DeepSeek 4: how many tokens a compressed vector of each layer stands for."""
    if facts.architecture not in _COMPRESSED:
        return (0,) * layers
    return facts.per_layer("attention.compress_ratios", layers, 0)


def _index_lengths(
    facts: _Facts, recurrent: tuple[bool, ...], compressed: tuple[int, ...], value_length: int
) -> tuple[int, ...]:
    """How many numbers the index of each layer keeps of a token, or of what stands for several."""
    architecture, layers = facts.architecture, len(recurrent)
    length = facts.integer("attention.indexer.key_length")
    is_unused = architecture == "hy_v4" and not facts.integer("attention.indexer.top_k")
    if architecture not in _INDEXED or not length or is_unused:
        return (0,) * layers
    if architecture == "glm5-next":  # keys, gates, and keys of several tokens together
        length *= 3
    elif architecture == "minimax-m3":  # llama.cpp makes room for values, which it never has
        length += value_length
    types = facts.numbers("attention.indexer.types")
    if types is not None:
        has_index = [layer < len(types) and bool(types[layer]) for layer in range(layers)]
    elif architecture == "glm-dsa" and facts.integer("context_length") >= _LONG_GLM_TOKENS:
        has_index = [layer < 2 or layer % 4 == 2 for layer in range(layers)]
    elif architecture == "minimax-m3":
        has_index = [layer >= facts.integer("leading_dense_block_count") for layer in range(layers)]
    elif any(compressed):
        has_index = [ratio == FINE_COMPRESSION for ratio in compressed]
    else:
        has_index = [True] * layers
    return tuple(length if has and not keeps else 0 for has, keeps in zip(has_index, recurrent, strict=True))


def _mixing_numbers(facts: _Facts, embedding: int) -> int:
    if widths := _MIXING_WIDTHS.get(facts.architecture):
        return int(widths * embedding)
    return 6 * facts.integer("ssm.inner_size") + 2 * embedding


def _state_bytes(facts: _Facts, embedding: int, heads: int, key_length: int) -> int:
    """llama_hparams::n_embd_r + n_embd_s, in single precision."""
    if head := facts.integer("wkv.head_size"):
        return FLOAT_BYTES * embedding * (facts.integer("token_shift_count", 2) + head)
    if kept := facts.integer("shortconv.l_cache"):
        return FLOAT_BYTES * embedding * (kept - 1)
    if facts.architecture == "minimax-01":
        return FLOAT_BYTES * key_length * key_length * heads
    kernel = max(facts.integer("ssm.conv_kernel"), 1)
    if head := facts.integer("kda.head_dim"):
        return FLOAT_BYTES * (3 * (kernel - 1) * heads * head + head * head * heads)
    inner, state = facts.integer("ssm.inner_size"), facts.integer("ssm.state_size")
    convolution = (kernel - 1) * (inner + 2 * facts.integer("ssm.group_count") * state)
    return FLOAT_BYTES * (convolution + inner * state)
