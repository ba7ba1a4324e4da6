"""Guessing tokens ahead, so that several are decoded in the time of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Drafter(Protocol):
    """Guesses how a text goes on."""

    def propose(self, tokens: Sequence[int], last: int, limit: int) -> list[int]:
        """Up to `limit` tokens that may follow `tokens` and `last`; none where it has no idea."""


class DraftControl(Protocol):
    """Decides how many guesses are worth their time."""

    def length(self) -> int:
        """How many tokens to guess now; 0: it does not pay."""

    def record(self, drafted: int, accepted: int, seconds: float) -> None:
        """A decode with so many guesses, of which so many were right, took so long."""
