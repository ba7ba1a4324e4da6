"""Reads a grammar before llama.cpp does, and refuses what it would reject, misread or never come back from.

GBNF (llama.cpp's grammars/README.md): rules `name ::= alternative | alternative`, one after another; in them
"literals", [classes], names, (groups), `.`, <tokens>, and the repetitions * + ? {m} {m,} {m,n}.

llama.cpp tells a broken grammar on standard error only, reads repetitions of more than 2,000 as endless, overlooks left
recursion behind rules that are empty in a roundabout way (it then expands for ever), and parses nested groups on the
stack. Each limit here stands for one of those.
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

ROOT = "root"

_MAX_CHARACTERS = 512 * 1024
_MAX_DEPTH = 100
_MAX_RULES = 20_000
_MAX_REPETITIONS = 2_000  # MAX_REPETITION_THRESHOLD
_MAX_ELEMENTS = 2_000_000  # after repetitions have been written out
_ENDLESS = -1

_NAME = re.compile(r"[A-Za-z0-9-]+")
_BLANK = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_REPETITION = re.compile(r"\{[ \t]*(\d{1,9})[ \t]*(,[ \t]*(\d{1,9})?[ \t]*)?\}")
_ESCAPE = re.compile(r'\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[trn\\"\[\]-])')
_TOKEN = re.compile(r"!?<[^>]*>")


class GrammarError(ValueError):
    """What is wrong with a grammar, in words."""


@dataclass(frozen=True, slots=True)
class GrammarFacts:
    """What a usable grammar consists of."""

    rules: int
    names_tokens: bool  # <tokens> occur: control tokens may be wanted


@dataclass(slots=True)
class _Element:
    """One part of an alternative."""

    rule: str = ""  # the rule it refers to; empty: characters or a token
    size: int = 1  # how many of llama.cpp's elements it takes
    rules: int = 1  # and how many of its rules are in it
    may_be_empty: bool = False  # by itself: an empty literal, or repeated 0 times


_Alternatives = list[list[_Element]]


def check_grammar(text: str) -> GrammarFacts:
    """Raises GrammarError when llama.cpp could not use this grammar, or would not survive it."""
    if len(text) > _MAX_CHARACTERS:
        raise GrammarError(f"it is longer than {_MAX_CHARACTERS:,} characters")
    if "\0" in text:
        raise GrammarError("it has a zero character")
    reader = _Reader(text)
    rules = reader.rules()
    if ROOT not in rules:
        raise GrammarError(f"it has no rule “{ROOT}”")
    _check_references(rules)
    _check_left_recursion(rules, reader.repeated)
    return GrammarFacts(len(rules), reader.names_tokens)


class _Reader:
    """A cursor over the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        self._elements = 0
        self._rules: dict[str, _Alternatives] = {}
        self._generated = 0
        self._repetition_rules = 0  # that llama.cpp makes of {m,n}
        self.names_tokens = False
        self.repeated: set[str] = set()  # rules that may follow themselves without end

    def rules(self) -> dict[str, _Alternatives]:
        self._skip(_BLANK_LINES)
        while self._position < len(self._text):
            name = self._match(_NAME, "a rule's name").group()
            self._skip(_BLANK)
            if not self._text.startswith("::=", self._position):
                raise self._error("“::=”")
            self._position += 3
            self._skip(_BLANK_LINES)
            self._rules[name] = self._alternatives(name)
            if self._position < len(self._text) and self._text[self._position] not in "\r\n":
                raise self._error("the end of the line")
            self._skip(_BLANK_LINES)
        return self._rules

    def _alternatives(self, rule: str) -> _Alternatives:
        found = [self._sequence(rule)]
        while self._peek() == "|":
            self._position += 1
            self._skip(_BLANK_LINES)
            found.append(self._sequence(rule))
        return found

    def _sequence(self, rule: str) -> list[_Element]:
        elements: list[_Element] = []
        blank = _BLANK_LINES if self._depth else _BLANK
        while (element := self._element(rule)) is not None:
            self._skip(blank)
            while (times := self._repetition()) is not None:
                self._repeat(element, *times)
                self._skip(blank)
            self._elements += element.size
            if self._elements > _MAX_ELEMENTS:
                raise GrammarError("with its repetitions it becomes too large")
            elements.append(element)
        return elements

    def _element(self, rule: str) -> _Element | None:
        character = self._peek()
        if character == '"':
            length = sum(1 for _ in self._characters('"'))
            return _Element(size=length, may_be_empty=not length)
        if character == "[":
            length = sum(1 for _ in self._characters("]"))
            return _Element(size=length, may_be_empty=not length)
        if character == ".":
            self._position += 1
            return _Element()
        if character and character in "<!":
            self._match(_TOKEN, "a token in < >")
            self.names_tokens = True
            return _Element()
        if character == "(":
            return self._group(rule)
        name = _NAME.match(self._text, self._position)
        if name is None:
            return None
        self._position = name.end()
        return _Element(rule=name.group())

    def _group(self, rule: str) -> _Element:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise GrammarError(f"groups lie in each other more than {_MAX_DEPTH} deep")
        self._position += 1
        self._skip(_BLANK_LINES)
        before = self._generated + self._repetition_rules
        alternatives = self._alternatives(rule)
        if self._peek() != ")":
            raise self._error("“)”")
        self._position += 1
        self._depth -= 1
        name = self._add(rule, alternatives)
        return _Element(rule=name, rules=self._generated + self._repetition_rules - before)

    def _add(self, rule: str, alternatives: _Alternatives) -> str:
        self._generated += 1
        if self._generated > _MAX_RULES:
            raise GrammarError(f"it has more than {_MAX_RULES:,} rules and groups")
        name = f"{rule}_{self._generated}"  # no name of a person's has a _
        self._rules[name] = alternatives
        return name

    def _characters(self, end: str) -> Iterator[str]:
        """The characters of a literal or class, escapes resolved as far as they must be counted."""
        start = self._position
        self._position += 1
        if end == "]" and self._peek() == "^":
            self._position += 1
        while (character := self._peek()) != end:
            if not character:
                self._position = start
                raise self._error(f"a closing {end}")
            if character == "\\":
                self._match(_ESCAPE, "a known escape")
            else:
                self._position += 1
            yield character
        self._position += 1

    def _repetition(self) -> tuple[int, int] | None:
        character = self._peek()
        if character and character in "*+?":
            self._position += 1
            return {"*": (0, _ENDLESS), "+": (1, _ENDLESS), "?": (0, 1)}[character]
        if character != "{":
            return None
        match = self._match(_REPETITION, "{m}, {m,} or {m,n}")
        least = int(match[1])
        most = int(match[3]) if match[3] else _ENDLESS if match[2] else least
        if max(least, most) > _MAX_REPETITIONS:
            raise GrammarError(f"line {self._line()}: nothing can be repeated more than {_MAX_REPETITIONS:,} times")
        if most != _ENDLESS and most < least:
            raise GrammarError(f"line {self._line()}: {most} repetitions are fewer than {least}")
        return least, most

    def _repeat(self, element: _Element, least: int, most: int) -> None:
        if not element.rule and element.may_be_empty:
            raise GrammarError(f"line {self._line()}: nothing is repeated")
        times = max(least, most, 1)
        element.rules *= times
        if element.rules > _MAX_REPETITIONS:
            raise GrammarError(f"line {self._line()}: repetitions in repetitions become too many")
        element.size *= times + 1
        self._repetition_rules += 1 if most == _ENDLESS else most - least
        element.may_be_empty = least == 0
        if most == _ENDLESS and element.rule:
            self.repeated.add(element.rule)

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._position)
        assert match is not None  # both kinds of blank may be empty
        self._position = match.end()

    def _match(self, pattern: re.Pattern[str], wanted: str) -> re.Match[str]:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise self._error(wanted)
        self._position = match.end()
        return match

    def _line(self) -> int:
        return self._text.count("\n", 0, self._position) + 1

    def _error(self, wanted: str) -> GrammarError:
        found = self._text[self._position : self._position + 20].splitlines()
        at = f"“{found[0]}”" if found and found[0] else "the end"
        return GrammarError(f"line {self._line()}: {wanted} is missing at {at}")


def _check_references(rules: dict[str, _Alternatives]) -> None:
    for alternatives in rules.values():
        for element in (each for alternative in alternatives for each in alternative):
            if element.rule and element.rule not in rules:
                raise GrammarError(f"the rule “{element.rule}” is used but not there")


def _check_left_recursion(rules: dict[str, _Alternatives], repeated: set[str]) -> None:
    """No rule may come back to itself before it has taken a character, nor repeat nothing without end."""
    empty = _rules_that_may_be_empty(rules)
    for name in sorted(repeated & empty):
        raise GrammarError(f"in “{name.partition('_')[0]}” something that may be empty is repeated without end")
    graph = {name: set(_beginnings(alternatives, empty)) for name, alternatives in rules.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        names = {name.partition("_")[0] for name in error.args[1]}
        raise GrammarError(f"a rule begins with itself (left recursion): {', '.join(sorted(names)[:5])}") from None


def _rules_that_may_be_empty(rules: dict[str, _Alternatives]) -> set[str]:
    empty: set[str] = set()
    waiting = list(rules)
    is_growing = True
    while is_growing:
        waiting = [name for name in reversed(waiting) if name not in empty]  # back and forth: chains are short work
        before = len(empty)
        for name in waiting:
            if any(all(each.may_be_empty or each.rule in empty for each in way) for way in rules[name]):
                empty.add(name)
        is_growing = len(empty) > before
    return empty


def _beginnings(alternatives: _Alternatives, empty: set[str]) -> Iterator[str]:
    """The rules with which these can begin."""
    for alternative in alternatives:
        for element in alternative:
            if element.rule:
                yield element.rule
            if not (element.may_be_empty or element.rule in empty):
                break
