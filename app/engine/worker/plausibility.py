"""Refuses headers that llama.cpp would not survive.

llama.cpp answers most broken files with an error, but some values meet an assertion, an index out of range or an
endless loop, and the whole child would be gone. Each check here stands for one of those (src/llama-model.cpp
load_hparams, src/llama-vocab.cpp, ggml's operators, all of llama.cpp 0c1e570).
"""

from __future__ import annotations

import math

from app.core.architectures import SILENT_TOKENS, names
from app.core.gguf import GgufArray, GgufHeader, ValueType, corrupt
from app.core.tokenizers import BYTE_PAIR_TOKENIZERS

TOKENS_KEY = "tokenizer.ggml.tokens"

_MAX_LAYERS = 512  # LLAMA_MAX_LAYERS
_MAX_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
_MAX_GATING_FUNCTION = 4  # the last of llama_expert_gating_func_type
_MAX_WIDTH = 1 << 24  # of anything in a layer; ten times the largest model's
_MAX_CONTEXT = (1 << 31) - 1
_ROPE_SCALINGS = frozenset({"none", "linear", "yarn", "longrope"})
# Their graphs assert that the rotary embedding covers the whole head, and that keys are as long as values.
_WHOLE_HEAD_ROTATED = names(
    """
    apertus arcee arctic baichuan chameleon codeshell cogvlm cohere2moe dbrx deci deepseek dots1 ernie4_5
    ernie4_5-moe exaone exaone-moe exaone4 falcon granite granite_swa graniteswitch grok grovemoe hunyuan-moe
    hunyuan_vl hy_v3 internlm2 jais2 llama llama4 maincoder mellum mistral3 olmo olmo2 olmoe orion paddleocr
    pangu-embedded plamo qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe seed_oss smallthinker smollm3
    starcoder2 talkie xverse
    """
)
_NEVER_ROTATED = frozenset({"glm5-next"})  # 0 must be written
_WITHOUT_ROTATION = frozenset({"granitehybrid", "jamba", "nemotron_h", "nemotron_h_moe"}) | _NEVER_ROTATED  # it may be
_STATE_OF_TWICE_THE_WIDTH = frozenset({"granitehybrid", "jamba"})  # ssm.inner_size is asserted
_DELTA_NETS = frozenset({"qwen3next", "qwen35", "qwen35moe", "qwen4exp"})  # how their states divide is asserted
# Their graphs assert that it is written how experts are weighed; others have a way of their own where it is not.
_GATING_IS_WRITTEN = names(
    """
    bailingmoe2 bailingmoe3 deepseek32 dots1 dots3note exaone-moe hy_v4 kimi-k3 kimi-linear lfm2moe minimax-m2
    minimax-m3 smallthinker
    """
)
_ONE_EXPERT_IS_NONE = frozenset({"hunyuan-dense", "hunyuan_vl"})


def check_header(header: GgufHeader) -> None:
    """Look at everything that could kill the engine. Raises UserError(CORRUPT)."""
    checks = _Checks(header)
    checks.layers()
    checks.heads()
    checks.experts()
    checks.numbers()
    checks.vocabulary()
    checks.tensors()


class _Checks:
    def __init__(self, header: GgufHeader) -> None:
        self._header = header
        self._prefix = f"{header.architecture}."

    def layers(self) -> None:
        self._integer("context_length", 1, _MAX_CONTEXT, required=True)
        width = self._integer("embedding_length", 1, _MAX_WIDTH, required=True)
        count = self._integer("block_count", 1, _MAX_LAYERS, required=True)
        self._integer("nextn_predict_layers", 0, count)
        self._integer("attention.shared_kv_layers", 0, count)
        self._integer("attention.sliding_window", 0, _MAX_CONTEXT)
        for name in ("key_length", "value_length", "key_length_swa", "value_length_swa"):
            self._integer(f"attention.{name}", 0, _MAX_WIDTH)
        for name in ("conv_kernel", "inner_size", "state_size", "time_step_rank", "group_count"):
            self._integer(f"ssm.{name}", 0, _MAX_WIDTH)
        inner = self._integer("ssm.inner_size", 0, _MAX_WIDTH)
        if self._header.architecture in _STATE_OF_TWICE_THE_WIDTH and inner != 2 * width:
            raise corrupt(f"{self._prefix}ssm.inner_size is {inner} instead of {2 * width}")
        state_head = self._integer("wkv.head_size", 1, _MAX_WIDTH, default=1)
        if width % state_head:
            raise corrupt(f"{self._prefix}wkv.head_size is {state_head} in a width of {width}")
        self._per_layer("feed_forward_length", _MAX_WIDTH)
        self._stacks(count)
        self._delta_net(inner)

    def _stacks(self, layers: int) -> None:
        """Layers that are passed several times count as many."""
        if self._header.architecture != "hrm_text":
            return
        parts = ("layers_per_stack", "h_cycles", "l_cycles")
        stack, high, low = (self._integer(f"hrm.{part}", 1, layers, required=True) for part in parts)
        if stack * high * (low + 1) != layers:
            raise corrupt(f"{layers} layers are not {high} times {low + 1} stacks of {stack}")

    def _delta_net(self, inner: int) -> None:
        if self._header.architecture not in _DELTA_NETS:
            return
        state = self._integer("ssm.state_size", 1, _MAX_WIDTH, required=True)
        values = self._integer("ssm.time_step_rank", 1, _MAX_WIDTH, required=True)
        keys = self._integer("ssm.group_count", 1, _MAX_WIDTH, required=True)
        if state * values != inner or values % keys:
            raise corrupt(f"{self._prefix}ssm.inner_size is {inner} for {keys} keys and {values} values of {state}")

    def heads(self) -> None:
        heads = self._per_layer("attention.head_count", _MAX_WIDTH) or (0,)
        kv_heads = self._per_layer("attention.head_count_kv", _MAX_WIDTH) or heads
        count = max(len(heads), len(kv_heads))
        for of_layer, shared in zip(_stretched(heads, count), _stretched(kv_heads, count), strict=True):
            if shared and of_layer % shared:
                raise corrupt(f"{of_layer} attention heads cannot share {shared}")
        self._rotation(heads[0])

    def _rotation(self, heads: int) -> None:
        """How many numbers of a head the rotary embedding turns: an even count, and none too many."""
        architecture = self._header.architecture
        key = f"{self._prefix}rope.dimension_count"
        head = self._integer("embedding_length", 1, _MAX_WIDTH) // heads if heads else 0
        keys = self._integer("attention.key_length", 0, _MAX_WIDTH, default=head)
        values = self._integer("attention.value_length", 0, _MAX_WIDTH, default=head)
        rotated = self._integer("rope.dimension_count", 0, _MAX_WIDTH, default=keys)
        if not heads:
            return
        if rotated % 2 or rotated > keys or (rotated == 0 and architecture not in _WITHOUT_ROTATION):
            raise corrupt(f"{key} is {rotated} in heads of {keys}")
        if architecture in _NEVER_ROTATED and rotated:
            raise corrupt(f"{key} is {rotated}, not 0")
        if architecture in _WHOLE_HEAD_ROTATED and not rotated == keys == values:
            raise corrupt(f"{key} is {rotated} in heads of {keys} and {values}")

    def experts(self) -> None:
        experts = self._integer("expert_count", 0, _MAX_EXPERTS)
        if experts <= 1 and self._header.architecture in _ONE_EXPERT_IS_NONE:
            return
        used = max(self._per_layer("expert_used_count", _MAX_EXPERTS) or (0,))
        if used > experts or (experts and not used):
            raise corrupt(f"{used} of {experts} experts are to be used")
        is_written = experts > 0 and self._header.architecture in _GATING_IS_WRITTEN
        self._integer("expert_gating_func", int(is_written), _MAX_GATING_FUNCTION, required=is_written)
        groups = self._integer("expert_group_count", 0, _MAX_EXPERTS)
        used_groups = self._integer("expert_group_used_count", 0, _MAX_EXPERTS)
        if groups and not experts:
            raise corrupt(f"{groups} groups of no experts")
        if experts and groups >= experts:
            raise corrupt(f"{groups} groups of {experts} experts")
        if groups > 1 and (experts % groups or not 0 < used_groups < groups):
            raise corrupt(f"{used_groups} of {groups} groups of {experts} experts are to be used")

    def numbers(self) -> None:
        for key, value in self._header.metadata.items():
            if not isinstance(value, float) or not key.startswith(self._prefix):
                continue
            negative = value < 0 and (key.endswith("epsilon") or "rope.freq_base" in key)
            if not math.isfinite(value) or negative:
                raise corrupt(f"{key} is {value}")
        scaling = self._header.metadata.get(f"{self._prefix}rope.scaling.type", "linear")
        if scaling not in _ROPE_SCALINGS:
            raise corrupt(f"rope.scaling.type is {scaling!r}")

    def vocabulary(self) -> None:
        model = self._header.text("tokenizer.ggml.model")
        tokens = self._header.array(TOKENS_KEY)
        if model is None or tokens is None or tokens.element_type is not ValueType.STRING or not tokens.count:
            raise corrupt("there is no vocabulary")
        for key in ("tokenizer.ggml.scores", "tokenizer.ggml.token_type"):
            array = self._header.metadata.get(key)
            if array is not None and (not isinstance(array, GgufArray) or array.count < tokens.count):
                raise corrupt(f"{key} does not cover the vocabulary")
        if model in BYTE_PAIR_TOKENIZERS and self._header.text("tokenizer.ggml.pre") != "kimi-k2":
            merges = self._header.array("tokenizer.ggml.merges")
            if merges is None or merges.element_type is not ValueType.STRING:
                raise corrupt("there are no merges in the vocabulary")
        silent = SILENT_TOKENS.get(self._header.architecture)
        if silent is not None and tokens.count < silent.stop:
            raise corrupt(f"there are {tokens.count} tokens in the vocabulary instead of {silent.stop} or more")
        _check_tokens(tokens.values or ())

    def tensors(self) -> None:
        embedding = self._header.integer(f"{self._prefix}embedding_length")
        table = next((each for each in self._header.tensors if each.name == "token_embd.weight"), None)
        if table is None:
            raise corrupt("there is no token_embd.weight")
        if table.dimensions[:1] != (embedding,):
            raise corrupt(f"token_embd.weight is of the shape {list(table.dimensions)}, not {embedding} wide")

    def _integer(self, name: str, low: int, high: int, *, required: bool = False, default: int = 0) -> int:
        """The whole number under a key of the architecture; the default when it is absent and may be."""
        key = self._prefix + name
        value = self._header.metadata.get(key)
        if value is None and not required:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise corrupt(f"{key} is {value if isinstance(value, (int, float, str)) else 'missing'}")
        return value

    def _per_layer(self, name: str, high: int) -> tuple[int, ...]:
        """The numbers under a key that may hold one for all layers or one for each; empty when absent."""
        key = self._prefix + name
        value = self._header.metadata.get(key)
        if not isinstance(value, GgufArray):
            return () if value is None else (self._integer(name, 0, high),)
        numbers = tuple(each for each in value.values or () if isinstance(each, int))
        if len(numbers) != value.count or not numbers or not all(0 <= each <= high for each in numbers):
            raise corrupt(f"{key} holds impossible numbers")
        if value.count < self._integer("block_count", 1, _MAX_LAYERS):
            raise corrupt(f"{key} does not cover all layers")
        return numbers


def _check_tokens(tokens: tuple[int | float | bool | bytes, ...]) -> None:
    """Every text must be UTF-8 and appear once; empty ones are renamed by llama.cpp."""
    texts = [each for each in tokens if isinstance(each, bytes)]
    # One pass over all of them: a line feed cannot complete a character that was cut off.
    joined = b"\n".join(texts)
    try:
        joined.decode()
    except UnicodeDecodeError:
        raise corrupt("the vocabulary is not UTF-8") from None
    if b"\0" in joined:  # llama.cpp reads up to there
        texts = [each.partition(b"\0")[0] for each in texts]
    filled = [each for each in texts if each]
    if len(set(filled)) != len(filled):
        raise corrupt("the vocabulary has repeated entries")


def _stretched(values: tuple[int, ...], count: int) -> tuple[int, ...]:
    return values if len(values) == count else values[:1] * count
