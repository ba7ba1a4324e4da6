"""How many connections a file is worth: more than one only where one is slower than the line."""

from __future__ import annotations

MOST_LANES = 4
_SETTLE_S = 2.0  # a new connection starts slowly: what it does first says nothing
_MEASURE_S = 4.0
_WORTHWHILE_GAIN = 1.2  # another connection must add a fifth, or it only takes from others
_FAST_BYTES_PER_SECOND = 80e6  # above, this computer is the limit more often than the line
_LEAST_LEFT_BYTES = 64 << 20
_TRY_AGAIN_S = 300.0  # lines change: in the evening, after a change of network


class LaneCount:
    """Tries one more connection now and then and keeps it if the whole became faster. One thread."""

    def __init__(self, most: int = MOST_LANES) -> None:
        self.wanted = 1
        self._most = max(1, min(most, MOST_LANES))
        self._kept = 1
        self._kept_rate = 0.0
        self._began: tuple[float, int] | None = None  # of this measurement: moment, bytes
        self._changed_s: float | None = None
        self._tried_s: float | None = None

    def update(self, now_s: float, received_bytes: int, left_bytes: int, is_held_up: bool) -> int:
        """How many connections are wanted now. `is_held_up`: a limit or trouble, not the line, sets the speed."""
        if self._most == 1:
            return self.wanted
        if is_held_up:
            self._start_measuring(now_s)
            return self.wanted
        if self._changed_s is None:
            self._start_measuring(now_s)
        assert self._changed_s is not None
        if now_s - self._changed_s < _SETTLE_S:
            return self.wanted
        if self._began is None:
            self._began = (now_s, received_bytes)
        began_s, began_bytes = self._began
        if now_s - began_s >= _MEASURE_S:
            self._judge(now_s, (received_bytes - began_bytes) / (now_s - began_s), left_bytes)
        return self.wanted

    def only_one(self) -> None:
        """The server cannot send parts."""
        self._most = self.wanted = self._kept = 1

    def one_was_lost(self, now_s: float, left: int) -> None:
        """A connection broke while `left` others go on: perhaps the server minds so many."""
        self.wanted = self._kept = max(1, left)
        self._tried_s = now_s
        self._start_measuring(now_s)

    def _start_measuring(self, now_s: float) -> None:
        self._changed_s = now_s
        self._began = None

    def _judge(self, now_s: float, rate: float, left_bytes: int) -> None:
        """A measurement of the present number is complete."""
        is_trial = self.wanted > self._kept
        if is_trial and rate < self._kept_rate * _WORTHWHILE_GAIN:
            self.wanted = self._kept
            self._tried_s = now_s
        else:
            self._kept, self._kept_rate = self.wanted, rate
            rested = self._tried_s is None or now_s - self._tried_s > _TRY_AGAIN_S
            is_worth_it = rate < _FAST_BYTES_PER_SECOND and left_bytes > _LEAST_LEFT_BYTES
            if rested and is_worth_it and self.wanted < self._most:
                self.wanted += 1
        self._start_measuring(now_s)
