"""The tokenizers that the engine knows: llama.cpp refuses a file that names another.

Read off llama_vocab::impl::load of llama.cpp 0c1e570 (src/llama-vocab.cpp), the one in llama-cpp-python 0.3.36. A test
compares the tables with the installed library.
"""

from __future__ import annotations

from app.core.architectures import names

TOKENIZERS = names("bert gemma4 gpt2 hybriddna llama plamo2 rwkv t5 whitespace")
"""Values of tokenizer.ggml.model."""

BYTE_PAIR_TOKENIZERS = frozenset({"gpt2", "gemma4", "hybriddna", "whitespace"})
"""Those with merges; of these `gpt2` wants to be told its pre-tokenizer."""

PRE_TOKENIZERS = names(
    """
    a.x-4.0 afmoe bailingmoe bailingmoe2 bloom chameleon chatglm-bpe codeshell cohere2moe command-r dbrx
    deepseek-coder deepseek-llm deepseek-r1-qwen deepseek-v3 default exaone exaone-moe exaone4 f2llmv2 falcon
    falcon-h1 falcon3 gemma4 gigachat glm4 glm5 gpt-2 gpt-4o gpt3-finnish granite-docling
    granite-embed-multi-311m granite-embed-multi-97m grok-2 hunyuan hunyuan-dense hy_v4 jais jais-2 jina-de
    jina-es jina-v1-en jina-v2-code jina-v2-de jina-v2-es jina-v5-nano joyai-llm kanana2 kimi-k2 kormo laguna
    lfm2 llada-moe llama-bpe llama-v3 llama3 llama4 megrez mellum mellum2 midm-2.0 minerva-7b minicpm5
    minimax-m2 modern-bert mpt olmo phi-2 pixtral poro-chat qwen2 qwen35 refact roberta-bpe sarvam-moe
    seed-coder smaug-bpe smollm solar-open spark2_5 stablelm2 starcoder superbpe talkie tekken tiny_aya trillion
    ufakzeka viking whitespace youtu
    """
)
"""Values of tokenizer.ggml.pre, how text is cut before merging; without one the cuts, and so the answers, are worse."""
