"""One answer in the making: what it wants decoded next, and what it makes of the result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.core.errors import NoticeKind, UserError
from app.core.events import Failed, Finished, FinishReason, Notice, PromptProgress
from app.core.messages import Usage
from app.engine.worker.backend import Emit, RequestControl
from app.engine.worker.sampler import SamplerChain
from app.engine.worker.sequence import ContextSequence
from app.engine.worker.speculation import Speculation
from app.engine.worker.text_stream import TextStream
from app.engine.worker.token_scores import TokenScorer

_PROGRESS_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Where an answer ends at the latest, and what ends it."""

    max_tokens: int  # 0: as many as the context holds
    context_tokens: int
    end_tokens: frozenset[int]


class Answer:
    """Reads the new part of a prompt, then samples token after token. The scheduler decodes for it.

    `chunk` and `pending` say what to decode next; `chunk_was_read` and `take_logits` are told that it was.
    """

    def __init__(
        self,
        request_id: int,
        sequence: ContextSequence,
        prompt: Sequence[int],
        chain: SamplerChain,
        seed: int,
        stream: TextStream,
        limits: AnswerLimits,
        speculation: Speculation | None,
        emit: Emit,
        control: RequestControl,
        scorer: TokenScorer | None = None,
    ) -> None:
        """The beginning of `prompt` that `sequence` holds is not read again."""
        self.sequence = sequence
        self.control = control
        self.is_over = False
        self._request_id = request_id
        self._prompt = prompt
        self._reused = len(sequence.tokens)
        self._chain = chain
        self._seed = seed
        self._stream = stream
        self._limits = limits
        self._speculation = speculation
        self._emit = emit
        self._scorer = scorer
        self._pending: list[int] = []
        self._completion_tokens = self._drafted_tokens = self._accepted_tokens = 0
        self._first_token_ms = 0.0
        self._has_asked = False  # for more room
        self._started = time.perf_counter()
        self._read_at: float | None = None
        self._speed = _Speed(self._started)
        self._next_progress_at = self._started + _PROGRESS_INTERVAL_S

    @property
    def is_reading(self) -> bool:
        """Whether the prompt is not read to its end yet."""
        return self._read_at is None

    # -- reading

    def chunk(self, most: int, rest: int = 0, *, last_alone: bool = False) -> Sequence[int]:
        """The next tokens of the prompt to be read, with a rest of up to so many that would be left alone.

        The last one is read by itself with `last_alone`, and where a place must be remembered before it: that is where
        other versions begin.
        """
        done, end = len(self.sequence.tokens), len(self._prompt)
        if (last_alone or self.sequence.needs_marks) and done < end - 1:
            end -= 1
        return self._prompt[done : end if end - done <= most + rest else done + most]

    def chunk_was_read(self, tokens: Sequence[int]) -> None:
        """The chunk was decoded, in a batch of its own."""
        if self._speculation is not None:
            self._speculation.decoded(tokens, len(self.sequence.tokens), 0)
        self.sequence.extend(tokens)
        done, total = len(self.sequence.tokens), len(self._prompt)
        now = self._speed.add(len(tokens))
        if done == total:
            self._read_at = now
            return
        if done == total - 1:
            self.sequence.mark()
        if now >= self._next_progress_at:
            remaining_ms = self._speed.remaining_ms(total - done)
            read, unread = done - self._reused, total - self._reused
            self._emit(PromptProgress(self._request_id, read, unread, remaining_ms))
            self._next_progress_at = now + _PROGRESS_INTERVAL_S

    # -- writing

    def pending(self, most: int) -> Sequence[int]:
        """The last token sampled and the guesses after it, to be decoded together; `most` of them."""
        del self._pending[most:]
        return self._pending

    def take_logits(self, context: int, index: int, seconds: float) -> None:
        """Sample from the outputs of the last decode, which took `seconds` and of which ours begin at `index`.

        Each guess that is sampled indeed is accepted; the first that is not ends them.
        """
        if self.is_over:  # stopped while that was computed: only the memory has changed
            self.sequence.extend(self._pending[:1])
            return
        try:
            self._sample(context, index, seconds)
        except UserError as error:  # a grammar that leads nowhere
            self.fail(error)

    def _sample(self, context: int, index: int, seconds: float) -> None:
        pending, sample = self._pending, self._next
        guesses = pending[1:]
        if pending and self._speculation is not None:
            self._speculation.decoded(pending, len(self.sequence.tokens), index)
        self.sequence.extend(pending)
        accepted = 0
        token = sample(context, index)
        while (reason := self._add(token)) is None and accepted < len(guesses) and guesses[accepted] == token:
            accepted += 1
            token = sample(context, index + accepted)
        if pending and self._speculation is not None:
            self._speculation.record(len(guesses), accepted, seconds)
        if guesses:
            self._drafted_tokens += len(guesses)
            self._accepted_tokens += accepted
            self.sequence.cut(len(self.sequence.tokens) - len(guesses) + accepted)
        if reason is None and len(self.sequence.tokens) >= self._limits.context_tokens:
            reason = FinishReason.CONTEXT_FULL
        if reason is not None:
            self.finish(reason)
        else:
            self._pending = [token, *self._guesses(token)]

    def _next(self, context: int, index: int) -> int:
        """The token sampled at an output, told with its probability where that is wanted."""
        token = self._chain.sample(context, index)
        if self._scorer is not None and token not in self._limits.end_tokens:
            self._emit(self._scorer.score(context, index, token))
        return token

    def _add(self, token: int) -> FinishReason | None:
        """One more token of the answer; why the answer ends with it, if it does."""
        if token in self._limits.end_tokens:
            return FinishReason.END
        self._completion_tokens += 1
        if self._completion_tokens == 1:
            self._first_token_ms = self.control.elapsed_ms()
        if self._stream.add(token):
            return FinishReason.END
        if self._completion_tokens == self._limits.max_tokens:
            return FinishReason.LENGTH
        return None

    def _guesses(self, token: int) -> list[int]:
        """Tokens that may follow, for which context and answer have room."""
        if self._speculation is None:
            return []
        room = self._limits.context_tokens - len(self.sequence.tokens) - 1
        if self._limits.max_tokens:
            room = min(room, self._limits.max_tokens - self._completion_tokens - 1)
        return self._speculation.guess(self.sequence.tokens, token, max(room, 0))

    # -- the room in the context

    @property
    def needs_room(self) -> bool:
        """Whether it may fill the context with what is decoded next. Said once: an answer that never ends must."""
        tokens = len(self.sequence.tokens) + len(self._pending)
        if self._has_asked or self.is_reading or tokens < self._limits.context_tokens:
            return False
        self._has_asked = True
        return True

    def move(self, sequence: ContextSequence | None, context_tokens: int) -> None:
        """Go on in another context; without a sequence what was read is lost, and the answer ends as far as it is."""
        if sequence is None:
            self.finish(FinishReason.CONTEXT_FULL)
            return
        if self._speculation is not None and sequence.number != self.sequence.number:
            self._speculation.close()  # it has the place that belongs to the number
            self._speculation = None
        self.sequence = sequence
        self._limits = replace(self._limits, context_tokens=context_tokens)

    def notice(self, kind: NoticeKind, details: dict[str, Any]) -> None:
        """Tell something that does not stop it."""
        self._emit(Notice(self._request_id, kind, details))

    # -- the end

    def finish(self, reason: FinishReason) -> None:
        """End: everything held back is emitted, then Finished."""
        ended = time.perf_counter()
        read = self._read_at or ended
        self._stream.finish(is_complete=reason is FinishReason.END)
        usage = Usage(
            prompt_tokens=len(self._prompt),
            reused_tokens=self._reused,
            completion_tokens=self._completion_tokens,
            prompt_ms=(read - self._started) * 1000.0,
            generation_ms=(ended - read) * 1000.0,
            first_token_ms=self._first_token_ms,
            drafted_tokens=self._drafted_tokens,
            accepted_tokens=self._accepted_tokens,
        )
        self._close()
        self._emit(Finished(self._request_id, reason, usage, len(self.sequence.tokens), self._seed))

    def fail(self, error: UserError) -> None:
        """End with an error; what was said so far is the person's."""
        self._stream.finish(is_complete=False)
        self._close()
        self._emit(Failed(self._request_id, error))

    def _close(self) -> None:
        self.is_over = True
        self._chain.close()
        if self._speculation is not None:
            self._speculation.close()
        if self._scorer is not None:
            self._scorer.close()


class _Speed:
    """Estimates how long reading the rest takes; recent pieces count more, since long contexts slow down."""

    _WEIGHT = 0.4

    def __init__(self, now: float) -> None:
        self._last = now
        self._seconds_per_token: float | None = None

    def add(self, tokens: int) -> float:
        """So many tokens were read since the last call; returns the present time."""
        now = time.perf_counter()
        latest = (now - self._last) / tokens
        old = self._seconds_per_token
        self._seconds_per_token = latest if old is None else old + self._WEIGHT * (latest - old)
        self._last = now
        return now

    def remaining_ms(self, tokens: int) -> float:
        """For so many more tokens."""
        return tokens * (self._seconds_per_token or 0.0) * 1000.0
