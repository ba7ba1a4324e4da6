"""The JSON file that a scripted engine plays from.

    {
      "answers": [{"when": "^hello", "text": "Hi! ", "repeat": 3}],
      "loads": [{"path": "broken", "error": {"kind": "corrupt", "details": {"reason": "made up"}}}]
    }

Each rule of `answers` is an `AnswerRule`, each of `loads` a `LoadRule`, each of `gpus` a `ScriptedGpu`; the fields are
theirs. A model is loaded on the first GPU unless another device is wanted. The first rule
whose pattern (a regular expression, searched in the last message of the user, or in the path) is found counts; a
rule without a pattern always does. Unknown fields are mistakes and refused.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from app.core.errors import UserError
from app.core.events import FinishReason

_Rule = TypeVar("_Rule", "AnswerRule", "LoadRule", "ScriptedGpu")


@dataclass(frozen=True, slots=True)
class Crash:
    """The end of the child before token `at_token`, by a signal (its name) or with an exit code."""

    at_token: int = 0
    signal: str = ""
    exit_code: int = 1


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """How to answer. A token is a word with the space before it; a rate of 0 means as fast as possible."""

    when: str = ""
    text: str = ""
    repeat: int = 1
    reasoning: str = ""
    tokens_per_second: float = 0.0
    first_token_ms: float = 0.0  # how long reading the prompt takes
    prompt_steps: int = 0  # how often it is reported meanwhile
    finish: FinishReason = FinishReason.END
    error: UserError | None = None  # in place of an answer, or after `text`
    crash: Crash | None = None
    hang_at_token: int | None = None  # from here on nothing happens, whatever is asked

    @property
    def tokens(self) -> list[str]:
        """The text in the pieces in which it is sent."""
        return split_tokens(self.text * self.repeat)


@dataclass(frozen=True, slots=True)
class LoadRule:
    """How a model loads; on devices whose name begins with `device` only.

    `replaces`: the model before has to go first, and is lost when this one does not come.
    """

    path: str = ""
    name: str = "Scripted model"
    context_length: int = 4096
    duration_ms: float = 0.0
    error: UserError | None = None
    crash: Crash | None = None
    device: str = ""
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class ScriptedGpu:
    """A made-up graphics card, and what its self-test says or does."""

    name: str
    description: str = "Made-up graphics card"
    driver: str = "1.0"
    problem: str = ""
    prompt_tokens_per_second: float = 1000.0
    generation_tokens_per_second: float = 100.0
    crash: Crash | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """All rules, in order."""

    answers: tuple[AnswerRule, ...] = (AnswerRule(text="Yes."),)
    loads: tuple[LoadRule, ...] = (LoadRule(),)
    gpus: tuple[ScriptedGpu, ...] = ()
    version: str = "1"  # of the engine
    processor_crash: Crash | None = None  # in its self-test

    def answer_to(self, text: str) -> AnswerRule:
        """The rule for a user's message; an empty answer when none fits."""
        return next((rule for rule in self.answers if re.search(rule.when, text)), AnswerRule())

    def load_of(self, path: str, device: str = "") -> LoadRule:
        """The rule for a model file on a device; the plain one when none fits."""
        fitting = (rule for rule in self.loads if re.search(rule.path, path) and device.startswith(rule.device))
        return next(fitting, LoadRule())

    def gpu(self, name: str) -> ScriptedGpu | None:
        """The graphics card with this name."""
        return next((gpu for gpu in self.gpus if gpu.name == name), None)


def read_script(path: Path) -> Script:
    """The script in a file. Raises OSError or ValueError with what is wrong in it."""
    data = json.loads(path.read_text(encoding="utf-8"))
    _check_fields(data, Script)
    answers = tuple(_rule(each, AnswerRule) for each in data.get("answers", ()))
    loads = tuple(_rule(each, LoadRule) for each in data.get("loads", ()))
    gpus = tuple(_rule(each, ScriptedGpu) for each in data.get("gpus", ()))
    version = str(data.get("version", Script().version))
    crash = data.get("processor_crash")
    if crash is not None:
        _check_fields(crash, Crash)
        crash = Crash(**crash)
    return Script(answers or Script().answers, loads or Script().loads, gpus, version, crash)


def split_tokens(text: str) -> list[str]:
    """Words, each with the space before it; joined they are the text again."""
    return re.findall(r"\s*\S+|\s+", text)


def _rule(data: Any, kind: type[_Rule]) -> _Rule:
    _check_fields(data, kind)
    values = dict(data)
    if "error" in values:
        values["error"] = UserError.from_json(values["error"])
    if "crash" in values:
        _check_fields(values["crash"], Crash)
        values["crash"] = Crash(**values["crash"])
    if "finish" in values:
        values["finish"] = FinishReason(values["finish"])
    return kind(**values)


def _check_fields(data: Any, kind: type[Any]) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{kind.__name__}: not an object")
    unknown = data.keys() - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__}: unknown fields {', '.join(sorted(unknown))}")
