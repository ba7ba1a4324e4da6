"""What answers have shown of a machine's speed; on its own, for it is known long before anything is judged by it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PastRun:
    """What an answer showed: the speed that was expected without correction, and the one that was seen."""

    devices: str  # names of those that computed, joined by "+"
    model: str  # a name for the file's contents
    quantization: str
    expected: float  # tokens per second
    seen: float

    @property
    def factor(self) -> float:
        """How much faster than expected."""
        return self.seen / self.expected
