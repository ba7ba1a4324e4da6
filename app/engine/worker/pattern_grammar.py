"""Regular expressions of JSON schemas as GBNF: what a JSON string may hold between its quotes.

The expressions are ECMA 262's, as far as a grammar can follow them: characters, `.`, classes, groups, alternatives and
repetitions, with ^ at the beginning and $ at the end. Look-around, back references and word borders are refused.
"""

from __future__ import annotations

from collections.abc import Iterable

Ranges = list[tuple[int, int]]
"""Code points from … to, both included."""

_LAST = 0x10FFFF
_CLASSES: dict[str, Ranges] = {
    "d": [(48, 57)],
    "w": [(48, 57), (65, 90), (95, 95), (97, 122)],
    "s": [(9, 13), (32, 32), (0xA0, 0xA0), (0xFEFF, 0xFEFF)],
}
_CONTROLS = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "0": 0}
_SPECIAL = "\\^$.*+?()[]{}|/-"
_MAX_DEPTH = 50
_SHORT_ESCAPES = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 34: '"', 92: "\\"}


class PatternError(ValueError):
    """Why a pattern cannot be followed, in words."""


def pattern_grammar(pattern: str, any_character: str) -> str:
    """The grammar of the texts that `pattern` matches, escaped as in a JSON string.

    `any_character`: the name of a rule for one character of a JSON string, for what a pattern without ^ or $ leaves
    open. Raises PatternError.
    """
    return _Converter(pattern, any_character).convert()


def literal(text: str) -> str:
    """A text as a GBNF literal."""
    return '"' + "".join(_in_grammar(ord(character), '"\\') for character in text) + '"'


class _Converter:
    def __init__(self, pattern: str, any_character: str) -> None:
        self._pattern = pattern
        self._any = any_character
        self._position = 0
        self._depth = 0

    def convert(self) -> str:
        has_alternatives = "|" in self._pattern and self._is_open_alternative()
        start, end = self._pattern.startswith("^"), self._ends_with_anchor()
        if has_alternatives and (start or end):
            raise PatternError("^ and $ beside | need a group: ^(a|b)$")
        self._position = int(start)
        self._end = len(self._pattern) - int(end)
        inner = self._alternatives()
        if self._position < self._end:
            raise PatternError(f"“)” without “(” at {self._position}")
        rest = f"{self._any}*"
        return f"{'' if start else rest + ' '}({inner}){'' if end else ' ' + rest}"

    def _ends_with_anchor(self) -> bool:
        before = self._pattern[:-1]
        return self._pattern.endswith("$") and (len(before) - len(before.rstrip("\\"))) % 2 == 0

    def _is_open_alternative(self) -> bool:
        """Whether a | lies outside of all groups and classes."""
        depth, in_class, is_escaped = 0, False, False
        for character in self._pattern:
            if is_escaped:
                is_escaped = False
            elif character == "\\":
                is_escaped = True
            elif in_class:
                in_class = character != "]"
            elif character == "[":
                in_class = True
            elif character in "()":
                depth += 1 if character == "(" else -1
            elif character == "|" and depth == 0:
                return True
        return False

    def _alternatives(self) -> str:
        found = [self._sequence()]
        while self._peek() == "|":
            self._position += 1
            found.append(self._sequence())
        return " | ".join(found)

    def _sequence(self) -> str:
        parts: list[str] = []
        while (character := self._peek()) and character not in "|)":
            parts.append(self._atom() + self._repetition())
        return " ".join(parts) or '""'

    def _atom(self) -> str:
        character = self._take()
        match character:
            case "(":
                return self._group()
            case "[":
                return _one_of(self._class())
            case ".":
                return _one_of(_without([(10, 10), (13, 13), (0x2028, 0x2029)]))
            case "\\":
                return _one_of(self._escape())
            case "^" | "$" | "*" | "+" | "?" | "{":
                raise PatternError(f"“{character}” at {self._position} is not supported there")
        return _one_of([(ord(character), ord(character))])

    def _group(self) -> str:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise PatternError("groups lie too deep")
        if self._peek() == "?":
            if not self._pattern.startswith("?:", self._position):
                raise PatternError("look-around and named groups are not supported")
            self._position += 2
        inner = self._alternatives()
        if self._take() != ")":
            raise PatternError("“)” is missing")
        self._depth -= 1
        return f"({inner})"

    def _repetition(self) -> str:
        character = self._peek()
        if character in ("*", "+", "?"):
            self._position += 1
            found = character
        elif character == "{":
            end = self._pattern.find("}", self._position)
            found = self._pattern[self._position : end + 1]
            least, _, most = found[1:-1].partition(",")
            if not least.isdecimal() or not (most.isdecimal() or not most):
                raise PatternError(f"the repetition “{found}” is not supported")
            self._position = end + 1
        else:
            return ""
        if self._peek() in ("?", "+"):
            raise PatternError("lazy and possessive repetitions are not supported")
        return found

    def _class(self) -> Ranges:
        is_negated = self._peek() == "^"
        self._position += is_negated
        found: Ranges = []
        while (character := self._take()) != "]":
            low = self._escape() if character == "\\" else [(ord(character), ord(character))]
            is_range = self._peek() == "-" and self._pattern[self._position + 1 : self._position + 2] not in ("]", "")
            if not is_range:
                found += low
                continue
            self._position += 1
            last = self._take()
            high = self._escape() if last == "\\" else [(ord(last), ord(last))]
            if low[0][0] != low[-1][1] or high[0][0] != high[-1][1] or high[0][0] < low[0][0]:
                raise PatternError(f"the range before {self._position} is none")
            found.append((low[0][0], high[0][0]))
        return _without(found) if is_negated else found

    def _escape(self) -> Ranges:
        """What follows a backslash."""
        character = self._take()
        if character.lower() in _CLASSES:
            ranges = _CLASSES[character.lower()]
            return ranges if character.islower() else _without(ranges)
        if character in ("x", "u"):
            digits = self._pattern[self._position : self._position + (2 if character == "x" else 4)]
            self._position += len(digits)
            try:
                code = int(digits, 16)
            except ValueError:
                raise PatternError(f"“\\{character}{digits}” is no character") from None
        elif character in _CONTROLS:
            code = _CONTROLS[character]
        elif character in _SPECIAL or not character.isalnum():
            code = ord(character)
        else:
            raise PatternError(f"“\\{character}” is not supported")
        return [(code, code)]

    def _peek(self) -> str:
        return self._pattern[self._position : min(self._position + 1, self._end)]

    def _take(self) -> str:
        character = self._peek()
        if not character:
            raise PatternError("it ends in the middle")
        self._position += 1
        return character


def _without(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """All code points but these; never a half of a surrogate pair."""
    found: Ranges = []
    start = 0
    for low, high in sorted([*ranges, (0xD800, 0xDFFF)]):
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    if start <= _LAST:
        found.append((start, _LAST))
    return found


def _one_of(ranges: Ranges) -> str:
    """GBNF for one of these characters inside a JSON string: as itself where that may be, else escaped."""
    if not ranges:
        raise PatternError("a class without characters")
    plain: list[str] = []
    ways: list[str] = []
    for low, high in ranges:
        start = low
        for code in (*range(32), 34, 92, _LAST + 1):
            if code > high:
                break
            if code < start:
                continue
            if code > start:
                plain.append(_span(start, code - 1))
            ways.append(literal(f"\\{_SHORT_ESCAPES[code]}" if code in _SHORT_ESCAPES else f"\\u{code:04x}"))
            start = code + 1
        if start <= high:
            plain.append(_span(start, high))
    if plain:
        ways.insert(0, f"[{''.join(plain)}]")
    return ways[0] if len(ways) == 1 else f"({' | '.join(dict.fromkeys(ways))})"


def _span(low: int, high: int) -> str:
    first, last = _in_grammar(low, "\\[]-^"), _in_grammar(high, "\\[]-^")
    return first if low == high else f"{first}-{last}"


def _in_grammar(code: int, escaped: str) -> str:
    """A character as GBNF writes it between quotes or brackets."""
    if code < 32 or code == 127:
        return f"\\x{code:02X}"
    if chr(code) == "^" and "^" in escaped:  # GBNF has no escape of its own for it
        return "\\x5E"
    if chr(code) in escaped:
        return f"\\{chr(code)}"
    if code > 126:
        return f"\\U{code:08X}" if code > 0xFFFF else f"\\u{code:04X}"
    return chr(code)
