"""Hearth's own table of chat formats, for model files that carry no chat template or a broken one.

Many files of 2023 are such. The format is chosen by the marks that exist in the vocabulary, then by words in the
model's name; a model that shows neither gets plain "User:" and "Assistant:" lines, which every model has read. The
formats are facts published with each model family; each becomes a Jinja template so that there is one way to render.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from app.core.reasoning import marks_of


@dataclass(frozen=True)
class ChatFormat:
    """What stands before and after each message. `{bos}` and `{eos}` stand for the vocabulary's own tokens."""

    name: str
    user: tuple[str, str]
    assistant: tuple[str, str]
    system: tuple[str, str]
    begin: str = "{bos}"
    generation: str | None = None  # what asks for an answer; None: what stands before each
    system_inside_user: bool = False  # the system prompt is part of the first message of the user
    vocabulary: tuple[str, ...] = ()  # tokens of which all must exist for this format to be chosen
    names: tuple[str, ...] = ()  # words in a model's name that tell this format
    stops: tuple[str, ...] = ()  # text that ends an answer, besides the vocabulary's end tokens

    @cached_property
    def source(self) -> str:
        """The format as a Jinja template."""
        system = f"{_literal(self.system[0])} ~ message.content|trim ~ {_literal(self.system[1])}"
        if self.system_inside_user:
            on_system = f"{{% set pending.system = {system} %}}"
        else:
            on_system = f"{{{{ {system} }}}}"
        user = f"{_literal(self.user[0])} ~ pending.system ~ message.content|trim ~ {_literal(self.user[1])}"
        assistant = f"{_literal(self.assistant[0])} ~ message.content|trim ~ {_literal(self.assistant[1])}"
        asking = self.assistant[0] if self.generation is None else self.generation
        return (
            "{% set pending = namespace(system='') %}"
            f"{{{{ {_literal(self.begin)} }}}}"
            "{% for message in messages %}"
            f"{{% if message.role == 'system' %}}{on_system}"
            f"{{% elif message.role == 'assistant' %}}{{{{ {assistant} }}}}"
            f"{{% else %}}{{{{ {user} }}}}{{% set pending.system = '' %}}"
            "{% endif %}{% endfor %}"
            f"{{% if add_generation_prompt %}}{{{{ {_literal(asking)} }}}}{{% endif %}}"
        )


def _literal(text: str) -> str:
    """A Jinja expression for a text with `{bos}` and `{eos}` in it."""
    parts = re.split(r"(\{bos\}|\{eos\})", text)
    names = {"{bos}": "bos_token", "{eos}": "eos_token"}
    return " ~ ".join(names.get(part) or json.dumps(part) for part in parts if part) or "''"


def _marked(name: str, begin: str, before: str, after: str, answerer: str = "assistant") -> ChatFormat:
    """A format that marks all roles alike; `%` in `before` stands for the role."""
    first_mark = re.findall(r"<[^>]+>", before.replace("%", "user"))
    last_mark = re.findall(r"<[^>]+>", after)
    return ChatFormat(
        name,
        user=(before.replace("%", "user"), after),
        assistant=(before.replace("%", answerer), after),
        system=(before.replace("%", "system"), after),
        begin=begin,
        vocabulary=(*first_mark, *last_mark),
        stops=tuple(last_mark),
    )


PLAIN = ChatFormat(
    "plain",
    user=("User: ", "\n"),
    assistant=("Assistant: ", "\n"),
    system=("", "\n\n"),
    generation="Assistant:",
    stops=("\nUser:", "\nAssistant:"),
)

# In the order in which they are tried: the more particular vocabulary comes first.
FORMATS: tuple[ChatFormat, ...] = (
    _marked("phi-4", "", "<|im_start|>%<|im_sep|>", "<|im_end|>"),
    _marked("llama-4", "{bos}", "<|header_start|>%<|header_end|>\n\n", "<|eot|>"),
    _marked("llama-3", "{bos}", "<|start_header_id|>%<|end_header_id|>\n\n", "<|eot_id|>"),
    _marked("chatml", "", "<|im_start|>%\n", "<|im_end|>\n"),
    _marked("gemma-4", "{bos}", "<|turn>%\n", "<turn|>\n", answerer="model"),
    ChatFormat(
        "gemma",
        user=("<start_of_turn>user\n", "<end_of_turn>\n"),
        assistant=("<start_of_turn>model\n", "<end_of_turn>\n"),
        system=("", "\n\n"),
        system_inside_user=True,
        vocabulary=("<start_of_turn>", "<end_of_turn>"),
        stops=("<end_of_turn>",),
    ),
    _marked("granite", "", "<|start_of_role|>%<|end_of_role|>", "<|end_of_text|>\n"),
    ChatFormat(
        "command-r",
        user=("<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        assistant=("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        system=("<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        vocabulary=("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        stops=("<|END_OF_TURN_TOKEN|>",),
    ),
    ChatFormat(
        "deepseek",
        user=("<｜User｜>", ""),
        assistant=("<｜Assistant｜>", "{eos}"),
        system=("", ""),
        vocabulary=("<｜User｜>", "<｜Assistant｜>"),
        stops=("<｜User｜>",),
    ),
    ChatFormat(
        "glm-4",
        user=("<|user|>\n", ""),
        assistant=("<|assistant|>\n", ""),
        system=("<|system|>\n", ""),
        begin="[gMASK]<sop>",
        generation="<|assistant|>",
        vocabulary=("[gMASK]", "<|user|>", "<|assistant|>"),
        stops=("<|user|>",),
    ),
    ChatFormat(
        "phi-3",
        user=("<|user|>\n", "<|end|>\n"),
        assistant=("<|assistant|>\n", "<|end|>\n"),
        system=("<|system|>\n", "<|end|>\n"),
        begin="",
        vocabulary=("<|user|>", "<|assistant|>", "<|end|>"),
        stops=("<|end|>", "<|user|>"),
    ),
    ChatFormat(
        "openchat",
        user=("GPT4 Correct User: ", "<|end_of_turn|>"),
        assistant=("GPT4 Correct Assistant: ", "<|end_of_turn|>"),
        system=("", "<|end_of_turn|>"),
        generation="GPT4 Correct Assistant:",
        vocabulary=("<|end_of_turn|>",),
        names=("openchat", "starling"),
        stops=("<|end_of_turn|>",),
    ),
    ChatFormat(
        "zephyr",
        user=("<|user|>\n", "{eos}\n"),
        assistant=("<|assistant|>\n", "{eos}\n"),
        system=("<|system|>\n", "{eos}\n"),
        begin="",
        names=("zephyr", "tinyllama", "stablelm"),
        stops=("<|user|>",),
    ),
    ChatFormat(
        "mistral",
        user=("[INST] ", " [/INST]"),
        assistant=(" ", "{eos}"),
        system=("", "\n\n"),
        generation="",
        system_inside_user=True,
        vocabulary=("[INST]", "[/INST]"),
        names=("mistral", "mixtral"),
        stops=("[INST]",),
    ),
    ChatFormat(
        "vicuna",
        user=("USER: ", " "),
        assistant=("ASSISTANT: ", "{eos}"),
        system=("", " "),
        generation="ASSISTANT:",
        names=("vicuna", "wizardlm", "llava"),
        stops=("USER:",),
    ),
    ChatFormat(
        "alpaca",
        user=("### Instruction:\n", "\n\n"),
        assistant=("### Response:\n", "{eos}\n\n"),
        system=("", "\n\n"),
        names=("alpaca", "wizardcoder", "mythomax", "phind"),
        stops=("### Instruction:",),
    ),
    ChatFormat(
        "llama-2",
        user=("{bos}[INST] ", " [/INST]"),
        assistant=(" ", " {eos}"),
        system=("<<SYS>>\n", "\n<</SYS>>\n\n"),
        begin="",
        generation="",
        system_inside_user=True,
        names=("llama-2", "llama 2", "llama2", "llama_2", "codellama"),
        stops=("[INST]",),
    ),
    PLAIN,
)


def choose_format(token_texts: Collection[str], model_name: str) -> ChatFormat:
    """The format for a model without a usable template.

    `token_texts` are the texts of the control and added tokens, `model_name` is the file's own name or its path's.
    Words in a name count only for models that chat: a base model named "mistral" gets the plain format.
    """
    for known in FORMATS:
        if known.vocabulary and all(text in token_texts for text in known.vocabulary):
            return known
    name = model_name.lower()
    if "base" not in re.split(r"[^a-z]+", name):
        for known in FORMATS:
            if any(word in name for word in known.names):
                return known
    return PLAIN


_END_MARKS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|eot|>",
    "<end_of_turn>",
    "<turn|>",
    "<|end|>",
    "<|end_of_turn|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|END_OF_TURN_TOKEN|>",
    "<｜end▁of▁sentence｜>",
    "[|endofturn|]",
)
"""Texts that end a message in common templates. `</s>` is not among them: it is a word of HTML."""


def end_marks_in(template_source: str) -> tuple[str, ...]:
    """End marks that a template uses: a model that spells one out in ordinary tokens has ended its answer too.

    Marks that end only the thinking (<|end|> of gpt-oss) are none.
    """
    closings = {marks.closing for marks in marks_of(template_source)}
    return tuple(mark for mark in _END_MARKS if mark in template_source and mark not in closings)
