"""Generates one answer: reads what of the prompt is new, then samples token after token."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.errors import UserError
from app.core.events import Finished, FinishReason, PromptProgress
from app.core.messages import Usage
from app.engine.worker.backend import Emit, RequestControl
from app.engine.worker.binding import llama
from app.engine.worker.kv_cache import DecodeStoppedError, KvCache
from app.engine.worker.sampler import SamplerChain
from app.engine.worker.text_stream import TextStream

_PROGRESS_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """Where an answer ends at the latest, and what ends it."""

    max_tokens: int  # 0: as many as the context holds
    context_tokens: int
    end_tokens: frozenset[int]


class Answer:
    """One answer in the making."""

    def __init__(self, request_id: int, cache: KvCache, chunk_tokens: int, emit: Emit, control: RequestControl) -> None:
        """`chunk_tokens`: how much of the prompt is read between two looks at the clock."""
        self._request_id = request_id
        self._cache = cache
        self._chunk_tokens = chunk_tokens
        self._emit = emit
        self._control = control
        self._completion_tokens = 0
        self._first_token_ms = 0.0

    def run(
        self,
        prompt: Sequence[int],
        reused: int,
        chain: SamplerChain,
        seed: int,
        stream: TextStream,
        limits: AnswerLimits,
    ) -> None:
        """Read, generate and emit the text and Finished. Raises UserError(DECODE_FAILED)."""
        started = time.perf_counter()
        read = started
        try:
            self._read_prompt(prompt[reused:])
            read = time.perf_counter()
            reason = self._generate(chain, stream, limits)
        except DecodeStoppedError:
            reason = FinishReason.STOPPED
            if read == started:
                read = time.perf_counter()
        except UserError:
            stream.finish(is_complete=False)  # what was said so far is the person's
            raise
        ended = time.perf_counter()
        stream.finish(is_complete=reason is FinishReason.END)
        usage = Usage(
            prompt_tokens=len(prompt),
            reused_tokens=reused,
            completion_tokens=self._completion_tokens,
            prompt_ms=(read - started) * 1000.0,
            generation_ms=(ended - read) * 1000.0,
            first_token_ms=self._first_token_ms,
        )
        self._emit(Finished(self._request_id, reason, usage, len(self._cache.tokens), seed))

    def _read_prompt(self, tokens: Sequence[int]) -> None:
        """Read the new part of the prompt piece by piece, telling how far it is."""
        total = len(tokens)
        speed = _Speed()
        next_event_at = time.perf_counter() + _PROGRESS_INTERVAL_S
        for start in range(0, total, self._chunk_tokens):
            if self._control.is_stopped:
                raise DecodeStoppedError
            chunk = tokens[start : start + self._chunk_tokens]
            self._cache.read(chunk)
            done = start + len(chunk)
            now = speed.add(len(chunk))
            if now >= next_event_at and done < total:
                remaining_ms = speed.remaining_ms(total - done)
                self._emit(PromptProgress(self._request_id, done, total, remaining_ms))
                next_event_at = now + _PROGRESS_INTERVAL_S

    def _generate(self, chain: SamplerChain, stream: TextStream, limits: AnswerLimits) -> FinishReason:
        """Sample, show, decode, and again. Nothing in this loop may cost: it runs for every token."""
        cache, control = self._cache, self._control
        sample, handle, context = llama.llama_sampler_sample, chain.handle, cache.context
        end_tokens, context_tokens = limits.end_tokens, limits.context_tokens
        most = limits.max_tokens or context_tokens
        while not control.is_stopped:
            token = sample(handle, context, -1)
            if token in end_tokens:
                return FinishReason.END
            self._completion_tokens += 1
            if self._completion_tokens == 1:
                self._first_token_ms = control.elapsed_ms()
            if stream.add(token):
                return FinishReason.END
            if self._completion_tokens >= most:
                return FinishReason.LENGTH
            if len(cache.tokens) >= context_tokens:
                return FinishReason.CONTEXT_FULL
            cache.read_one(token)
        return FinishReason.STOPPED


class _Speed:
    """Estimates how long reading the rest takes; recent pieces count more, since long contexts slow down."""

    _WEIGHT = 0.4

    def __init__(self) -> None:
        self._last = time.perf_counter()
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
