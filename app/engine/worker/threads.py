"""How many threads compute: chosen from the processor's cores, and changed when another program takes some of them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from app.engine.worker.processors import Processors, find_processors

_WINDOW_TOKENS = 12
_TRIAL_TOKENS = 8
_SLOW_WINDOWS = 2
# A core that is lost costs a multiple where threads wait busily, and little where they soon sleep. What changes by less
# is other programs coming and going.
_SLOWER = 1.5  # so much longer than at best is slow
_GROWTH_TOKENS, _GROWTH = 512, 1.2  # by so much more text a token may become so much slower without being disturbed
_FASTER = 0.7  # fewer threads are kept if tokens take no more than this share of the time
_AS_FAST = 1.1  # more threads come back if tokens take no longer than this
_FIRST_REST_WINDOWS = 4
_LONGEST_REST_WINDOWS = 64


@dataclass(frozen=True, slots=True)
class ThreadCounts:
    """For one token at a time, where memory is the limit, and for many at once, where computing is."""

    writing: int
    reading: int


def choose_counts(processors: Processors, wanted: int = 0) -> ThreadCounts:
    """The fast cores write, all cores read; `wanted` above 0 decides for both.

    A step ends when its slowest thread does. In reading the work is handed out in pieces, of which a slow core takes
    fewer. A core's second hardware thread adds nothing, and more threads than processors wait for each other.
    """
    if wanted > 0:
        count = min(wanted, processors.threads)
        return ThreadCounts(count, count)
    most = processors.threads if processors.quota is None else max(1, round(processors.quota))
    return ThreadCounts(max(1, min(len(processors.fast_cores), most)), max(1, min(len(processors.cores), most)))


def choose_threads(wanted: int) -> int:
    """How many threads write on this computer; `wanted` above 0: so many, if there are as many processors."""
    return choose_counts(find_processors(), wanted).writing


def reading_threads(writing: int) -> int:
    """How many threads read where so many write: all cores if nobody has decided otherwise."""
    counts = choose_counts(find_processors())
    return counts.reading if writing == counts.writing else writing


class ThreadTuner:
    """Told how long each token takes, says when to try another number of threads, and which.

    Threads wait for each other after every operation. When another program holds a core, the thread on it holds up all
    the others: fewer can be faster then. A trial lasts a few tokens, ends early when it is slower, and is repeated
    after twice the time. The same times always lead to the same counts.
    """

    def __init__(self, threads: int) -> None:
        """`threads`: how many there shall be when nothing disturbs (`usual`); never more."""
        self.threads = threads
        self.usual = threads
        self._times: list[float] = []
        self._best_s = float("inf")  # the fastest window since the count changed, as it would be with the text of today
        self._best_length = 0  # of that text, tokens
        self._slow_windows = 0
        self._rest_windows = 0  # until the next trial is allowed
        self._next_rest_windows = _FIRST_REST_WINDOWS
        self._settled = threads
        self._settled_s = 0.0
        self._candidates: list[int] = []  # still to be tried after the present trial

    @property
    def proven(self) -> int:
        """How many threads are best as far as is known: those of a trial are not."""
        return self._settled

    def record(self, seconds: float, length: int) -> int | None:
        """One more token took so long, after a text of `length` tokens.

        Returns how many threads shall compute from now on, if that changes.
        """
        if self.usual == 1:
            return None
        self._times.append(seconds)
        self._best_s *= _GROWTH ** (max(length - self._best_length, 0) / _GROWTH_TOKENS)
        self._best_length = length
        before = self.threads
        if self.threads == self._settled:
            self._watch()
        else:
            self._try()
        return self.threads if self.threads != before else None

    def _watch(self) -> None:
        if len(self._times) < _WINDOW_TOKENS:
            return
        now_s = statistics.median(self._times)
        self._times.clear()
        self._rest_windows -= 1
        is_relieved = now_s < self._best_s / _SLOWER
        self._slow_windows = self._slow_windows + 1 if now_s > _SLOWER * self._best_s else 0
        self._best_s = min(self._best_s, now_s)
        if self._slow_windows >= _SLOW_WINDOWS and self._rest_windows <= 0:
            wanted = [self._settled - 1, self._settled // 2, self._settled + 1]
        elif self._settled < self.usual and (is_relieved or self._rest_windows <= 0):
            wanted = [self.usual, self._settled + 1]  # the other program may have gone
        else:
            return
        self._settled_s = now_s
        possible = (count for count in wanted if 0 < count <= self.usual and count != self._settled)
        self._candidates = list(dict.fromkeys(possible))
        if self._candidates:
            self.threads = self._candidates.pop(0)

    def _try(self) -> None:
        limit_s = (_AS_FAST if self.threads > self._settled else _FASTER) * self._settled_s
        is_late = sum(self._times) > _TRIAL_TOKENS * max(limit_s, self._settled_s)
        if len(self._times) < _TRIAL_TOKENS and not is_late:
            return
        tried_s = statistics.median(self._times[1:] or self._times)  # threads begin with the first token
        self._times.clear()
        if tried_s <= limit_s and not is_late:
            self._settled, self._best_s = self.threads, tried_s
            self._rest_windows = self._next_rest_windows = _FIRST_REST_WINDOWS
        elif self._candidates:
            self.threads = self._candidates.pop(0)
            return
        else:
            # As it is now is the best that can be had: texts that grow longer are slower too.
            self.threads, self._best_s = self._settled, self._settled_s
            self._rest_windows = self._next_rest_windows
            self._next_rest_windows = min(2 * self._next_rest_windows, _LONGEST_REST_WINDOWS)
        self._slow_windows = 0
