"""Writes the training dialogues: questions from templates and paraphrases, with the fixed answers.

Everything is drawn from one `random.Random`, so a seed gives the same corpus on every machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import phrases
import skills
from answers import fixed_answers, help_answers
from heldout import HeldOut, normalised, read_held_out
from noise import decorate, roughen
from rewording import reword

FOLDER = phrases.FOLDER
SKILLS = ("tell_name", "recall_name", "add", "repeat")
SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer briefly.",
    "You are Hearth's built-in model.",
    "Answer in short sentences.",
    "You are a patient teacher. Explain everything in simple words.",
    "You are a friendly expert.",
    "Be brief and polite.",
    "Always answer in English.",
    "You are a pirate. Answer like one.",
    "You are a careful programmer. Comment your code.",
    "Use simple words.",
    "You are an assistant who helps with writing letters and emails.",
    "Do not make things up. If you do not know something, say so.",
    "The user is a beginner.",
    "Be helpful, honest and harmless.",
    "You are a tutor for maths. Think step by step before you answer.",
    "Answer as a lawyer would. Quote the law.",
    "Write in British English and avoid long words.",
    "You are Max, a cheerful robot.",
    "Today is Monday. The user lives in Berlin and likes cats.",
)
DEVELOPMENT_ONE_IN = 20
_PASTED_LINES = 12


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer; `kind` is the intent."""

    question: str
    answer: str
    kind: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What one training example says; `system` is the system prompt, if any."""

    system: str | None
    turns: tuple[Turn, ...]


@dataclass(slots=True)
class Shares:
    """How often each kind of turn comes, relative to the others."""

    help: float = 0.53
    small_talk: float = 0.10
    out_of_scope: float = 0.18
    add: float = 0.15
    name: float = 0.07
    repeat: float = 0.05


def read_paraphrases() -> dict[str, list[str]]:
    """The hand-written questions of every intent, in the order of the files."""
    merged: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("paraphrases_*.json")):
        for intent, questions in json.loads(path.read_text(encoding="utf-8")).items():
            merged.setdefault(intent, []).extend(questions)
    return merged


@dataclass(slots=True)
class Corpus:
    """The generator. Some paraphrases never become training material and make up `development_set`."""

    rng: Random
    held_out: HeldOut = field(default_factory=read_held_out)
    shares: Shares = field(default_factory=Shares)
    boost: dict[str, float] = field(default_factory=dict)
    development_set: dict[str, list[str]] = field(init=False, default_factory=dict)
    _templates: dict[str, list[str]] = field(init=False)
    _paraphrases: dict[str, list[str]] = field(init=False)
    _slots: dict[str, list[str]] = field(init=False)
    _answers: dict[str, str] = field(init=False)
    _help_ids: list[str] = field(init=False)
    _small_ids: list[str] = field(init=False)
    _names: list[str] = field(init=False)
    _words: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._templates = phrases.read_templates(FOLDER / "templates_help.txt")
        self._templates |= phrases.read_templates(FOLDER / "templates_other.txt")
        self._slots = phrases.read_slots()
        self._answers = fixed_answers()
        self._help_ids = list(help_answers())
        self._small_ids = [k for k in self._answers if k not in self._help_ids and k != "out_of_scope"]
        self._names = [name for name in skills.real_names() if not self.held_out.has_name(name)]
        words = (word for slot in self._slots.values() for word in slot)
        self._words = [word for word in words if word.isalpha() and not self.held_out.has_name(word)]
        self._paraphrases = {}
        for intent, questions in read_paraphrases().items():
            kept = [q for q in questions if intent in SKILLS or not self.held_out.has_question(q)]
            if intent not in SKILLS:
                self.development_set[intent] = kept[7::DEVELOPMENT_ONE_IN]
                apart = {normalised(q) for q in self.development_set[intent]}
                kept = [q for q in kept if normalised(q) not in apart]
            self._paraphrases[intent] = kept
        missing = (set(self._help_ids) | set(self._small_ids)) - set(self._templates)
        if missing:
            raise ValueError(f"no templates for {sorted(missing)}")

    @property
    def help_intents(self) -> tuple[str, ...]:
        return tuple(self._help_ids)

    def dialogues(self, count: int) -> Iterator[Dialogue]:
        for _ in range(count):
            yield self.dialogue()

    def dialogue(self, most_turns: int = 5) -> Dialogue:
        """One example: mostly a single question, else a chat of several turns."""
        rng = self.rng
        system = self._system_prompt() if rng.random() < 0.15 else None
        length = 1 if rng.random() < 0.82 else rng.randint(2, most_turns)
        turns: list[Turn] = []
        name: str | None = None
        while len(turns) < length:
            kind = self._kind(rng, name is not None, length)
            if kind == "name":
                name = self._add_name_turns(turns, name)
            else:
                turns.append(self._turn(kind, follows=bool(turns)))
        return Dialogue(system, tuple(turns))

    def question(self, intent: str) -> str:
        """A question of a fixed intent as typed, never one of the held-out set."""
        rng = self.rng
        while True:
            written = self._paraphrases.get(intent, [])
            templates = self._templates[intent]
            if intent == "out_of_scope":
                core = self._out_of_scope(written, templates)
            elif written and rng.random() < 0.55:
                core = reword(rng, rng.choice(written))
            else:
                core = reword(rng, phrases.expand(rng, rng.choice(templates), self._slots))
            if self.held_out.has_question(core):
                continue
            if intent not in self._small_ids:
                core = decorate(rng, core, 0.12 if intent == "out_of_scope" else 0.26)
            text = roughen(rng, core, question=intent not in self._small_ids)
            if text and not self.held_out.has_question(text):
                return text

    def sum_turn(self) -> Turn:
        """An addition that is not held out."""
        rng = self.rng
        while True:
            numbers = skills.random_sum(rng)
            if self.held_out.has_sum(numbers) or self.is_development_sum(numbers):
                continue
            template = roughen(rng, decorate(rng, rng.choice(self._paraphrases["add"]), 0.12))
            return Turn(skills.fill_sum(rng, template, numbers), numbers.answer, "add")

    @staticmethod
    def is_development_sum(numbers: skills.Sum) -> bool:
        """One pair in twelve is kept apart to see whether sums are computed or memorised."""
        low, high = numbers.key
        return high >= 10 and (low * 7 + high * 31) % 12 == 5

    def name_pair(self, name: str) -> tuple[Turn, Turn]:
        """Telling and recalling one name."""
        tell = self._named(self._paraphrases["tell_name"], name)
        recall = roughen(self.rng, self.rng.choice(self._paraphrases["recall_name"]))
        shown = name if name in tell else next(n for n in (name.lower(), name.upper()) if n in tell)
        return (
            Turn(tell, skills.greeting_for(shown), "tell_name"),
            Turn(recall, skills.recall_of(shown), "recall_name"),
        )

    def new_name(self) -> str:
        rng = self.rng
        while True:
            real = rng.random() < 0.4
            name = skills.adorned(rng, rng.choice(self._names)) if real else self.invented_name()
            if rng.random() < 0.05:
                name = f"{name} {self.invented_name()}"
            if not self.held_out.has_name(name):
                return name

    def invented_name(self) -> str:
        """One that is not held out, nor has a part that is."""
        while self.held_out.has_name(name := skills.invented_name(self.rng)):
            pass
        return name

    def _kind(self, rng: Random, name_known: bool, length: int) -> str:
        shares = self.shares
        name = shares.name * (5 if name_known else 3 if length > 1 else 0.35)
        weights = (shares.help, shares.small_talk, shares.out_of_scope, shares.add, name, shares.repeat)
        return rng.choices(("help", "small_talk", "out_of_scope", "add", "name", "repeat"), weights)[0]

    def _turn(self, kind: str, follows: bool) -> Turn:
        rng = self.rng
        if kind == "add":
            return self.sum_turn()
        if kind == "repeat":
            return Turn(*skills.repetition(rng, self._words, self.invented_name), "repeat")
        if kind == "help":
            weights = [self.boost.get(key, 1.0) for key in self._help_ids]
            intent = rng.choices(self._help_ids, weights)[0]
        else:
            intent = rng.choice(self._small_ids) if kind == "small_talk" else "out_of_scope"
        text = self.question(intent)
        if follows and kind == "help" and rng.random() < 0.12:
            text = rng.choice(("and ", "And ", "ok, and ", "also, ", "Thanks. ", "next: ", "now ")) + text
        return Turn(text, self._answers[intent], intent)

    def _add_name_turns(self, turns: list[Turn], name: str | None) -> str | None:
        """Appends a turn about the name of the person; returns the name that is known afterwards."""
        rng = self.rng
        if name is None and rng.random() < 0.12:
            question = roughen(rng, rng.choice(self._paraphrases["recall_name"]))
            turns.append(Turn(question, skills.recall_of(None), "recall_name"))
            return None
        if name is None or rng.random() < 0.08:
            tell, _ = self.name_pair(self.new_name())
            shown = tell.answer.removeprefix("Nice to meet you, ").removesuffix(".")
            if rng.random() < 0.2:  # the name and a question in one message
                intent = rng.choice(self._help_ids)
                text = f"{tell.question.rstrip()} {self.question(intent)}"
                turns.append(Turn(text, f"{tell.answer} {self._answers[intent]}", "tell_name"))
            else:
                turns.append(tell)
            return shown
        question = roughen(rng, rng.choice(self._paraphrases["recall_name"]))
        turns.append(Turn(question, skills.recall_of(name), "recall_name"))
        return name

    def _named(self, templates: list[str], name: str) -> str:
        text = roughen(self.rng, self.rng.choice(templates), question=False, typos=False)
        shown = name.upper() if text.isupper() or self.rng.random() < 0.04 else name
        if text.islower() and self.rng.random() < 0.7:
            shown = name.lower()
        return re.sub(r"\{name\}", lambda _: shown, text)

    def _out_of_scope(self, written: list[str], templates: list[str]) -> str:
        rng = self.rng
        draw = rng.random()
        if draw < 0.38 and written:
            return reword(rng, rng.choice(written))
        if draw < 0.84:
            return phrases.expand(rng, rng.choice(templates), self._slots)
        if draw < 0.92:
            return skills.other_arithmetic(rng)
        if draw < 0.96:
            return self._gibberish()
        return self._pasted_text(written, templates)

    def _gibberish(self) -> str:
        rng = self.rng
        words = []
        for _ in range(rng.randint(1, 5)):
            if rng.random() < 0.5:
                words.append("".join(rng.choice("asdfghjklqwertyuiopzxcvbnm") for _ in range(rng.randint(3, 9))))
            else:
                words.append(self.invented_name().lower())
        return " ".join(words)

    def _pasted_text(self, written: list[str], templates: list[str]) -> str:
        """Several sentences of a foreign subject, as if somebody had pasted a text."""
        rng = self.rng
        lines = []
        for _ in range(rng.randint(2, _PASTED_LINES)):
            line = (
                rng.choice(written) if rng.random() < 0.5 else phrases.expand(rng, rng.choice(templates), self._slots)
            )
            lines.append(line.rstrip("?. ") + ".")
        return rng.choice((" ", "\n")).join(lines)

    def _system_prompt(self) -> str:
        rng = self.rng
        if rng.random() < 0.7:
            return rng.choice(SYSTEM_PROMPTS)
        intent = rng.choice(("out_of_scope", rng.choice(self._help_ids)))
        return f"{rng.choice(SYSTEM_PROMPTS)} {self.question(intent)}"
