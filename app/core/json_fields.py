"""Reads JSON that comes from outside field by field, and says exactly where it is wrong.

Nothing is taken because it is there: every text has a longest length, every list a longest count, every number a range.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")
MAX_TEXT = 2000
_MARKUP = re.compile(r"[<>\x00-\x1f\x7f\u0080-\u009f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


class FieldError(ValueError):
    """A field that is not what it has to be: `where` in the file, and `reason`."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class Fields:
    """One JSON object and its place in the file. Every reading method raises `FieldError`; unknown fields are left."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise FieldError(where, f"must be an object, not {_kind(value)}")
        self._fields: Mapping[Any, Any] = value
        self.where = where

    def at(self, name: str) -> str:
        """The place of a field in words, e.g. `models[3].files[0].sha256`."""
        return f"{self.where}.{name}" if self.where else name

    def text(self, name: str, limit: int = MAX_TEXT) -> str:
        """A text that has to be there."""
        value = self.optional_text(name, limit)
        if not value:
            raise FieldError(self.at(name), "is missing" if name not in self._fields else "must not be empty")
        return value

    def optional_text(self, name: str, limit: int = MAX_TEXT) -> str:
        """A text on one line, free of markup; empty when absent."""
        return _text(self._fields.get(name, ""), self.at(name), limit)

    def matching(self, name: str, pattern: re.Pattern[str], what: str) -> str:
        """A text of a certain form; `what` says in words which."""
        value = self.text(name)
        if not pattern.fullmatch(value):
            raise FieldError(self.at(name), f"must be {what}")
        return value

    def optional_matching(self, name: str, pattern: re.Pattern[str], what: str) -> str | None:
        """The same; None when absent or null."""
        return None if self._fields.get(name) is None else self.matching(name, pattern, what)

    def integer(self, name: str, minimum: int, maximum: int) -> int:
        """A whole number within a range."""
        value = self._fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise FieldError(self.at(name), f"must be a whole number, not {_kind(value)}")
        if not minimum <= value <= maximum:
            raise FieldError(self.at(name), f"must lie between {minimum} and {maximum}, and is {value}")
        return value

    def optional_integer(self, name: str, minimum: int, maximum: int) -> int | None:
        """The same; None when absent or null."""
        return None if self._fields.get(name) is None else self.integer(name, minimum, maximum)

    def flag(self, name: str, default: bool) -> bool:
        """A yes or no."""
        value = self._fields.get(name, default)
        if not isinstance(value, bool):
            raise FieldError(self.at(name), f"must be true or false, not {_kind(value)}")
        return value

    def choice(self, name: str, kinds: type[E]) -> E:
        """One of a fixed set of words."""
        value = self.text(name)
        try:
            return kinds(value)
        except ValueError:
            words = ", ".join(kind.value for kind in kinds)
            raise FieldError(self.at(name), f"must be one of {words}") from None

    def texts(self, name: str, count: int, pattern: re.Pattern[str], what: str) -> tuple[str, ...]:
        """A list of short texts of a certain form, none twice; empty when absent."""
        found = []
        for index, value in enumerate(self._list(name, count)):
            where = f"{self.at(name)}[{index}]"
            if not pattern.fullmatch(_text(value, where, MAX_TEXT)):
                raise FieldError(where, f"must be {what}")
            if value in found:
                raise FieldError(where, "stands in the list twice")
            found.append(value)
        return tuple(found)

    def objects(self, name: str, count: int, read: Callable[[Fields], T]) -> tuple[T, ...]:
        """A list of objects, each read by `read`; empty when absent."""
        return tuple(
            read(Fields(value, f"{self.at(name)}[{index}]")) for index, value in enumerate(self._list(name, count))
        )

    def _list(self, name: str, count: int) -> list[Any]:
        value = self._fields.get(name, [])
        if not isinstance(value, list):
            raise FieldError(self.at(name), f"must be a list, not {_kind(value)}")
        if len(value) > count:
            raise FieldError(self.at(name), f"must not have more than {count} entries, and has {len(value)}")
        return value


def _text(value: object, where: str, limit: int) -> str:
    if not isinstance(value, str):
        raise FieldError(where, f"must be a text, not {_kind(value)}")
    if len(value) > limit:
        raise FieldError(where, f"must not be longer than {limit} characters, and has {len(value)}")
    if found := _MARKUP.search(value):
        raise FieldError(where, f"must be plain text on one line: it holds {found[0]!a} at {found.start()}")
    if value != value.strip():
        raise FieldError(where, "must not begin or end with a blank")
    return value


def _kind(value: object) -> str:
    """What JSON calls a value."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
