"""Tells a model's thinking from its answer while both stream in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.core.stops import partial_suffix_pattern


@dataclass(frozen=True, slots=True)
class ReasoningMarks:
    """How a family of models marks its thinking.

    Thinking begins with one of `openings` and ends with `closing`; some families also open the answer itself.
    """

    openings: tuple[str, ...]
    closing: str
    answer_openings: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """All marks of this family."""
        return (*self.openings, self.closing, *self.answer_openings)


_THINK = ReasoningMarks(("<think>",), "</think>")

KNOWN_MARKS: tuple[ReasoningMarks, ...] = (
    _THINK,  # Qwen, DeepSeek, GLM, MiniMax, SmolLM, Nemotron and most others
    ReasoningMarks(("[THINK]",), "[/THINK]"),  # Magistral, Ministral
    ReasoningMarks(  # Command R7B, A
        ("<|START_THINKING|>",), "<|END_THINKING|>", ("<|START_RESPONSE|>", "<|START_TEXT|>")
    ),
    ReasoningMarks(("<seed:think>",), "</seed:think>"),  # Seed-OSS
    ReasoningMarks(("<mm:think>",), "</mm:think>"),  # MiniMax M3
    ReasoningMarks(("◁think▷",), "◁/think▷"),  # Kimi-VL
    ReasoningMarks(("Here are my reasoning steps:",), "[BEGIN FINAL RESPONSE]"),  # Apriel
    ReasoningMarks(("<|channel>thought",), "<channel|>"),  # Gemma 4
    ReasoningMarks(  # gpt-oss (the "harmony" format)
        ("<|channel|>analysis<|message|>", "<|start|>assistant<|channel|>analysis<|message|>"),
        "<|end|>",
        ("<|channel|>final<|message|>", "<|start|>assistant<|channel|>final<|message|>"),
    ),
)

_TAG = re.compile(r"<\|?[^<>|]+\|?>|\[/?[A-Z]+\]|◁[^▷]+▷")


def marks_of(template_source: str) -> tuple[ReasoningMarks, ...]:
    """The marks a model may use, judging by the words of its chat template; `<think>` is always among them."""

    def speaks_of(marks: ReasoningMarks) -> bool:
        first = _TAG.match(marks.openings[0])
        opening = first.group() if first else marks.openings[0]
        return opening in template_source and marks.closing in template_source

    return (_THINK, *(marks for marks in KNOWN_MARKS[1:] if speaks_of(marks)))


def opened_by(prompt_end: str, marks: Iterable[ReasoningMarks]) -> ReasoningMarks | None:
    """The marks whose thinking the prompt has opened already, so that the model begins inside it."""
    end = prompt_end.rstrip()
    for family in marks:
        if any(end.endswith(opening.rstrip()) for opening in family.openings):
            return family
    return None


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that is either thinking or answer."""

    text: str
    is_reasoning: bool


class ReasoningSplitter:
    """Splits a stream into thinking and answer.

    Thinking is recognised at the very beginning and directly after other thinking only: a model that explains the
    `<think>` tag is not thinking. Blank space around thinking, and before the answer, is dropped.
    """

    def __init__(
        self,
        marks: tuple[ReasoningMarks, ...],
        inside: ReasoningMarks | None = None,
        continues_answer: bool = False,
    ) -> None:
        """`inside`: the prompt opened thinking; `continues_answer`: there is text already, so all is answer."""
        self._marks = marks
        self._inside = inside
        self._at_start = not continues_answer
        self._trims = inside is not None  # blank space before the next character goes
        self._held = ""
        self._partial_closing = {family.closing: partial_suffix_pattern([family.closing]) for family in marks}

    def feed(self, text: str) -> list[Piece]:
        """More text; returns what is decided by now."""
        if not self._at_start and self._inside is None and not self._held:
            return [Piece(text, False)] if text else []
        pieces: list[Piece] = []
        text = self._held + text
        self._held = ""
        while text:
            if self._inside is not None:
                text = self._read_thinking(text, pieces)
            elif self._at_start:
                text = self._read_start(text)
            else:
                pieces.append(Piece(text, False))
                break
        return pieces

    def finish(self) -> list[Piece]:
        """No more text comes: returns what was held back."""
        held, self._held = self._held, ""
        held = held.rstrip() if self._inside is not None else held
        if not held.strip():
            return []
        return [Piece(held, self._inside is not None)]

    def _read_start(self, text: str) -> str:
        """Decide between thinking and answer; returns what follows the decision."""
        text = text.lstrip()
        for family in self._marks:
            for opening in family.openings:
                if text.startswith(opening):
                    self._inside, self._trims = family, True
                    return text[len(opening) :]
            for opening in family.answer_openings:
                if text.startswith(opening):
                    return text[len(opening) :]
        openings = (o for family in self._marks for o in (*family.openings, *family.answer_openings))
        if any(opening.startswith(text) for opening in openings):
            self._held = text
            return ""
        self._at_start = False
        return text

    def _read_thinking(self, text: str, pieces: list[Piece]) -> str:
        """Take thinking off the front of `text`; returns what follows its end."""
        family = self._inside
        assert family is not None
        if self._trims:
            text = text.lstrip()
            if not text:
                return ""
        thinking, closing, rest = text.partition(family.closing)
        if closing:
            if thinking := thinking.rstrip():
                pieces.append(Piece(thinking, True))
            self._inside, self._at_start = None, True
            return rest
        pattern = self._partial_closing.get(family.closing)
        partial = pattern.search(text) if pattern else None
        thinking = text[: partial.start()] if partial else text
        kept = thinking.rstrip()  # blank space waits: it is dropped if the closing mark follows
        self._held = text[len(kept) :]
        if kept:
            self._trims = False
            pieces.append(Piece(kept, True))
        return ""
