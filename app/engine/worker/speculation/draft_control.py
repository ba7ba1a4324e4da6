"""How many guesses are worth their time, from what decodes took and how often guesses were right.

With k guesses, each right with probability p if those before it were, a decode yields 1 + p + ... + p^k tokens
(Leviathan et al. 2023, "Fast inference from transformers via speculative decoding", equation 1) and takes t(k). The k
with the most tokens per second is chosen; 0 unless another is better by a margin.
"""

from __future__ import annotations

import itertools
from collections import deque

from app.engine.worker.speculation.speculation import MAX_DRAFT_TOKENS

_KEPT_TIMES = 9  # of which the lower quartile counts: other programs only ever make a decode slower
_TIMES_AGE = 64  # decodes after which a time is forgotten: the text has grown, or the computer was busy then
_PLAIN_TIMES = 8  # plain decodes after which their time is looked at again
_ASSUMED_SLOPE = 0.35  # what a guess costs, as a share of a plain decode, until it was measured

_MARGIN = 1.08
"""How much better than plain decoding it must promise to be: what it loses where it is wrong must be paid too."""

_MEMORY = 0.92  # how much the past counts after another guess was judged
_PRIOR_RIGHT, _PRIOR_WRONG = 0.5, 1.0
_PROBE_TOKENS = 2
_FIRST_PROBE_DECODES, _LAST_PROBE_DECODES = 8, 1024
"""After so many plain decodes guesses are tried where no shadow tells how good they would be: at first soon, then after
twice the time whenever they did not pay. One may be preceded by reading what the drafter has not read: it is rare."""


class DecodeTimes:
    """What a decode takes by the number of guesses in it. One for a context, since all its answers share it."""

    def __init__(self, *, keeps_slope: bool = False) -> None:
        """`keeps_slope`: what a guess costs outlives its times, instead of being assumed to be little again."""
        self._keeps_slope = keeps_slope
        self._slope = _ASSUMED_SLOPE
        self._times: dict[int, deque[tuple[int, float]]] = {}
        self._decodes = 0
        self._table: list[float] | None = None

    def add(self, drafted: int, seconds: float) -> None:
        """A decode with so many guesses took so long."""
        self._decodes += 1
        self._times.setdefault(drafted, deque(maxlen=_KEPT_TIMES)).append((self._decodes, seconds))
        if drafted or self._decodes % _PLAIN_TIMES == 1:
            self._table = None

    def of_all(self) -> list[float] | None:
        """Seconds by number of guesses, 0 to MAX_DRAFT_TOKENS; None as long as nothing was measured.

        Between what was measured lies a straight line; before and after it goes on with the slope assumed.
        """
        if self._table is None and self._times:
            self._table = self._draw()
        return self._table

    def _draw(self) -> list[float] | None:
        known = {drafted: typical for drafted in self._times if (typical := self._typical(drafted)) is not None}
        if not known:
            return None
        first, last = min(known), max(known)
        plain = known[first] / (1 + self._slope * first)
        if self._keeps_slope and first == 0 < last:
            self._slope = max(known[last] / plain - 1, 0.0) / last
        known.setdefault(0, plain)
        slope = (known[last] - known[0]) / last if last else self._slope * plain
        known.setdefault(MAX_DRAFT_TOKENS, known[last] + max(slope, 0.0) * (MAX_DRAFT_TOKENS - last))
        times: list[float] = []
        points = sorted(known)
        for left, right in itertools.pairwise(points):
            step = (known[right] - known[left]) / (right - left)
            times += [known[left] + step * index for index in range(right - left)]
        times.append(known[MAX_DRAFT_TOKENS])
        # More tokens never take less time: what seems dearer than more was disturbed.
        return list(itertools.accumulate(reversed(times), min))[::-1]

    def _typical(self, drafted: int) -> float | None:
        times = self._times[drafted]
        while times and times[0][0] < self._decodes - _TIMES_AGE:
            times.popleft()
        return sorted(seconds for _, seconds in times)[len(times) // 4] if times else None


class AdaptiveControl:
    """Chooses the number of guesses for one answer, or for all with one drafter. The same calls, the same choices."""

    def __init__(self, times: DecodeTimes, *, has_shadow: bool = True) -> None:
        """`has_shadow`: whether the control is told of guesses that were not decoded."""
        self._times = times
        self._has_shadow = has_shadow
        self._right = _PRIOR_RIGHT  # guesses, recent ones count more
        self._wrong = _PRIOR_WRONG
        self._plain_decodes = 0  # in a row
        self._patience = _FIRST_PROBE_DECODES
        self._length: int | None = None  # None: to be found anew

    def length(self) -> int:
        """How many tokens to guess now; 0: it does not pay."""
        if self._length is None:
            self._length = self._best()
        if not self._length and not self._has_shadow and self._plain_decodes >= self._patience:
            return _PROBE_TOKENS
        return self._length

    def record(self, drafted: int, accepted: int, seconds: float) -> None:
        """A decode with so many guesses, of which so many were right, took so long."""
        self._times.add(drafted, seconds)
        self._plain_decodes = 0 if drafted else self._plain_decodes + 1
        self._judge(drafted, accepted)
        self._length = None
        if drafted and (not accepted or not self._best()):
            self._patience = min(2 * self._patience, _LAST_PROBE_DECODES)
        elif drafted:
            self._patience = _FIRST_PROBE_DECODES

    def observe(self, drafted: int, accepted: int) -> None:
        """So many guesses were made without being decoded, of which so many turned out right."""
        self._judge(drafted, accepted)
        self._length = None

    def _judge(self, drafted: int, accepted: int) -> None:
        judged = min(accepted + 1, drafted)
        fade = _MEMORY**judged
        self._right = self._right * fade + accepted
        self._wrong = self._wrong * fade + (judged - accepted)

    def _best(self) -> int:
        times = self._times.of_all()
        if times is None:
            return 0
        right = self._right / (self._right + self._wrong)
        best, best_speed = 0, _MARGIN / times[0]
        tokens = power = 1.0
        for drafted in range(1, MAX_DRAFT_TOKENS + 1):
            power *= right
            tokens += power
            if tokens / times[drafted] > best_speed:
                best, best_speed = drafted, tokens / times[drafted]
        return best
