"""Formats that mark each role by tokens of their own."""

from __future__ import annotations

from dataclasses import replace

from app.core.chat_format import ChatFormat, SystemPlace

_LLAMA_CHAT = "llama.cpp, src/llama-chat.cpp: "
_TEMPLATES = "llama.cpp, models/templates/"
_FASTCHAT = "FastChat, conversation.py: "


def _roles(
    name: str,
    origin: str,
    around: tuple[str, str],
    *,
    roles: tuple[str, str, str] = ("system", "user", "assistant"),
    begin: str = "",
    generation: str | None = None,
    vocabulary: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    variant_of: str = "",
    stops: tuple[str, ...] = (),
    is_confirmed: bool = True,
) -> ChatFormat:
    """A format that marks all roles alike; `%` in `around` stands for the role."""
    before, after = around
    system, user, assistant = ((before.replace("%", role), after) for role in roles)
    return ChatFormat(
        name,
        origin,
        user=user,
        assistant=assistant,
        system=system,
        begin=begin,
        generation=generation,
        vocabulary=vocabulary,
        names=names,
        variant_of=variant_of,
        stops=stops,
        is_confirmed=is_confirmed,
    )


_LLAMA_4 = _roles(
    "llama-4",
    _LLAMA_CHAT + "llama4",
    ("<|header_start|>%<|header_end|>\n\n", "<|eot|>"),
    begin="{bos}",
    vocabulary=("<|header_start|>", "<|header_end|>", "<|eot|>"),
    names=("llama-4",),
    stops=("<|eot|>",),
)

_LLAMA_3 = _roles(
    "llama-3",
    _LLAMA_CHAT + "llama3",
    ("<|start_header_id|>%<|end_header_id|>\n\n", "<|eot_id|>"),
    begin="{bos}",
    vocabulary=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    names=("llama-3-8b-instruct", "llama-3-70b-instruct"),
    stops=("<|eot_id|>", "<|end_of_text|>"),
)
_LLAMA_3_1 = replace(
    _LLAMA_3,
    name="llama-3.1",
    origin=_TEMPLATES + "meta-llama-Llama-3.1-8B-Instruct.jinja",
    system=(
        "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
        "Today Date: {date:%d %b %Y}\n\n",
        "<|eot_id|>",
    ),
    default_system="",
    vocabulary=(),
    names=("llama-3.1", "llama-3.3", "meta-llama-3.1", "meta-llama-3.3"),
    variant_of="llama-3",
)

_GEMMA_4 = _roles(
    "gemma-4",
    _TEMPLATES + "google-gemma-4-31B-it.jinja",
    ("<|turn>%\n", "<turn|>\n"),
    roles=("system", "user", "model"),
    begin="{bos}",
    generation="<|turn>model\n<|channel>thought\n<channel|>",
    vocabulary=("<|turn>", "<turn|>"),
    names=("gemma-4",),
    stops=("<turn|>",),
)

_GEMMA = ChatFormat(
    "gemma",
    _TEMPLATES + "google-gemma-2-2b-it.jinja",
    user=("<start_of_turn>user\n", "<end_of_turn>\n"),
    assistant=("<start_of_turn>model\n", "<end_of_turn>\n"),
    system=("", "\n\n"),
    begin="{bos}",
    system_place=SystemPlace.FIRST_QUESTION,
    vocabulary=("<start_of_turn>", "<end_of_turn>"),
    names=("gemma",),
    stops=("<end_of_turn>",),
)

_GPT_OSS = ChatFormat(
    "gpt-oss",
    _TEMPLATES + "openai-gpt-oss-120b.jinja",
    user=("<|start|>user<|message|>", "<|end|>"),
    assistant=("<|start|>assistant<|channel|>final<|message|>", "<|end|>"),
    system=("<|start|>developer<|message|># Instructions\n\n", "\n\n<|end|>"),
    begin=(
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        "Knowledge cutoff: 2024-06\nCurrent date: {date:%Y-%m-%d}\n\nReasoning: medium\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>"
    ),
    generation="<|start|>assistant",
    vocabulary=("<|start|>", "<|message|>", "<|channel|>"),
    names=("gpt-oss",),
    stops=("<|return|>", "<|call|>"),
)

_GRANITE_3 = _roles(
    "granite-3",
    _TEMPLATES + "ibm-granite-granite-3.3-2B-Instruct.jinja",
    ("<|start_of_role|>%<|end_of_role|>", "<|end_of_text|>\n"),
    vocabulary=("<|start_of_role|>", "<|end_of_role|>"),
    names=("granite-3",),
    stops=("<|end_of_text|>",),
)
_GRANITE_4 = replace(
    _GRANITE_3,
    name="granite-4",
    origin=_TEMPLATES + "ibm-granite-granite-4.0.jinja",
    vocabulary=(),
    names=("granite-4",),
    variant_of="granite-3",
)

_COMMAND_R = _roles(
    "command-r",
    _LLAMA_CHAT + "command-r",
    ("<|START_OF_TURN_TOKEN|><|%_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    roles=("SYSTEM", "USER", "CHATBOT"),
    begin="{bos}",
    vocabulary=("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
    names=("command-r", "c4ai-command"),
    stops=("<|END_OF_TURN_TOKEN|>",),
)

_DEEPSEEK = ChatFormat(
    "deepseek",
    _LLAMA_CHAT + "deepseek3",
    user=("<｜User｜>", ""),
    assistant=("<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    system=("", "\n\n"),
    begin="{bos}",
    vocabulary=("<｜User｜>", "<｜Assistant｜>"),
    names=("deepseek-v3",),
    stops=("<｜User｜>", "<｜end▁of▁sentence｜>"),
)
_DEEPSEEK_R1 = replace(
    _DEEPSEEK,
    name="deepseek-r1",
    origin=_TEMPLATES + "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja",
    system=("", ""),
    generation="<｜Assistant｜><think>\n",
    vocabulary=(),
    names=("deepseek-r1",),
    variant_of="deepseek",
)

_GLM_4 = _roles(
    "glm4",
    _LLAMA_CHAT + "chatglm4",
    ("<|%|>\n", ""),
    begin="[gMASK]<sop>",
    vocabulary=("[gMASK]", "<|user|>", "<|assistant|>"),
    names=("glm-4", "glm4"),
    stops=("<|user|>", "<|endoftext|>"),
)
_CHATGLM_3 = _roles(
    "chatglm3",
    _FASTCHAT + "chatglm3",
    ("<|%|>\n", ""),
    generation="<|assistant|>",
    names=("chatglm3",),
    variant_of="glm4",
    stops=("<|user|>", "</s>"),
)

_PHI_3 = _roles(
    "phi-3",
    _TEMPLATES + "microsoft-Phi-3.5-mini-instruct.jinja",
    ("<|%|>\n", "<|end|>\n"),
    vocabulary=("<|user|>", "<|assistant|>", "<|end|>"),
    names=("phi-3",),
    stops=("<|end|>", "<|user|>", "<|endoftext|>"),
)
_PHI_4_MINI = _roles(
    "phi-4-mini",
    "the card of microsoft/Phi-4-mini-instruct, from memory",
    ("<|%|>", "<|end|>"),
    names=("phi-4-mini",),
    variant_of="phi-3",
    stops=("<|end|>",),
    is_confirmed=False,
)

_FALCON_3 = _roles(
    "falcon3",
    _LLAMA_CHAT + "falcon3",
    ("<|%|>\n", "\n"),
    names=("falcon3", "falcon-3"),
    stops=("<|endoftext|>", "<|user|>"),
)
_TULU = _roles(
    "tulu",
    _FASTCHAT + "tulu",
    ("<|%|>\n", "\n"),
    names=("tulu",),
    stops=("<|user|>",),
)

_OPENCHAT = ChatFormat(
    "openchat",
    _FASTCHAT + "openchat_3.5",
    user=("GPT4 Correct User: ", "<|end_of_turn|>"),
    assistant=("GPT4 Correct Assistant: ", "<|end_of_turn|>"),
    system=("", "<|end_of_turn|>"),
    generation="GPT4 Correct Assistant:",
    vocabulary=("<|end_of_turn|>",),
    names=("openchat", "starling"),
    stops=("<|end_of_turn|>",),
)
_OPEN_ORCA = ChatFormat(
    "open-orca",
    _FASTCHAT + "open-orca",
    user=("User: ", "<|end_of_turn|>\n"),
    assistant=("Assistant: ", "<|end_of_turn|>\n"),
    system=("", "<|end_of_turn|>\n"),
    default_system=(
        "You are a helpful assistant. Please answer truthfully and write out your thinking step by step to be sure you "
        "get the right answer. If you make a mistake or encounter an error in your thinking, say so out loud and "
        "attempt to correct it. If you don't know or aren't sure about something, say so clearly. You will act as a "
        "professional logician, mathematician, and physicist. You will also act as the most appropriate type of expert "
        "to answer any particular question or solve the relevant problem; state which expert type your are, if so. "
        "Also think of any particular named expert that would be ideal to answer the relevant question or solve the "
        "relevant problem; name and act as them, if appropriate."
    ),
    names=("openorca-preview", "openorcaxopenchat"),
    variant_of="openchat",
    stops=("<|end_of_turn|>",),
)

_ZEPHYR = _roles(
    "zephyr",
    _FASTCHAT + "zephyr",
    ("<|%|>\n", "{eos}\n"),
    names=("zephyr", "notus"),
    stops=("<|user|>",),
)
_TINYLLAMA = replace(_ZEPHYR, name="tinyllama", origin=_FASTCHAT + "TinyLlama", names=("tinyllama",))
_STABLELM_ZEPHYR = replace(
    _ZEPHYR,
    name="stablelm-zephyr",
    origin=_LLAMA_CHAT + "zephyr",
    names=("stablelm-zephyr", "stablelm-2-zephyr", "stablelm-3b-zephyr", "stablelm"),
    stops=("<|endoftext|>", "<|user|>"),
)

_STABLELM_ALPHA = ChatFormat(
    "stablelm-alpha",
    _FASTCHAT + "stablelm",
    user=("<|USER|>", ""),
    assistant=("<|ASSISTANT|>", ""),
    system=("<|SYSTEM|>", "\n"),
    default_system=(
        "# StableLM Tuned (Alpha version)\n"
        "- StableLM is a helpful and harmless open-source AI language model developed by StabilityAI.\n"
        "- StableLM is excited to be able to help the user, but will refuse to do anything that could be considered "
        "harmful to the user.\n"
        "- StableLM is more than just an information source, StableLM is also able to write poetry, short stories, and "
        "make jokes.\n"
        "- StableLM will refuse to participate in anything that could harm a human."
    ),
    vocabulary=("<|USER|>", "<|ASSISTANT|>", "<|SYSTEM|>"),
    names=("stablelm-tuned-alpha",),
    stops=("<|USER|>", "<|SYSTEM|>", "<|endoftext|>"),
)

_OASST_LLAMA = ChatFormat(
    "oasst-llama",
    _FASTCHAT + "oasst_llama",
    user=("<|prompter|>", "{eos}"),
    assistant=("<|assistant|>", "{eos}"),
    system=("<|system|>", "{eos}"),
    vocabulary=("<|prompter|>", "<|assistant|>"),
    names=("oasst",),
    stops=("<|prompter|>",),
)
_OASST_PYTHIA = replace(
    _OASST_LLAMA,
    name="oasst-pythia",
    origin=_FASTCHAT + "oasst_pythia",
    vocabulary=(),
    names=("pythia-12b-sft", "oasst-sft-4-pythia", "oasst-sft-1-pythia"),
    variant_of="oasst-llama",
    stops=("<|endoftext|>", "<|prompter|>"),
)

MARKED: tuple[ChatFormat, ...] = (
    _LLAMA_4,
    _LLAMA_3,
    _LLAMA_3_1,
    replace(
        _LLAMA_3_1,
        name="llama-3.2",
        origin=_TEMPLATES + "meta-llama-Llama-3.2-3B-Instruct.jinja",
        names=("llama-3.2", "meta-llama-3.2"),
    ),
    _GEMMA_4,
    _GEMMA,
    _GPT_OSS,
    _GRANITE_3,
    _GRANITE_4,
    _COMMAND_R,
    _DEEPSEEK,
    _DEEPSEEK_R1,
    _GLM_4,
    _CHATGLM_3,
    _PHI_3,
    _PHI_4_MINI,
    _FALCON_3,
    _TULU,
    _OPENCHAT,
    _OPEN_ORCA,
    _ZEPHYR,
    _TINYLLAMA,
    _STABLELM_ZEPHYR,
    _STABLELM_ALPHA,
    _OASST_LLAMA,
    _OASST_PYTHIA,
)
