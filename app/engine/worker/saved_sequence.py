"""Copies of what a conversation left in the context's memory, and how much of them serves a prompt."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from app.engine.worker.window_cells import WindowState

_STORED_CHECKPOINTS = 2  # where the last answer began, and where the last question did


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What recurrent layers, or those with a sliding window, held after so many tokens."""

    length: int
    state: bytearray


@dataclass(frozen=True, slots=True)
class SavedSequence:
    """A copy of all that a sequence holds."""

    tokens: Sequence[int]
    state: bytes | bytearray
    checkpoints: tuple[Checkpoint, ...] = ()
    cut_points: Sequence[int] = ()  # where it cannot be cut anywhere: the lengths to which it can, ascending
    is_recurrent: bool = False

    @property
    def size_bytes(self) -> int:
        """How much memory it takes, the tokens aside."""
        return len(self.state) + sum(len(point.state) for point in self.checkpoints)

    @property
    def stored_cut_points(self) -> Sequence[int]:
        """Those that hold for what `to_bytes` gives."""
        return self.cut_points[-_STORED_CHECKPOINTS:] if self.is_recurrent else self.cut_points

    @property
    def whole_state(self) -> bytes | bytearray:
        """The state, for llama.cpp: where layers have sliding windows, with all cells that there are of them."""
        if self.is_recurrent or not self.checkpoints:
            return self.state
        return WindowState(self.state, [point.state for point in self.checkpoints]).joined()

    def to_bytes(self) -> bytes | bytearray:
        """All of it for a file. Where it can be cut anywhere nothing is copied."""
        if not self.is_recurrent:
            return self.whole_state
        kept = self.checkpoints[-_STORED_CHECKPOINTS:]
        sizes = [number for point in kept for number in (point.length, len(point.state))]
        head = struct.pack(f"<I{len(sizes)}Q", len(kept), *sizes)
        return b"".join((head, *(point.state for point in kept), self.state))

    @classmethod
    def from_bytes(
        cls, tokens: Sequence[int], data: bytes | bytearray, cut_points: Sequence[int], is_recurrent: bool
    ) -> SavedSequence:
        """What `to_bytes` gave, which a checksum has vouched for. Raises ValueError when it is something else."""
        if not is_recurrent:
            return cls(tokens, data, cut_points=cut_points)
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
        return cls(tokens, data[at:], tuple(points), numbers[::2], is_recurrent=True)


def shared_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginning."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


def last_up_to(cut_points: Sequence[int], length: int) -> int:
    """The last of these lengths, which ascend, that is not above `length`; 0 if none is."""
    place = bisect_right(cut_points, length)
    return cut_points[place - 1] if place else 0


def reusable_length(held: Sequence[int], cut_points: Sequence[int], tokens: Sequence[int], only_whole: bool) -> int:
    """How many of `tokens` need not be read where `held` were, at most all but the last: its logits are wanted.

    `only_whole`: the memory cannot be cut, it serves as a whole or up to one of its cut points.
    """
    shared = min(shared_length(held, tokens), len(tokens) - 1)
    if shared == len(held) or not only_whole:
        return shared
    return last_up_to(cut_points, shared)
