"""Formats that put a heading over each message: "### Instruction:", "### User:"."""

from __future__ import annotations

from dataclasses import replace

from app.core.chat_format import ChatFormat

_FASTCHAT = "FastChat, conversation.py: "
_BELOW = "Below is an instruction that describes a task. Write a response that appropriately completes the request."

_ALPACA = ChatFormat(
    "alpaca",
    "tatsu-lab/stanford_alpaca, train.py: prompt_no_input",
    user=("### Instruction:\n", "\n\n"),
    assistant=("### Response:\n", "{eos}\n\n"),
    system=("", "\n\n"),
    default_system=_BELOW,
    names=("alpaca", "codealpaca", "metamath", "mpt-7b-instruct", "mythomax", "nous-hermes", "platypus", "wizardcoder"),
    stops=("### Instruction:",),
)
_ALPACA_FASTCHAT = ChatFormat(
    "alpaca-fastchat",
    _FASTCHAT + "alpaca",
    user=("### Instruction: ", "\n\n"),
    assistant=("### Response: ", "{eos}"),
    system=("", "\n\n"),
    generation="### Response:",
    default_system=_BELOW,
    stops=("### Instruction:",),
)
_DOLLY_V2 = replace(
    _ALPACA,
    name="dolly-v2",
    origin=_FASTCHAT + "dolly_v2",
    assistant=("### Response:\n", "### End\n\n"),
    names=("dolly-v2",),
    stops=("### End", "### Instruction:"),
)
_MPT_30B_INSTRUCT = ChatFormat(
    "mpt-30b-instruct",
    _FASTCHAT + "mpt-30b-instruct",
    user=("### Instruction\n", "\n\n"),
    assistant=("### Response\n", "\n\n"),
    system=("", "\n\n"),
    default_system=_BELOW,
    names=("mpt-30b-instruct",),
    stops=("<|endoftext|>", "### Instruction"),
)
_SNOOZY = ChatFormat(
    "snoozy",
    _FASTCHAT + "snoozy",
    user=("### Prompt: ", "\n"),
    assistant=("### Response: ", "\n"),
    system=("### Instruction:\n", "\n"),
    generation="### Response:",
    default_system=(
        "The prompt below is a question to answer, a task to complete, or a conversation to respond to; decide which "
        "and write an appropriate response."
    ),
    names=("snoozy",),
    stops=("###",),
)
_SOLAR = ChatFormat(
    "solar",
    _FASTCHAT + "solar",
    user=("### User\n", "\n\n"),
    assistant=("### Assistant\n", "\n\n"),
    system=("### System\n", "\n\n"),
    names=("solar",),
    stops=("### User",),
)
_DEEPSEEK_CODER = ChatFormat(
    "deepseek-coder",
    _FASTCHAT + "deepseek-coder",
    user=("### Instruction:\n", "\n"),
    assistant=("### Response:\n", "\n"),
    system=("", "\n"),
    default_system=(
        "You are an AI programming assistant, utilizing the DeepSeek Coder model, developed by DeepSeek Company, and "
        "you only answer questions related to computer science. For politically sensitive questions, security and "
        "privacy issues, and other non-computer science questions, you will refuse to answer."
    ),
    names=("deepseek-coder",),
    stops=("<|EOT|>", "### Instruction:"),
)
_PHIND = ChatFormat(
    "phind",
    _FASTCHAT + "phind",
    user=("### User Message: ", "\n\n"),
    assistant=("### Assistant: ", "\n\n"),
    system=("### System Prompt\n", "\n\n"),
    generation="### Assistant:",
    default_system="You are an intelligent programming assistant.",
    names=("phind",),
    stops=("### User Message",),
)
_BELUGA = ChatFormat(
    "beluga",
    "the card of stabilityai/StableBeluga, from memory",
    user=("### User:\n", "\n\n"),
    assistant=("### Assistant:\n", "\n\n"),
    system=("### System:\n", "\n\n"),
    names=("beluga", "freewilly"),
    stops=("### User:",),
    is_confirmed=False,
)
_NEURAL_CHAT = replace(
    _BELUGA,
    name="neural-chat",
    origin="the card of Intel/neural-chat-7b-v3, from memory",
    user=("### User:\n", "\n"),
    assistant=("### Assistant:\n", "\n"),
    system=("### System:\n", "\n"),
    names=("neural-chat",),
)
_STRIPEDHYENA = ChatFormat(
    "stripedhyena-nous",
    "the card of togethercomputer/StripedHyena-Nous-7B, from memory",
    user=("### Instruction:\n", "\n\n"),
    assistant=("### Response:\n", "\n\n"),
    system=("", "\n\n"),
    names=("stripedhyena-nous",),
    stops=("### Instruction:",),
    is_confirmed=False,
)

HEADED: tuple[ChatFormat, ...] = (
    _ALPACA,
    _ALPACA_FASTCHAT,
    _DOLLY_V2,
    _MPT_30B_INSTRUCT,
    _SNOOZY,
    _SOLAR,
    _DEEPSEEK_CODER,
    _PHIND,
    _BELUGA,
    _NEURAL_CHAT,
    replace(_NEURAL_CHAT, name="decilm", origin="the card of Deci/DeciLM-7B-instruct, from memory", names=("decilm",)),
    _STRIPEDHYENA,
)
