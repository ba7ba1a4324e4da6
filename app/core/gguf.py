"""What a GGUF file's header says, as values: what a model tells of itself, and where its tensors lie.

`app.core.gguf_reader` reads them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from app.core.errors import ErrorKind, UserError
from app.core.tensor_types import TensorType

MAX_LINE = 300  # characters of what is shown


class ValueType(IntEnum):
    """The type numbers of keys and array elements."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


@dataclass(frozen=True, slots=True)
class GgufArray:
    """An array of a header. `values` is None when it was stepped over; texts are kept as raw bytes."""

    element_type: ValueType
    count: int
    values: tuple[int | float | bool | bytes, ...] | None


Value = int | float | bool | str | GgufArray


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: `dimensions` fastest first, `offset` in bytes from the start of the data."""

    name: str
    dimensions: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.dimensions)

    @property
    def size_bytes(self) -> int:
        """Its size without padding."""
        return self.elements // self.type.block_elements * self.type.block_bytes


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Everything of a GGUF file but its tensors' data, which begins at byte `data_offset`.

    When `is_complete` is false only the beginning was read: further keys and all tensors are unknown, and the header
    ends somewhere after `data_offset`. The last array may be known by its length alone.
    """

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    alignment: int
    is_complete: bool = True

    @property
    def architecture(self) -> str:
        """`general.architecture`, or empty."""
        return self.text("general.architecture") or ""

    @property
    def needed_bytes(self) -> int:
        """The size the whole file must have at least; a pad after the last tensor may be absent."""
        if not self.tensors:
            return self.data_offset
        last = self.tensors[-1]
        return self.data_offset + last.offset + last.size_bytes

    def text(self, key: str) -> str | None:
        """The text under `key`; None when it is absent or no text."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def line(self, key: str) -> str:
        """The text under `key` as it may be shown, whatever it is: one short line of printable letters."""
        text = (self.text(key) or "")[:MAX_LINE]
        return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())

    def integer(self, key: str) -> int | None:
        """The whole number under `key`; None when it is absent or none."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def number(self, key: str) -> float | None:
        """The number under `key`; None when it is absent or none."""
        value = self.metadata.get(key)
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def array(self, key: str) -> GgufArray | None:
        """The array under `key`; None when it is absent or no array."""
        value = self.metadata.get(key)
        return value if isinstance(value, GgufArray) else None


def corrupt(reason: str) -> UserError:
    """The error for contents that contradict themselves."""
    return UserError(ErrorKind.CORRUPT, reason=reason[:MAX_LINE])
