"""What a look at a chat template finds: how it writes a few fixed dialogues down, and what it cannot do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.core.chat_format import ChatFormat
from app.core.chat_formats import format_named

OWN = "own"
"""The name of a template that the person wrote, beside "file" and those of the table."""
FILE = "file"
_NAMED = "format:"


class Dialogue(StrEnum):
    """The dialogues that every template is tried on."""

    SYSTEM = "system"  # a system prompt and a question
    TURNS = "turns"  # three questions, two answers
    TOOLS = "tools"  # a tool is offered, called, and has answered
    REASONING = "reasoning"  # an answer that was thought about first


class TemplateFindingKind(StrEnum):
    """What may be found."""

    MISSING = "missing"  # the file has none
    FAILS = "fails"  # it cannot write the simplest dialogue down: reason, line
    NO_GENERATION_PROMPT = "no_generation_prompt"  # it never asks for an answer
    FAILS_ON = "fails_on"  # one dialogue: dialogue, reason, line
    SYSTEM_IN_QUESTION = "system_in_question"  # it takes no system prompt; that goes before the first question
    NO_TOOLS = "no_tools"  # it never mentions the tools that are offered

    @property
    def makes_unusable(self) -> bool:
        """Whether another template has to be used."""
        return self in (self.MISSING, self.FAILS, self.NO_GENERATION_PROMPT)


class TemplateState(StrEnum):
    """How the template in a model file stands, in a word."""

    UNKNOWN = ""  # nobody has looked
    GOOD = "good"  # it is used
    MISSING = "missing"  # the file has none: another one is used
    REPLACED = "replaced"  # it cannot be used: another one is
    DEADLY = "deadly"  # it ended the process that tried it


@dataclass(frozen=True, slots=True)
class TemplateLook:
    """What was found of the template in a file: `used` names what the model is talked to with where that is another."""

    path: str
    size_bytes: int  # of the model then; the same path with another size is another file
    state: TemplateState
    used: str = ""


@dataclass(frozen=True, slots=True)
class TemplateFinding:
    """One thing worth telling."""

    kind: TemplateFindingKind
    dialogue: str = ""  # a Dialogue
    reason: str = ""  # the template's or Jinja's own words
    line: int = 0  # of the template's source, from 1; 0: not known


@dataclass(frozen=True, slots=True)
class RenderedDialogue:
    """How a template writes a dialogue down, or why it does not.

    `messages` are the stretches of `text` that people or the model wrote, as (start, end) in characters; they are
    known for dialogues without tools and reasoning.
    """

    dialogue: Dialogue
    text: str
    messages: tuple[tuple[int, ...], ...] = ()
    reason: str = ""
    line: int = 0


def named_template(name: str) -> str:
    """What to give in place of a template's source for a format of the table."""
    return _NAMED + name


def template_format(template: str) -> ChatFormat | None:
    """The format of the table that a choice names; None for a template's own source and for unknown names."""
    return format_named(template.removeprefix(_NAMED)) if template.startswith(_NAMED) else None
