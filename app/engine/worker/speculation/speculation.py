"""What an answer is given to guess with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

MAX_DRAFT_TOKENS = 15  # with the token before them they fill a batch of 16, for which all kernels are made

_SHADOW_TOKENS = 8


class Drafter(Protocol):
    """Guesses how a text goes on."""

    @property
    def is_free(self) -> bool:
        """Whether it may be asked at every token, only to see how well it would have guessed."""

    def decoded(self, tokens: Sequence[int], position: int, index: int) -> None:
        """The model has just read these tokens of the text; the first was the `index`-th of its batch."""

    def catch_up(self, tokens: Sequence[int]) -> bool:
        """Read some of what it has not read yet of `tokens`; whether that was all, so that it may be asked."""

    def propose(self, tokens: Sequence[int], last: int, limit: int) -> list[int]:
        """Up to `limit` tokens that may follow `tokens` and `last`; none where it has no idea."""

    def close(self) -> None:
        """The answer is over."""


class DraftControl(Protocol):
    """Decides how many guesses are worth their time."""

    def length(self) -> int:
        """How many tokens to guess now; 0: it does not pay."""

    def record(self, drafted: int, accepted: int, seconds: float) -> None:
        """A decode with so many guesses, of which so many were right, took so long."""

    def observe(self, drafted: int, accepted: int) -> None:
        """So many guesses were made without being decoded, of which so many turned out right."""


class Speculation:
    """A drafter under a control, for one answer.

    While guessing does not pay, a drafter that is free goes on guessing in the shadow: its guesses are not decoded, but
    compared with what the model then says. Hence no decode is ever spent on finding out whether guesses are right.
    """

    def __init__(
        self,
        drafter: Drafter,
        control: DraftControl,
        most: int = MAX_DRAFT_TOKENS,
        otherwise: Speculation | None = None,
    ) -> None:
        """`most`: the most guesses that may be decoded at once; `otherwise`: asked where this one makes none."""
        self._drafter = drafter
        self._control = control
        self._most = most
        self._otherwise = otherwise
        self._has_guessed = False  # the last time that it was asked
        self._shadow: list[int] = []
        self._shadow_place = 0  # where the first guess of the shadow would stand
        self._draft_s = 0.0  # what the last proposal took, of a drafter that is not free

    def guess(self, tokens: Sequence[int], last: int, most: int) -> list[int]:
        """Guesses to be decoded behind `tokens` and `last`, at most so many."""
        guesses = self._guesses(tokens, last, most)
        self._has_guessed = bool(guesses)
        if guesses or self._otherwise is None:
            return guesses
        return self._otherwise.guess(tokens, last, most)

    def decoded(self, tokens: Sequence[int], position: int, index: int) -> None:
        """The model has just read these tokens of the text; the first was the `index`-th of its batch."""
        self._drafter.decoded(tokens, position, index)
        if self._otherwise is not None:
            self._otherwise.decoded(tokens, position, index)

    def record(self, drafted: int, accepted: int, seconds: float) -> None:
        """A decode with so many guesses, of which so many were right, took so long."""
        if not drafted or self._has_guessed:
            self._control.record(drafted, accepted, seconds + (self._draft_s if drafted else 0.0))
        if self._otherwise is not None and not (drafted and self._has_guessed):
            self._otherwise.record(drafted, accepted, seconds)

    def close(self) -> None:
        """The answer is over."""
        self._drafter.close()
        if self._otherwise is not None:
            self._otherwise.close()

    def _guesses(self, tokens: Sequence[int], last: int, most: int) -> list[int]:
        self._judge_shadow(tokens, last)
        wanted = min(self._control.length(), self._most, most)
        if not self._drafter.is_free:
            if wanted <= 0 or not self._drafter.catch_up(tokens):
                return []
            started = time.perf_counter()
            guesses = self._drafter.propose(tokens, last, wanted)
            self._draft_s = time.perf_counter() - started
            return guesses
        if wanted > 0:
            self._shadow = []
            return self._drafter.propose(tokens, last, wanted)
        if not self._shadow and most > 0:
            self._shadow = self._drafter.propose(tokens, last, _SHADOW_TOKENS)
            self._shadow_place = len(tokens) + 1
        return []

    def _judge_shadow(self, tokens: Sequence[int], last: int) -> None:
        """Compare the shadow with what was said since; once it is wrong or used up, the control is told."""
        shadow = self._shadow
        if not shadow:
            return
        said = [*tokens[self._shadow_place : self._shadow_place + len(shadow)], last][: len(shadow)]
        right = next((index for index, token in enumerate(said) if token != shadow[index]), len(said))
        if right == len(said) < len(shadow):
            return  # right so far
        self._control.observe(len(shadow), right)
        self._shadow = []
