"""Which model architectures the engine can chat with, and what the others are.

Read off llama_model_mapping and LLM_ARCH_NAMES of llama.cpp 0c1e570, the one in llama-cpp-python 0.3.36. A test
compares the table with the installed library, so that an update cannot leave it behind.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.core.errors import ErrorKind


def names(words: str) -> frozenset[str]:
    """A table of names, written as one text."""
    return frozenset(words.split())


CHAT_ARCHITECTURES = names(
    """
    afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bailingmoe3 bitnet bloom chameleon chatglm
    codeshell cogvlm cohere2 cohere2moe command-r dbrx deci deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4
    dots1 dots3note ernie4_5 ernie4_5-moe exaone exaone-moe exaone4 falcon falcon-h1 gemma gemma2 gemma3 gemma3n
    gemma4 glm-dsa glm4 glm4moe glm5-next gpt-oss gpt2 gptneox granite granite_swa granitehybrid granitemoe
    graniteswitch grok grovemoe hrm_text hunyuan-dense hunyuan-moe hunyuan_vl hy_v3 hy_v4 internlm2 jais jais2
    jamba kimi-k3 kimi-linear laguna lfm2 lfm2moe llama llama4 maincoder mamba mamba2 maple mellum mimo2 minicpm
    minicpm3 minimax-01 minimax-m2 minimax-m3 mistral3 mistral4 mpt muse-glimmer nanbeige nemotron nemotron_h
    nemotron_h_moe olmo olmo2 olmoe openelm orion paddleocr pangu-embedded phi2 phi3 phimoe plamo plamo2 plamo3
    plm qwen qwen2 qwen2moe qwen2vl qwen3 qwen35 qwen35moe qwen3moe qwen3next qwen3vl qwen3vlmoe qwen4exp refact
    rwkv6 rwkv6qwen2 rwkv7 seed_oss smallthinker smollm3 spark2_5 stablelm starcoder starcoder2 step35 talkie
    xverse
    """
)

EMBEDDING_ARCHITECTURES = names(
    """
    bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert gemma-embedding
    llama-embed t5encoder
    """
)

ENCODER_DECODER_ARCHITECTURES = frozenset({"t5"})

PROJECTOR_ARCHITECTURES = frozenset({"clip"})

# Known to llama.cpp and yet not to be chatted with: they write by diffusion, speak, or only draft for another
# model. They are refused by not being in the first table.
OTHER_ARCHITECTURES = names(
    """
    dream llada llada-moe rnd1 wavtokenizer-dec qwen3tts pockettts eagle3 dflash gemma4-assistant
    """
)

ONE_CONVERSATION_ARCHITECTURES = frozenset({"plamo2"})
"""Of these a context must hold one conversation only.

With several in a batch llama.cpp stores a recurrent state in another one's place, or ends the process:
src/models/plamo2.cpp multiplies the place of the first state by their number.
"""

WITHOUT_FLASH_ATTENTION = frozenset({"grok", "plm"})
"""Of these llama.cpp has only the attention that keeps values transposed, and so no quantized ones.

It turns flash attention off for Grok by itself; PLM's graph hands over values of a shape that ends the process then.
"""

LAST_TOKEN_ALONE_ARCHITECTURES = frozenset({"cogvlm"})
"""Of these the last token of a prompt must be read by itself.

llama.cpp computes what follows every token of a batch (src/models/cogvlm.cpp leaves the choice out) and hands over the
first ones, whichever were wanted: an answer would begin with what follows the first token.
"""

SILENT_TOKENS: Mapping[str, range] = {"chameleon": range(4, 8196)}
"""Tokens that are never to be written, by architecture: pieces of pictures.

src/models/chameleon.cpp silences them for the first token of a batch only. It writes at these places in every case: a
smaller vocabulary ends the process.
"""


def refusal(architecture: str) -> ErrorKind | None:
    """Why a model of this architecture cannot chat; None when it can."""
    if architecture in CHAT_ARCHITECTURES:
        return None
    if architecture in EMBEDDING_ARCHITECTURES:
        return ErrorKind.EMBEDDING_MODEL
    if architecture in ENCODER_DECODER_ARCHITECTURES:
        return ErrorKind.ENCODER_DECODER
    if architecture in PROJECTOR_ARCHITECTURES:
        return ErrorKind.PROJECTOR
    return ErrorKind.UNSUPPORTED_ARCHITECTURE
