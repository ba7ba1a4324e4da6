"""One way of writing a conversation down for a model, told by what stands before and after each message."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

_PLACEHOLDER = re.compile(r"(\{bos\}|\{eos\}|\{round\}|\{date:[^}]*\})")


class SystemPlace(Enum):
    """Where the system prompt stands."""

    OWN = "own"  # in a message of its own
    FIRST_QUESTION = "first_question"  # inside the first message of the user
    LAST_QUESTION = "last_question"  # inside the last one


@dataclass(frozen=True)
class ChatFormat:
    """What stands before and after each message.

    In the texts `{bos}` and `{eos}` stand for the vocabulary's own tokens, `{round}` for the number of the question,
    `{date:…}` for today in strftime's notation. Where a text begins without `{bos}`, the tokenizer puts that token in
    front if the model's file wants it.
    """

    name: str
    origin: str  # who published the format
    user: tuple[str, str]
    assistant: tuple[str, str]
    system: tuple[str, str]
    begin: str = ""
    generation: str | None = None  # what asks for an answer; None: what stands before each
    system_place: SystemPlace = SystemPlace.OWN
    default_system: str | None = None  # the system prompt where the person gave none; None: nothing is written
    first_round: int = 1
    vocabulary: tuple[str, ...] = ()  # tokens of which all must exist for this format to be chosen by them
    names: tuple[str, ...] = ()  # words in a model's name that tell this format, with "-" between their parts
    variant_of: str = ""  # the format whose vocabulary it shares; its name then decides between the two
    stops: tuple[str, ...] = ()  # text that ends an answer, besides the vocabulary's end tokens
    is_confirmed: bool = True  # False: written down from memory, not compared with what was published

    @cached_property
    def source(self) -> str:
        """The format as a Jinja template, one that people can read and change."""
        lines = [
            f"{{#- {self.name}: {self.origin} #}}",
            *self._begin_state(),
            *self._find_last_question(),
            *_output(_literal(self.begin)),
            *self._default_system(),
            "{%- for message in messages %}",
            "{%- if message.role == 'system' %}",
            *self._on_system("message.content|trim"),
            "{%- elif message.role == 'assistant' %}",
            *_output(_around(self.assistant, "message.content|trim")),
            "{%- else %}",
            *self._on_user(),
            "{%- endif %}",
            "{%- endfor %}",
            "{%- if add_generation_prompt %}",
            *_output(_literal(self.assistant[0] if self.generation is None else self.generation)),
            "{%- endif %}",
        ]
        return "\n".join(lines)

    @property
    def _counts_rounds(self) -> bool:
        return "{round}" in self.user[0] or self.system_place is SystemPlace.LAST_QUESTION

    def _begin_state(self) -> list[str]:
        if self.system_place is SystemPlace.OWN and not self._counts_rounds:
            return []
        return [f"{{%- set state = namespace(system='', round={self.first_round}) %}}"]

    def _find_last_question(self) -> list[str]:
        if self.system_place is not SystemPlace.LAST_QUESTION:
            return []
        return [
            "{%- set last = namespace(question=0) %}",
            "{%- for message in messages if message.role not in ('system', 'assistant') %}",
            "{%- set last.question = loop.index %}",
            "{%- endfor %}",
        ]

    def _default_system(self) -> list[str]:
        if self.default_system is None:
            return []
        text = json.dumps(self.default_system, ensure_ascii=False)
        return ["{%- if not messages or messages[0].role != 'system' %}", *self._on_system(text), "{%- endif %}"]

    def _on_system(self, text: str) -> list[str]:
        if self.system_place is SystemPlace.OWN:
            return _output(_around(self.system, text))
        return [f"{{%- set state.system = {_around(self.system, text)} %}}"]

    def _on_user(self) -> list[str]:
        before, after = self.user
        counting = ["{%- set state.round = state.round + 1 %}"]
        text = f"{_literal(before)} ~ state.system ~ message.content|trim ~ {_literal(after)}"
        match self.system_place:
            case SystemPlace.OWN:
                counted = counting if self._counts_rounds else []
                return [*_output(_around(self.user, "message.content|trim")), *counted]
            case SystemPlace.FIRST_QUESTION:
                return [*_output(text), "{%- set state.system = '' %}"]
            case SystemPlace.LAST_QUESTION:
                return [
                    "{%- if state.round == last.question %}",
                    *_output(text),
                    "{%- else %}",
                    *_output(_around(self.user, "message.content|trim")),
                    "{%- endif %}",
                    *counting,
                ]


def _output(expression: str) -> list[str]:
    return [f"{{{{- {expression} }}}}"] if expression != "''" else []


def _around(texts: tuple[str, str], expression: str) -> str:
    parts = [_literal(texts[0]), expression, _literal(texts[1])]
    return " ~ ".join(part for part in parts if part != "''")


def _literal(text: str) -> str:
    """A Jinja expression for a text with placeholders in it."""
    return " ~ ".join(_expression(part) for part in _PLACEHOLDER.split(text) if part) or "''"


def _expression(part: str) -> str:
    match part:
        case "{bos}":
            return "bos_token"
        case "{eos}":
            return "eos_token"
        case "{round}":
            return "state.round"
    if part.startswith("{date:"):
        return f"strftime_now({json.dumps(part[len('{date:') : -1])})"
    return json.dumps(part, ensure_ascii=False)
