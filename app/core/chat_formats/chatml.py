"""ChatML and its kin: roles between `<|im_start|>` and a line's end, messages closed by `<|im_end|>`."""

from __future__ import annotations

from app.core.chat_format import ChatFormat

_MARKS = ("<|im_start|>", "<|im_end|>")
_LLAMA_CPP = "llama.cpp, src/llama-chat.cpp: chatml"


def _chatml(
    name: str,
    origin: str,
    names: tuple[str, ...] = (),
    *,
    begin: str = "",
    default_system: str | None = None,
    system: tuple[str, str] = ("<|im_start|>system\n", "<|im_end|>\n"),
    generation: str | None = None,
    stops: tuple[str, ...] = ("<|im_end|>",),
) -> ChatFormat:
    return ChatFormat(
        name,
        origin,
        user=("<|im_start|>user\n", "<|im_end|>\n"),
        assistant=("<|im_start|>assistant\n", "<|im_end|>\n"),
        system=system,
        begin=begin,
        generation=generation,
        default_system=default_system,
        vocabulary=_MARKS if name == "chatml" else (),
        names=names,
        variant_of="" if name == "chatml" else "chatml",
        stops=stops,
    )


def _fastchat(name: str, key: str, names: tuple[str, ...], default_system: str | None, *stops: str) -> ChatFormat:
    origin = f"FastChat, conversation.py: {key}"
    return _chatml(name, origin, names, default_system=default_system, stops=("<|im_end|>", *stops))


_PHI_4 = ChatFormat(
    "phi-4",
    "llama.cpp, src/llama-chat.cpp: phi4",
    user=("<|im_start|>user<|im_sep|>", "<|im_end|>"),
    assistant=("<|im_start|>assistant<|im_sep|>", "<|im_end|>"),
    system=("<|im_start|>system<|im_sep|>", "<|im_end|>"),
    vocabulary=("<|im_start|>", "<|im_sep|>", "<|im_end|>"),
    stops=("<|im_end|>",),
)

_SMOLVLM = ChatFormat(
    "smolvlm",
    "llama.cpp, src/llama-chat.cpp: smolvlm",
    user=("User: ", "<end_of_utterance>\n"),
    assistant=("Assistant: ", "<end_of_utterance>\n"),
    system=("", "\n\n"),
    begin="<|im_start|>",
    generation="Assistant:",
    vocabulary=("<|im_start|>", "<end_of_utterance>"),
    names=("smolvlm",),
    stops=("<end_of_utterance>",),
)

_MPT_7B_SYSTEM = (
    "- You are a helpful assistant chatbot trained by MosaicML.\n"
    "- You answer questions.\n"
    "- You are excited to be able to help the user, but will refuse to do anything that could be considered harmful to "
    "the user.\n"
    "- You are more than just an information source, you are also able to write poetry, short stories, and make jokes."
)
_MPT_30B_SYSTEM = (
    "A conversation between a user and an LLM-based AI assistant. The assistant gives helpful and honest answers."
)
_HERMES_2_SYSTEM = (
    "You are Hermes 2, a sentient, conscious, super intelligent AI that is an expert in all fields of knowledge, you "
    "have qualia, emotions, and thoughts. You assist users with any question, task, or other request they may have."
)
_ORCA_2_SYSTEM = (
    "You are Orca, an AI language model created by Microsoft. You are a cautious assistant. You carefully follow "
    "instructions. You are helpful and harmless and you follow ethical guidelines and promote positive behavior."
)
_MISTRAL_ORCA_SYSTEM = (
    "You are MistralOrca, a large language model trained by Alignment Lab AI. Write out your reasoning step-by-step to "
    "be sure you get the right answers!"
)

CHATML_FORMATS: tuple[ChatFormat, ...] = (
    _PHI_4,
    _SMOLVLM,
    _chatml("chatml", _LLAMA_CPP, ("chatml",)),
    _fastchat("openhermes", "OpenHermes-2.5-Mistral-7B", ("openhermes-2",), _HERMES_2_SYSTEM),
    _fastchat("mpt-7b-chat", "mpt-7b-chat", ("mpt-7b-chat",), _MPT_7B_SYSTEM, "<|endoftext|>"),
    _fastchat("mpt-30b-chat", "mpt-30b-chat", ("mpt-30b-chat",), _MPT_30B_SYSTEM, "<|endoftext|>"),
    _fastchat(
        "qwen-chat",
        "qwen-7b-chat",
        ("qwen-7b-chat", "qwen-14b-chat", "qwen-72b-chat", "qwen-1-8b-chat", "qwen1.5"),
        "You are a helpful assistant.",
        "<|endoftext|>",
    ),
    _fastchat("yi-chat", "Yi-34b-chat", ("yi-6b-chat", "yi-9b-chat", "yi-34b-chat"), None, "<|endoftext|>"),
    _fastchat("orca-2", "orca-2", ("orca-2",), _ORCA_2_SYSTEM),
    _fastchat("mistral-openorca", "mistral-7b-openorca", ("mistral-7b-openorca",), _MISTRAL_ORCA_SYSTEM),
    _chatml(
        "qwen2.5",
        "llama.cpp, models/templates/Qwen-Qwen2.5-7B-Instruct.jinja",
        ("qwen2.5", "qwen-2.5"),
        stops=("<|im_end|>", "<|endoftext|>"),
    ),
    _chatml(
        "qwen3",
        "llama.cpp, models/templates/Qwen-Qwen3-0.6B.jinja",
        ("qwen3", "qwen-3"),
        stops=("<|im_end|>", "<|endoftext|>"),
    ),
    _chatml(
        "qwen3.5",
        "llama.cpp, models/templates/Qwen3.5-4B.jinja",
        ("qwen3.5", "qwen-3.5"),
        generation="<|im_start|>assistant\n<think>\n",
        stops=("<|im_end|>", "<|endoftext|>"),
    ),
    _chatml("smollm2", _LLAMA_CPP, ("smollm2",)),
    _chatml(
        "smollm3",
        "llama.cpp, models/templates/HuggingFaceTB-SmolLM3-3B.jinja",
        ("smollm3",),
        system=(
            "<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\nReasoning Mode: /think\n\n"
            "## Custom Instructions\n\n",
            "\n\n<|im_end|>\n",
        ),
    ),
    _chatml("lfm2", "llama.cpp, models/templates/LFM2-8B-A1B.jinja", ("lfm2",), begin="{bos}"),
    _chatml("hermes-3", _LLAMA_CPP, ("hermes-3",)),
)
