"""From tokens to text events: characters, stop strings, thinking, and not too many events."""

from __future__ import annotations

import time
from collections.abc import Iterable

from app.core.events import ReasoningDelta, TextDelta
from app.core.reasoning import Piece, ReasoningMarks, ReasoningSplitter
from app.core.stops import StopFinder
from app.engine.worker.backend import Emit
from app.engine.worker.detokenizer import Detokenizer

_EVENT_INTERVAL_S = 0.008
"""Text that comes faster than this is gathered: nobody reads it piece by piece, and events cost."""


class TextStream:
    """Takes the tokens of one answer and emits its text."""

    def __init__(
        self,
        request_id: int,
        emit: Emit,
        detokenizer: Detokenizer,
        stops: Iterable[str],
        marks: tuple[ReasoningMarks, ...],
        inside: ReasoningMarks | None,
        continues_answer: bool,
    ) -> None:
        """`inside`: thinking that the prompt opened; `continues_answer`: the answer has text already."""
        self._request_id = request_id
        self._emit = emit
        self._detokenizer = detokenizer
        self._stops = StopFinder(stops)
        self._splitter = ReasoningSplitter(marks, inside, continues_answer)
        self._gathered: list[Piece] = []
        self._next_event_at = 0.0

    def add(self, token: int) -> bool:
        """One more token. True when its text completes a stop string: the answer is over."""
        text = self._stops.feed(self._detokenizer.feed(token))
        if text:
            self._gathered += self._splitter.feed(text)
        if self._gathered and time.perf_counter() >= self._next_event_at:
            self._flush()
        return self._stops.found is not None

    def finish(self, is_complete: bool) -> None:
        """Emit everything that is still held back.

        Of an answer that was cut off (not `is_complete`), the bytes of a half-written character are dropped:
        a continuation writes it anew.
        """
        if self._stops.found is None:
            last = self._detokenizer.finish() if is_complete else ""
            rest = self._stops.feed(last) + self._stops.finish()
            self._gathered += self._splitter.feed(rest)
        self._gathered += self._splitter.finish()
        self._flush()

    def _flush(self) -> None:
        for is_reasoning in (True, False):  # thinking comes before the answer
            text = "".join(piece.text for piece in self._gathered if piece.is_reasoning is is_reasoning)
            if text:
                event = ReasoningDelta if is_reasoning else TextDelta
                self._emit(event(self._request_id, text))
        self._gathered.clear()
        self._next_event_at = time.perf_counter() + _EVENT_INTERVAL_S
