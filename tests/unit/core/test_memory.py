from dataclasses import replace

import pytest

from app.core.gguf_reader import read_header
from app.core.memory import CACHE_TYPES, ContextPlan, layer_cache_bytes, memory_need, round_up, usable_cache_type
from app.core.model_shape import ModelShape, shape_of
from tests.fixtures.gguf_bytes import F32, I32, Array, Tensor, gguf, llama_keys, tiny_llama

MIB = 1024 * 1024


def shape(architecture: str, *, weights_bytes: int = 0, **keys: object) -> ModelShape:
    named = {f"{architecture}.{name.replace('__', '.')}": value for name, value in keys.items()}
    described = shape_of(read_header(gguf({"general.architecture": architecture, **named})), ())
    return replace(described, weights_bytes=weights_bytes)


LLAMA_3_8B = {
    "block_count": 32,
    "embedding_length": 4096,
    "feed_forward_length": 14336,
    "vocab_size": 128256,
    "attention__head_count": 32,
    "attention__head_count_kv": 8,
}
GEMMA_2_9B = {
    "block_count": 42,
    "embedding_length": 3584,
    "feed_forward_length": 14336,
    "vocab_size": 256000,
    "attention__head_count": 16,
    "attention__head_count_kv": 8,
    "attention__key_length": 256,
    "attention__value_length": 256,
    "attention__sliding_window": 4096,
}
MAMBA_3B = {
    "block_count": 64,
    "embedding_length": 2560,
    "feed_forward_length": 0,
    "vocab_size": 50280,
    "attention__head_count": 0,
    "ssm__conv_kernel": 4,
    "ssm__inner_size": 5120,
    "ssm__state_size": 16,
}
DEEPSEEK_2_LITE = {
    "block_count": 27,
    "embedding_length": 2048,
    "feed_forward_length": 10944,
    "vocab_size": 102400,
    "attention__head_count": 16,
    "attention__head_count_kv": 1,
    "attention__kv_lora_rank": 512,
    "attention__key_length": 576,
    "attention__value_length": 512,
    "attention__key_length_mla": 192,
    "rope__dimension_count": 64,
    "expert_count": 64,
    "expert_used_count": 6,
    "expert_feed_forward_length": 1408,
}
RWKV_3B = {
    "block_count": 32,
    "embedding_length": 2560,
    "feed_forward_length": 8960,
    "vocab_size": 65536,
    "attention__head_count": 0,
    "wkv__head_size": 64,
}
QRWKV_7B = {
    "block_count": 28,
    "embedding_length": 3584,
    "feed_forward_length": 18944,
    "vocab_size": 152064,
    "attention__head_count": 0,
    "attention__head_count_kv": 4,
    "wkv__head_size": 128,
    "token_shift_count": 1,
}
QWEN_3_NEXT = {
    "block_count": 8,
    "embedding_length": 2048,
    "feed_forward_length": 5120,
    "vocab_size": 151936,
    "attention__head_count": 16,
    "attention__head_count_kv": 2,
    "attention__key_length": 256,
    "attention__value_length": 256,
    "ssm__conv_kernel": 4,
    "ssm__inner_size": 4096,
    "ssm__state_size": 128,
    "ssm__group_count": 16,
    "expert_count": 512,
    "expert_used_count": 10,
    "expert_feed_forward_length": 512,
}


# What llama.cpp 0c1e570 itself planned for these shapes (its log lines "size" of the caches and "compute buffer
# size", model loaded with no_alloc), in MiB.
@pytest.mark.parametrize(
    ("architecture", "keys", "plan", "cache_mib", "compute_mib"),
    [
        ("llama", LLAMA_3_8B, ContextPlan(8192, output_tokens=1), 1024.0, 572.0),
        ("llama", LLAMA_3_8B, ContextPlan(32768, output_tokens=1, flash_attention=True), 4096.0, 148.0),
        ("gemma2", GEMMA_2_9B, ContextPlan(8192, output_tokens=512), 2688.0, 514.0),
        ("gemma2", GEMMA_2_9B, ContextPlan(32768, 512, 1, True, False), 6132.0, 149.5),
        ("mamba", MAMBA_3B, ContextPlan(8192, output_tokens=1), 23.75, 65.4),
        ("deepseek2", DEEPSEEK_2_LITE, ContextPlan(8192, output_tokens=1), 243.0, 330.4),
        ("qwen3next", QWEN_3_NEXT, ContextPlan(32768, output_tokens=1), 140.56, 1130.0),
        ("rwkv6", RWKV_3B, ContextPlan(4096, output_tokens=32), 20.62, 71.3),
        ("rwkv7", RWKV_3B, ContextPlan(4096, output_tokens=32), 20.62, 96.5),
        ("rwkv6qwen2", QRWKV_7B, ContextPlan(4096, output_tokens=32), 49.4, 133.8),
    ],
)
def test_against_what_llama_cpp_reports(
    architecture: str, keys: dict[str, int], plan: ContextPlan, cache_mib: float, compute_mib: float
) -> None:
    need = memory_need(shape(architecture, **keys), plan)
    assert need.cache_bytes / MIB == pytest.approx(cache_mib, rel=0.001)
    assert need.compute_bytes / MIB == pytest.approx(compute_mib, rel=0.1)


def test_weights_count_and_the_total_is_the_sum() -> None:
    need = memory_need(shape("llama", weights_bytes=4_000_000_000, **LLAMA_3_8B), ContextPlan(4096))
    assert need.weights_bytes == 4_000_000_000
    assert need.total_bytes == (need.weights_bytes + need.cache_bytes + need.compute_bytes + need.surrounding_bytes)


def test_contexts_are_rounded_up_as_llama_cpp_does() -> None:
    model = shape("llama", **LLAMA_3_8B)
    assert (
        memory_need(model, ContextPlan(1))
        == memory_need(model, ContextPlan(256))
        != memory_need(model, ContextPlan(257))
    )
    assert round_up(257, 256) == 512 == round_up(512, 256)


def test_windows_follow_the_file_before_the_architecture() -> None:
    by_number = shape("gemma2", **GEMMA_2_9B, attention__sliding_window_pattern=6)
    assert by_number.windowed[:12] == (True, True, True, True, True, False) * 2
    by_array = shape("gemma2", **GEMMA_2_9B, attention__sliding_window_pattern=Array(I32, [0, 1] * 21))
    assert by_array.windowed == (False, True) * 21
    assert shape("gemma2", **GEMMA_2_9B).windowed[:4] == (True, False, True, False)
    assert shape("smallthinker", **GEMMA_2_9B).windowed[:5] == (False, True, True, True, False)
    assert not any(shape("llama", **GEMMA_2_9B).windowed)


def test_one_number_per_layer() -> None:
    changed = {**LLAMA_3_8B, "block_count": 4, "attention__head_count_kv": Array(I32, [8, 0, 8, 4])}
    model = shape("llama", **changed)
    assert model.kv_heads == (8, 0, 8, 4)
    flash = memory_need(model, ContextPlan(256, flash_attention=True)).cache_bytes
    assert flash == (8 + 8 + 4) * 256 * 256 * 2
    # without flash attention all values are as wide as the widest layer's
    assert memory_need(model, ContextPlan(256)).cache_bytes == flash + 4 * 128 * 256 * 2


def test_layers_that_share_a_cache_take_none() -> None:
    alone = memory_need(shape("gemma3n", **GEMMA_2_9B), ContextPlan(1024)).cache_bytes
    shared = memory_need(shape("gemma3n", **GEMMA_2_9B, attention__shared_kv_layers=21), ContextPlan(1024)).cache_bytes
    assert shared * 2 == alone


def test_a_state_does_not_grow_with_the_context() -> None:
    model = shape("mamba", **MAMBA_3B)
    assert memory_need(model, ContextPlan(512)).cache_bytes == memory_need(model, ContextPlan(65536)).cache_bytes > 0


def test_values_of_the_wrong_kind_do_not_stop_the_estimate() -> None:
    odd = shape("llama", **{**LLAMA_3_8B, "attention__head_count_kv": Array(F32, [1.0]), "feed_forward_length": "x"})
    assert odd.kv_heads == (32,) * 32
    assert odd.feed_forward == 4 * 4096


def test_each_conversation_has_a_cache_of_its_own() -> None:
    for model in (shape("llama", **LLAMA_3_8B), shape("mamba", **MAMBA_3B)):
        one, four = memory_need(model, ContextPlan(4096)), memory_need(model, ContextPlan(4096, sequences=4))
        assert four.cache_bytes == 4 * one.cache_bytes
        assert four.compute_bytes == one.compute_bytes


def test_quantized_caches_are_smaller_and_need_heads_of_whole_blocks() -> None:
    model = shape("llama", **LLAMA_3_8B)
    f16, q8_0, q4_0 = (sum(layer_cache_bytes(model, ContextPlan(4096, cache_type=kind))) for kind in CACHE_TYPES)
    assert (q8_0 / f16, q4_0 / f16) == (34 / 64, 18 / 64)
    assert [usable_cache_type(model, kind) for kind in CACHE_TYPES] == list(CACHE_TYPES)
    odd = shape("llama", **LLAMA_3_8B, attention__key_length=80)
    assert {usable_cache_type(odd, kind) for kind in CACHE_TYPES} == {"f16"}
    assert usable_cache_type(shape("mamba", **MAMBA_3B), "q4_0") == "f16"  # it has no cache
    for architecture in ("grok", "plm"):  # of these llama.cpp has no flash attention
        assert usable_cache_type(shape(architecture, **LLAMA_3_8B), "q8_0") == "f16"
    # RWKV made of Qwen 2 counts heads of keys and values, and keeps a state all the same.
    qrwkv = {**MAMBA_3B, "wkv__head_size": 64, "attention__head_count_kv": 4}
    assert usable_cache_type(shape("rwkv6qwen2", **qrwkv), "q8_0") == "f16"


def test_an_index_is_cached_in_the_layers_that_have_one() -> None:
    keys = {**LLAMA_3_8B, "attention__indexer__key_length": 128, "attention__indexer__top_k": 2048}
    assert set(shape("llama", **keys).index_lengths) == {0}  # it would not use it
    assert set(shape("deepseek32", **keys).index_lengths) == {128}
    assert set(shape("glm-dsa", **keys, context_length=202_752).index_lengths) == {128}
    long = shape("glm-dsa", **keys, context_length=1 << 20).index_lengths
    assert [layer for layer, length in enumerate(long) if length] == [0, 1, *range(2, 32, 4)]
    assert set(shape("hy_v4", **{**keys, "attention__indexer__top_k": 0}).index_lengths) == {0}


def test_weights_are_told_apart_by_where_they_can_lie() -> None:
    tensors = (
        Tensor("token_embd.weight", (32, 10)),
        Tensor("blk.0.attn_q.weight", (32, 32)),
        Tensor("blk.0.ffn_gate_exps.weight", (32, 8, 4)),
        Tensor("blk.1.ffn_up.weight", (32, 8)),
        Tensor("output_norm.weight", (32,)),
    )
    header = read_header(gguf({"general.architecture": "llama", "llama.block_count": 2}, tensors))
    model = shape_of(header, header.tensors)
    assert model.layer_bytes == (4 * (32 * 32 + 32 * 8 * 4), 4 * 32 * 8)
    assert model.expert_bytes == (4 * 32 * 8 * 4, 0)
    assert model.embedding_bytes == 4 * 320
    assert model.output_bytes == 4 * 32 + 4 * 320  # tied: on another device the table is needed again
    assert model.weights_bytes == sum(model.layer_bytes) + 4 * 320 + 4 * 32


def test_the_tiny_model() -> None:
    data = tiny_llama()
    header = read_header(data)
    model = shape_of(header, header.tensors)
    assert model.vocabulary == header.array("tokenizer.ggml.tokens").count
    assert memory_need(model, ContextPlan(512)).cache_bytes == 512 * 2 * 2 * 8 * 2
    assert llama_keys()["llama.block_count"] == model.layers == 1
