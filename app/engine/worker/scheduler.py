"""Decodes for several answers side by side: all that write in one batch, those that read chunk by chunk in between."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from app.core.errors import ErrorKind, UserError
from app.core.events import FinishReason
from app.engine.worker.answer import Answer
from app.engine.worker.backend import StopFlag
from app.engine.worker.batch import Batch
from app.engine.worker.binding import AbortCallback, llama
from app.engine.worker.channel import ChannelClosedError
from app.engine.worker.loaded_model import OUTPUT_TOKENS
from app.engine.worker.threads import ThreadTuner

log = logging.getLogger(__name__)

_NO_ROOM = 1
_ABORTED = 2
_SHARED_CHUNK_TOKENS = 16
"""How much is read at once while another answer is being written: its words keep coming."""

_STOP_WAIT_S = 0.1
"""How long a stop waits for the answers. Who has them for so long is not computing, and sees the stop by itself."""


class Scheduler:
    """The answers of one context. Lives on the worker thread; `step` is called as long as there are any.

    An aborted step spoils the recurrent states of all whose tokens were in it. There a stop does not end the step of
    another answer, nor wait for it: it ends its own answer at once, on the thread that it comes from.
    """

    def __init__(
        self, context: int, batch_tokens: int, chunk_tokens: int, is_recurrent: bool, *, last_alone: bool = False
    ) -> None:
        """`chunk_tokens`: how much of a prompt is read between two reports; `last_alone`: its last token by itself."""
        self._context = context
        self._chunk_tokens = min(chunk_tokens, batch_tokens)
        self._is_recurrent = is_recurrent
        self._last_alone = last_alone
        self._batch = Batch(batch_tokens)
        self._abort = AbortCallback()
        self._tuner = ThreadTuner(llama.llama_n_threads(context))
        self._reading_threads = llama.llama_n_threads_batch(context)
        self._answers: list[Answer] = []
        self._lock = threading.Lock()  # who has it may change answers; nobody has it while llama.cpp computes
        self._long_piece: StopFlag | None = None  # ends the one that is being read
        self._is_hurried = False  # the next piece is a short one
        self._reading_s = 0.0  # time owed to the answers that are being written
        self._next_reader = 0

    @property
    def is_busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._answers)

    def add(self, answer: Answer) -> None:
        """One more answer."""
        self._is_hurried = self._is_hurried and self.is_busy  # alone it reads long pieces at once
        self._answers.append(answer)
        if self._is_recurrent:
            answer.control.when_stopped(partial(self._stop_now, answer))

    def step(self) -> list[Answer]:
        """One round of decoding; returns the answers that are over now."""
        with self._lock:
            try:
                self._decode_round()
            except ChannelClosedError:
                raise
            except Exception as error:
                log.exception("decoding failed")
                reason = f"{type(error).__name__}: internal error"
                for answer in self._going_on():
                    answer.sequence.clear()
                    answer.fail(UserError(ErrorKind.DECODE_FAILED, reason=reason))
            return self._take_over()

    def hurry(self) -> None:
        """An answer is to be added: a long piece that is being read is left, to be read again beside that answer.

        For any thread. Recurrent states would be spoiled: there the piece is read to its end.
        """
        self._is_hurried = True
        if (piece := self._long_piece) is not None:
            piece.set()

    def take_stopped(self) -> list[Answer]:
        """The answers that were ended since the last step."""
        with self._lock:
            return self._take_over()

    @property
    def answers(self) -> list[Answer]:
        """Those that go on."""
        return self._going_on()

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Let go of the context, which may be replaced meanwhile (see `use`); no stop ends an answer in this time."""
        with self._lock:
            self._abort.release(self._context)
            yield

    def use(self, context: int) -> None:
        """Go on in another context of the same model. Only while `moving`."""
        self._context = context
        self._tuner = ThreadTuner(llama.llama_n_threads(context))
        self._reading_threads = llama.llama_n_threads_batch(context)

    def close(self) -> None:
        """End what is still going on, and let go of the context, which may go on under another."""
        with self._lock:
            for answer in self._going_on():
                answer.finish(FinishReason.STOPPED)
            self._answers.clear()
        self._abort.release(self._context)
        llama.llama_set_n_threads(self._context, self._tuner.usual, self._reading_threads)

    def _take_over(self) -> list[Answer]:
        over = [answer for answer in self._answers if answer.is_over]
        self._answers = self._going_on()
        return over

    def _going_on(self) -> list[Answer]:
        return [answer for answer in self._answers if not answer.is_over]

    def _stop_now(self, answer: Answer) -> None:
        """End an answer from another thread, if the worker thread computes; else it does so itself."""
        if self._lock.acquire(timeout=_STOP_WAIT_S):
            try:
                if not answer.is_over:
                    answer.finish(FinishReason.STOPPED)
            except ChannelClosedError as error:  # nobody listens: who stops all at the end has more to do
                log.warning("the end of an answer cannot be told: %s", error)
            finally:
                self._lock.release()

    def _decode_round(self) -> None:
        for answer in self._going_on():
            if answer.control.is_stopped:
                answer.finish(FinishReason.STOPPED)
        writers = [answer for answer in self._going_on() if not answer.is_reading]
        readers = [answer for answer in self._going_on() if answer.is_reading]
        if writers:
            started = time.perf_counter()
            self._write(writers)
            self._reading_s -= time.perf_counter() - started
        readers = [answer for answer in readers if not answer.is_over]  # stopped meanwhile
        if readers and (not writers or self._reading_s <= 0.0):
            started = time.perf_counter()
            self._next_reader += 1
            self._read(readers[self._next_reader % len(readers)], is_alone=not writers)
            self._reading_s = time.perf_counter() - started

    def _read(self, answer: Answer, *, is_alone: bool) -> None:
        is_long, self._is_hurried = is_alone and not self._is_hurried, False
        most = self._chunk_tokens if is_long else min(self._chunk_tokens, _SHARED_CHUNK_TOKENS)
        rest = min(most // 2, self._batch.capacity - most)
        chunk = answer.chunk(most, rest, last_alone=self._last_alone)
        batch = self._batch
        batch.clear()
        first = batch.add(chunk, len(answer.sequence.tokens), answer.sequence.number, all_logits=False)
        if self._decode([answer], is_long=is_long):
            if answer.is_over:  # stopped meanwhile
                answer.sequence.extend(chunk)
                return
            answer.chunk_was_read(chunk)
            if not answer.is_reading:
                answer.take_logits(self._context, first + len(chunk) - 1, 0.0)
                answer.sequence.mark_answer()  # after its first word, which shall not wait

    def _write(self, answers: Sequence[Answer]) -> None:
        batch = self._batch
        batch.clear()
        places = []
        most = OUTPUT_TOKENS // len(answers)
        for answer in answers:
            pending, sequence = answer.pending(most), answer.sequence
            places.append(batch.add(pending, len(sequence.tokens), sequence.number, all_logits=True))
        started = time.perf_counter()
        if self._decode(answers):
            seconds = time.perf_counter() - started
            for answer, place in zip(answers, places, strict=True):
                answer.take_logits(self._context, place, seconds)
            if self._batch.length == 1:  # others take longer for their size
                self._tune(seconds, len(answers[0].sequence.tokens))

    def _tune(self, seconds: float, length: int) -> None:
        """A token took so long after so much text: perhaps another number of threads is better.

        Prompts are read by fewer only where fewer have proven better: a trial may last into the next one.
        """
        tuner = self._tuner
        before = tuner.threads, tuner.proven
        tuner.record(seconds, length)
        if (tuner.threads, tuner.proven) != before:
            log.info("%d threads, since tokens took %.1f ms", tuner.threads, seconds * 1000)
            reading = self._reading_threads if tuner.proven == tuner.usual else tuner.proven
            llama.llama_set_n_threads(self._context, tuner.threads, min(reading, self._reading_threads))

    def _decode(self, answers: Sequence[Answer], *, is_long: bool = False) -> bool:
        """Compute the batch. False when it was cut off or failed; the answers have been dealt with then."""
        flag = self._watch(answers, can_give_way=is_long)
        self._long_piece = flag if is_long and not self._is_recurrent else None
        with self._unlocked():
            result = self._batch.decode(self._context)
        self._long_piece = None
        if result == 0:
            return True
        for answer in answers:
            answer.sequence.repair()
            if answer.is_over:
                continue
            if result != _ABORTED:
                reason = "no room in the context" if result == _NO_ROOM else f"llama_decode returned {result}"
                answer.fail(UserError(ErrorKind.DECODE_FAILED, reason=reason))
            elif answer.control.is_stopped:
                answer.finish(FinishReason.STOPPED)  # the others are decoded again in the next round
        return False

    @contextmanager
    def _unlocked(self) -> Iterator[None]:
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()

    def _watch(self, answers: Sequence[Answer], *, can_give_way: bool) -> StopFlag:
        """Let a stop end the computation of these early: any stop, also of an answer that waits for its turn.

        Returns the flag that ends it. With `can_give_way` it may be set without any of the answers being stopped.
        """
        if self._is_recurrent:  # what an aborted step has spoiled must belong to nobody else
            flag = answers[0].control.flag if len(answers) == 1 else StopFlag()
        elif len(going_on := self._going_on()) == 1 and not can_give_way:
            flag = going_on[0].control.flag
        else:
            flag = StopFlag()
            for answer in going_on:
                answer.control.share(flag)
        self._abort.watch(self._context, flag)
        return flag
