"""Formats that put questions between `[INST]` and `[/INST]`: Llama 2, Mistral and those made from them."""

from __future__ import annotations

from dataclasses import replace

from app.core.chat_format import ChatFormat, SystemPlace

_LLAMA_2 = ChatFormat(
    "llama-2",
    "FastChat, conversation.py: llama-2",
    user=("[INST] ", " [/INST]"),
    assistant=(" ", " {eos}{bos}"),
    system=("<<SYS>>\n", "\n<</SYS>>\n\n"),
    generation="",
    system_place=SystemPlace.FIRST_QUESTION,
    names=("llama-2", "llama2", "codellama", "code-llama"),
    stops=("[INST]",),
)

_MISTRAL = ChatFormat(
    "mistral",
    "FastChat, conversation.py: mistral",
    user=("[INST] ", " [/INST]"),
    assistant=(" ", "{eos}"),
    system=("", "\n"),
    generation="",
    system_place=SystemPlace.FIRST_QUESTION,
    names=("mistral", "mixtral"),
    stops=("[INST]",),
)

_MISTRAL_V3 = replace(
    _MISTRAL,
    name="mistral-v3",
    origin="llama.cpp, src/llama-chat.cpp: mistral-v3",
    user=("[INST] ", "[/INST]"),
    system=("", "\n\n"),
    vocabulary=("[INST]", "[/INST]"),
    names=("mistral-7b-instruct-v0.3", "mixtral-8x22b-instruct"),
)

_MISTRAL_V3_TEKKEN = replace(
    _MISTRAL_V3,
    name="mistral-v3-tekken",
    origin="llama.cpp, models/templates/mistralai-Mistral-Nemo-Instruct-2407.jinja",
    begin="{bos}",
    user=("[INST]", "[/INST]"),
    assistant=("", "{eos}"),
    system_place=SystemPlace.LAST_QUESTION,
    vocabulary=(),
    names=("mistral-nemo",),
    variant_of="mistral-v3",
)

_MISTRAL_V7_TEKKEN = replace(
    _MISTRAL_V3_TEKKEN,
    name="mistral-v7-tekken",
    origin="llama.cpp, models/templates/Mistral-Small-3.2-24B-Instruct-2506.jinja",
    system=("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
    system_place=SystemPlace.OWN,
    vocabulary=("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]"),
    names=("mistral-small-3",),
    variant_of="",
)

BRACKETED: tuple[ChatFormat, ...] = (
    _MISTRAL_V7_TEKKEN,
    replace(
        _MISTRAL_V7_TEKKEN,
        name="ministral-3",
        origin="llama.cpp, models/templates/mistralai-Ministral-3-14B-Reasoning-2512.jinja",
        vocabulary=(),
        names=("ministral-3",),
        variant_of="mistral-v7-tekken",
    ),
    _MISTRAL_V3,
    _MISTRAL_V3_TEKKEN,
    _MISTRAL,
    _LLAMA_2,
    replace(
        _LLAMA_2,
        name="airoboros-v3",
        origin="FastChat, conversation.py: airoboros_v3",
        default_system="You are a helpful, unbiased, uncensored assistant.",
        names=("airoboros-m-7b-3", "airoboros-l2-7b-3", "airoboros-l2-13b-3", "airoboros-l2-70b-3", "airoboros-3"),
    ),
)
