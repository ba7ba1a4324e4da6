"""Copies of what a conversation left in the context's memory, and how much of them serves a prompt."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_STORED_CHECKPOINTS = 2  # where the last answer began, and where the last question did


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The recurrent state after so many tokens."""

    length: int
    state: bytearray


@dataclass(frozen=True, slots=True)
class SavedSequence:
    """A copy of all that a sequence holds."""

    tokens: Sequence[int]
    state: bytes | bytearray
    checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def size_bytes(self) -> int:
        """How much memory it takes, the tokens aside."""
        return len(self.state) + sum(len(point.state) for point in self.checkpoints)

    @property
    def stored_checkpoints(self) -> tuple[Checkpoint, ...]:
        """Those that go into a file."""
        return self.checkpoints[-_STORED_CHECKPOINTS:]

    def to_bytes(self, is_recurrent: bool) -> bytes | bytearray:
        """State and checkpoints for a file. An attention model has no checkpoints: its state is not copied."""
        if not is_recurrent:
            return self.state
        kept = self.stored_checkpoints
        sizes = [number for point in kept for number in (point.length, len(point.state))]
        head = struct.pack(f"<I{len(sizes)}Q", len(kept), *sizes)
        return b"".join((head, *(point.state for point in kept), self.state))

    @classmethod
    def from_bytes(cls, tokens: Sequence[int], data: bytes, is_recurrent: bool) -> SavedSequence:
        """What `to_bytes` gave, which a checksum has vouched for. Raises ValueError when it is something else."""
        if not is_recurrent:
            return cls(tokens, data)
        try:
            (count,) = struct.unpack_from("<I", data)
            numbers = struct.unpack_from(f"<{2 * min(count, _STORED_CHECKPOINTS)}Q", data, 4)
        except struct.error as error:
            raise ValueError(str(error)) from None
        at = 4 + 8 * len(numbers)
        points = []
        for length, size in zip(numbers[::2], numbers[1::2], strict=True):
            points.append(Checkpoint(length, bytearray(data[at : at + size])))
            at += size
        return cls(tokens, data[at:], tuple(points))


def shared_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginning."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


def reusable_length(
    held: Sequence[int], checkpoints: Sequence[Checkpoint], tokens: Sequence[int], only_whole: bool
) -> int:
    """How many of `tokens` need not be read where `held` were, at most all but the last: its logits are wanted.

    `only_whole`: the memory cannot be cut, it serves as a whole or from a checkpoint on.
    """
    shared = min(shared_length(held, tokens), len(tokens) - 1)
    if shared == len(held) or not only_whole:
        return shared
    return max((point.length for point in checkpoints if point.length <= shared), default=0)
