"""Shapes of mixtures of experts, for llama.cpp's planner alone: each keeps what it read in a way of its own.

The widths are those of the models' published configurations, or near to them; of the largest some layers and experts
stand for all.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks.plan_shapes import Shape, attention, experts

_SHARED: dict[str, Any] = {"expert_shared_count": 1, "expert_weights_scale": 1.0, "expert_gating_func": 2}
_DENSE_FIRST: dict[str, Any] = {**_SHARED, "leading_dense_block_count": 1}
_NO_BIAS = (r"attn_\w+\.bias",)  # that of the router is needed


def _latent(queries: int, rank: int, rotated: int, plain: int, values: int) -> dict[str, Any]:
    return {
        "attention.q_lora_rank": queries,
        "attention.kv_lora_rank": rank,
        "attention.key_length": rank + rotated,
        "attention.value_length": rank,
        "attention.key_length_mla": plain + rotated,
        "attention.value_length_mla": values,
        "rope.dimension_count": rotated,
    }


def _indexer(heads: int, top: int) -> dict[str, Any]:
    return {
        "attention.indexer.head_count": heads,
        "attention.indexer.key_length": 128,
        "attention.indexer.top_k": top,
    }


def _every(count: int, period: int, value: int, other: int = 0) -> list[int]:
    """For each layer, of which the last of a period has another value."""
    return [value if layer % period == period - 1 else other for layer in range(count)]


_HYPER: dict[str, Any] = {
    "hyper_connection.count": 4,
    "hyper_connection.sinkhorn_iterations": 20,
    "hyper_connection.epsilon": 1e-6,
}

MIXTURE_SHAPES = (
    Shape(
        "Trinity Nano 6B",
        "afmoe",
        "Q4_K",
        200_192,
        attention(56, 1024, 8, 2, 3072, 128)
        | experts(128, 8, 256)
        | _SHARED
        | {"leading_dense_block_count": 2, "attention.sliding_window": 2048},
        dropped=_NO_BIAS,
    ),
    Shape(
        "Ling 3, some layers",
        "bailingmoe3",
        "Q4_K",
        157_184,
        attention(8, 1536, 16, _every(8, 4, 1), 5120)
        | experts(128, 8, 512)
        | _DENSE_FIRST
        | _latent(768, 512, 64, 128, 128)
        | {"ssm.conv_kernel": 4, "kda.head_dim": 128, "kda.gate_lower_bound": -5.0},
        dropped=_NO_BIAS,
    ),
    Shape(
        "DeepSeek OCR 3B",
        "deepseek2-ocr",
        "Q4_K",
        129_280,
        attention(12, 1280, 10, 10, 6848) | experts(64, 6, 896) | _DENSE_FIRST | {"expert_shared_count": 2},
    ),
    Shape(
        "DeepSeek V3.2, some layers",
        "deepseek32",
        "Q4_K",
        129_280,
        attention(12, 7168, 128, 1, 18_432)
        | experts(32, 8, 2048)
        | _DENSE_FIRST
        | _latent(1536, 512, 64, 128, 128)
        | _indexer(64, 2048),
        dropped=("attn_kv_b",),
    ),
    Shape(
        "DeepSeek V4, some layers",
        "deepseek4",
        "Q4_K",
        129_280,
        attention(6, 4096, 64, 1, 2048, 512)
        | experts(16, 6, 2048)
        | _SHARED
        | _indexer(64, 512)
        | _HYPER
        | {
            "expert_gating_func": 4,
            "expert_weights_norm": True,
            "rope.dimension_count": 64,
            "attention.q_lora_rank": 1024,
            "attention.sliding_window": 128,
            "attention.output_group_count": 8,
            "attention.output_lora_rank": 1024,
            "attention.compress_rope_freq_base": 160_000.0,
            "attention.compress_ratios": [0, 0, 4, 128, 4, 128],
            "swiglu_clamp_exp": 10.0,
            "hash_layer_count": 0,
        },
        dropped=(),
    ),
    Shape(
        "dots.llm1, some layers",
        "dots1",
        "Q4_K",
        152_064,
        attention(12, 4096, 32, 32, 10_944, 128) | experts(128, 6, 1408) | _DENSE_FIRST | {"expert_shared_count": 2},
        dropped=_NO_BIAS,
    ),
    Shape(
        "dots 3 note, some layers",
        "dots3note",
        "Q4_K",
        152_064,
        attention(8, 4096, 64, 1, 10_944)
        | experts(16, 8, 1536)
        | _DENSE_FIRST
        | _latent(1536, 512, 64, 128, 128)
        | _indexer(32, 2048)
        | {
            "attention.sliding_window": 512,
            "attention.key_length_swa": 320,
            "attention.value_length_swa": 256,
            "attention.kv_lora_rank_swa": 256,
            "attention.key_length_mla_swa": 192,
            "attention.value_length_mla_swa": 128,
            "rope.freq_base_swa": 10_000.0,
            "attention.sliding_window_pattern": [layer % 4 != 0 for layer in range(8)],
            "attention.indexer.types": [int(layer % 4 == 0) for layer in range(8)],
        },
        dropped=(),
    ),
    Shape(
        "ERNIE 4.5 21B-A3B",
        "ernie4_5-moe",
        "Q4_K",
        103_424,
        attention(28, 2560, 20, 4, 12_288, 128)
        | experts(64, 6, 1536)
        | {"expert_shared_feed_forward_length": 3072, "interleave_moe_layer_step": 1, "leading_dense_block_count": 1},
        dropped=_NO_BIAS,
        tied=True,
    ),
    Shape(
        "GLM 5, some layers",
        "glm-dsa",
        "Q4_K",
        154_880,
        attention(12, 6144, 64, 1, 12_288)
        | experts(32, 8, 2048)
        | _DENSE_FIRST
        | _latent(2048, 512, 64, 192, 256)
        | _indexer(32, 2048),
        dropped=("attn_kv_b",),
    ),
    Shape(
        "GLM 5.3, some layers",
        "glm5-next",
        "Q4_K",
        154_880,
        attention(8, 4096, 32, _every(8, 4, 1), 12_288)
        | experts(16, 8, 1536)
        | _DENSE_FIRST
        | _latent(1536, 512, 0, 192, 128)
        | _indexer(32, 2048)
        | _HYPER
        | {"attention.indexer.kpool": 4, "ssm.conv_kernel": 4, "kda.head_dim": 128},
        dropped=_NO_BIAS,
    ),
    Shape(
        "GroveMoE 33B",
        "grovemoe",
        "Q4_K",
        151_936,
        attention(48, 2048, 32, 4, 6144, 128)
        | experts(128, 8, 768)
        | {"expert_chunk_feed_forward_length": 128, "expert_group_scale": 0.05, "experts_per_group": 2},
    ),
    Shape(
        "Hunyuan 3 30B-A3B",
        "hy_v3",
        "Q4_K",
        120_832,
        attention(48, 2048, 32, 4, 6144, 128) | experts(128, 8, 768) | {"expert_shared_feed_forward_length": 768},
        dropped=(*_NO_BIAS, r"ffn_(gate|up|down)\."),
    ),
    Shape(
        "Hunyuan 4, some layers",
        "hy_v4",
        "Q4_K",
        120_832,
        attention(8, 4096, 64, 1, 12_288)
        | experts(16, 8, 1536)
        | _DENSE_FIRST
        | _latent(1536, 512, 64, 128, 128)
        | _indexer(32, 2048)
        | {
            "hyper_connection.count": 4,
            "hyper_connection.epsilon": 1e-6,
            "hyper_connection.magnitude": 2.0,
            "attention.indexer.types": [int(layer % 4 == 0) for layer in range(8)],
        },
        dropped=(),
    ),
    Shape(
        "Kimi K3, some layers",
        "kimi-k3",
        "Q4_K",
        163_840,
        attention(8, 4096, 64, _every(8, 4, 1), 12_288)
        | experts(32, 8, 1024)
        | _DENSE_FIRST
        | _latent(1536, 512, 64, 128, 128)
        | {
            "ssm.conv_kernel": 4,
            "kda.head_dim": 128,
            "attn_res.block_size": 4,
            "activation.situ_beta": 1.0,
            "activation.situ_linear_beta": 1.0,
            "expert_latent_length": 2048,
        },
        dropped=_NO_BIAS,
    ),
    Shape(
        "Kimi Linear, some layers",
        "kimi-linear",
        "Q4_K",
        163_840,
        attention(8, 2304, 32, _every(8, 4, 1), 9216)
        | experts(64, 8, 1024)
        | _DENSE_FIRST
        | _latent(0, 512, 64, 128, 128)
        | {"ssm.conv_kernel": 4, "kda.head_dim": 128},
        dropped=(*_NO_BIAS, "attn_kv_b", "attn_q_a", "attn_q_b"),
    ),
    Shape(
        "Laguna XS.2 30B",
        "laguna",
        "Q4_K",
        100_352,
        attention(40, 2048, 48, 8, 8192, 128) | experts(256, 8, 512) | _DENSE_FIRST | {"attention.sliding_window": 512},
        dropped=_NO_BIAS,
    ),
    Shape(
        "MiniMax 01, some layers",
        "minimax-01",
        "Q4_K",
        200_064,
        attention(4, 6144, 64, 8, 9216, 128)
        | experts(4, 2, 9216)
        | {
            "residual_scale": 3.5,
            "rope.dimension_count": 64,
            "attention.recurrent_layers": [True, True, True, False],
        },
    ),
    Shape(
        "MiniMax M2, some layers",
        "minimax-m2",
        "Q4_K",
        200_064,
        attention(12, 3072, 48, 8, 1536, 128)
        | experts(64, 8, 1536)
        | {"expert_gating_func": 2, "rope.dimension_count": 64},
        dropped=_NO_BIAS,
    ),
    Shape(
        "MiniMax M3, some layers",
        "minimax-m3",
        "Q4_K",
        200_064,
        attention(12, 6144, 64, 4, 12_288, 128)
        | experts(32, 8, 3072)
        | _DENSE_FIRST
        | _indexer(4, 16)
        | {
            "rope.dimension_count": 64,
            "attention.indexer.block_size": 128,
            "attention.indexer.local_blocks": 1,
        },
        dropped=_NO_BIAS,
    ),
    Shape(
        "Mistral Small 4, some layers",
        "mistral4",
        "Q4_K",
        131_072,
        attention(12, 4096, 32, 1, 12_288) | experts(32, 4, 2048) | _DENSE_FIRST | _latent(1024, 256, 64, 64, 128),
        dropped=("attn_kv_b",),
    ),
    Shape(
        "Nemotron 3 Nano, some layers",
        "nemotron_h_moe",
        "Q4_K",
        131_072,
        attention(8, 2688, 32, [0, 0, 0, 0, 0, 2, 0, 0], [0, 1856, 0, 1856, 0, 0, 1856, 0], 128)
        | experts(32, 6, 1856)
        | _SHARED
        | {
            "ssm.conv_kernel": 4,
            "ssm.inner_size": 4096,
            "ssm.state_size": 128,
            "ssm.time_step_rank": 64,
            "ssm.group_count": 8,
            "expert_shared_feed_forward_length": 3712,
        },
        dropped=(r"attn.*bias", "ffn_latent"),
    ),
    Shape(
        "SmallThinker 4B-A0.6B",
        "smallthinker",
        "Q4_K",
        151_936,
        attention(32, 1536, 12, 2, 768, 128)
        | experts(32, 4, 768)
        | {"attention.sliding_window": 4096, "expert_gating_func": 2},
        tied=True,
    ),
)
