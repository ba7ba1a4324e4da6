"""Further shapes of real models, of architectures that `plan_shapes` has not: for llama.cpp's planner alone.

The numbers are those of the models' published configurations.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks.plan_shapes import SHAPES, Shape, attention
from tests.benchmarks.planner_mixtures import MIXTURE_SHAPES

_RWKV_7: dict[str, Any] = {
    "wkv.head_size": 64,
    "attention.decay_lora_rank": 96,
    "attention.iclr_lora_rank": 96,
    "attention.value_residual_mix_lora_rank": 64,
    "attention.gate_lora_rank": 256,
    "token_shift_count": 2,
}
_LFM2_KV_HEADS = [8 if layer in (2, 5, 8, 10, 12, 14) else 0 for layer in range(16)]

MORE_SHAPES = (
    Shape("Gemma 7B", "gemma", "Q4_K", 256_000, attention(28, 3072, 16, 16, 24_576, 256), tied=True),
    Shape(
        "Command R7B",
        "cohere2",
        "Q4_K",
        256_000,
        attention(32, 4096, 32, 8, 14_336) | {"attention.sliding_window": 4096, "logit_scale": 0.25},
        tied=True,
    ),
    Shape("OLMo 2 7B", "olmo2", "Q4_K", 100_352, attention(32, 4096, 32, 32, 11_008)),
    Shape(
        "Pythia 6.9B",
        "gptneox",
        "Q4_0",
        50_432,
        attention(32, 4096, 32, 32, 16_384) | {"rope.dimension_count": 32, "use_parallel_residual": True},
        dropped=(),
    ),
    Shape(
        "MPT 7B",
        "mpt",
        "Q4_0",
        50_432,
        attention(32, 4096, 32, 32, 16_384) | {"attention.max_alibi_bias": 8.0},
        dropped=(r"\.bias$", "position_embd", "attn_[qk]_norm", "ffn_act"),
        tied=True,
    ),
    Shape(
        "Phi 2", "phi2", "Q4_K", 51_200, attention(32, 2560, 32, 32, 10_240) | {"rope.dimension_count": 32}, dropped=()
    ),
    Shape(
        "StableLM 2 1.6B",
        "stablelm",
        "Q8_0",
        100_352,
        attention(24, 2048, 32, 32, 5632) | {"rope.dimension_count": 16, "use_parallel_residual": False},
        dropped=(r"(attn_output|ffn_\w+)\.bias", "attn_[qk]_norm"),
    ),
    Shape("BLOOM 7B", "bloom", "Q4_0", 250_880, attention(30, 4096, 32, 32, 16_384), dropped=(), tied=True),
    Shape(
        "LFM2 1.2B",
        "lfm2",
        "Q4_K",
        65_536,
        attention(16, 2048, 32, _LFM2_KV_HEADS, 8192) | {"shortconv.l_cache": 3},
        tied=True,
    ),
    Shape(
        "EXAONE 4 32B",
        "exaone4",
        "Q4_K",
        102_400,
        attention(64, 5120, 40, 8, 27_392, 128) | {"attention.sliding_window": 4096},
    ),
    Shape("SmolLM3 3B", "smollm3", "Q4_K", 128_256, attention(36, 2048, 16, 4, 11_008), tied=True),
    Shape(
        "Granite 3.3 8B",
        "granite",
        "Q4_K",
        49_159,
        attention(40, 4096, 32, 8, 12_800)
        | {"embedding_scale": 12.0, "residual_scale": 0.22, "attention.scale": 0.0078125, "logit_scale": 16.0},
        tied=True,
    ),
    Shape("GLM 4 9B", "glm4", "Q4_K", 151_552, attention(40, 4096, 32, 2, 13_696, 128) | {"rope.dimension_count": 64}),
    Shape(
        "RWKV 7 2.9B",
        "rwkv7",
        "Q8_0",
        65_536,
        attention(32, 2560, 0, 0, 10_240) | _RWKV_7,
        dropped=(),
    ),
    Shape(
        "ARWKV 7B",
        "arwkv7",
        "Q4_K",
        152_064,
        attention(28, 3584, 0, 0, 18_944) | _RWKV_7 | {"token_shift_count": 1},
        dropped=(),
    ),
    Shape(
        "QRWKV 6 7B",
        "rwkv6qwen2",
        "Q4_K",
        152_064,
        attention(28, 3584, 0, 4, 18_944)
        | {"wkv.head_size": 128, "token_shift_count": 1, "time_mix_extra_dim": 32, "time_decay_extra_dim": 64},
        dropped=("time_mix_first",),
    ),
    Shape("Chameleon 7B", "chameleon", "Q4_K", 65_536, attention(32, 4096, 32, 32, 11_008)),
    Shape("CogVLM 17B", "cogvlm", "Q4_K", 32_000, attention(32, 4096, 32, 32, 11_008)),
    Shape(
        "Jais 13B",
        "jais",
        "Q4_K",
        84_992,
        attention(40, 5120, 40, 40, 13_653) | {"attention.max_alibi_bias": 8.0},
        dropped=(),
    ),
    Shape("Jais 2 8B", "jais2", "Q4_K", 150_272, attention(32, 3328, 26, 26, 26_624), dropped=()),
    Shape(
        "MiniCPM 3 4B",
        "minicpm3",
        "Q4_K",
        73_448,
        attention(62, 2560, 40, 40, 6400)
        | {"attention.q_lora_rank": 768, "attention.kv_lora_rank": 256}
        | {"attention.key_length": 96, "attention.value_length": 64, "rope.dimension_count": 32},
    ),
    Shape(
        "Muse Glimmer 30B",
        "muse-glimmer",
        "Q4_K",
        200_000,
        attention(52, 5120, 40, 8, 17_408, 128) | {"attention.sliding_window": 1024, "logit_scale": 0.5},
    ),
    Shape("openPangu Embedded 1B", "pangu-embedded", "Q8_0", 153_376, attention(26, 1536, 12, 6, 6144), dropped=()),
)

PLANNED_SHAPES = (*SHAPES, *MORE_SHAPES, *MIXTURE_SHAPES)
