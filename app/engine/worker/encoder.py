"""Models that do not chat: embedding models, which turn texts into vectors, and reranking models, which compare them.

One of each can be loaded beside the chat model. They compute on the processor: they are small, and the GPU's memory is
the chat model's.
"""

from __future__ import annotations

import ctypes
import logging
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.core.errors import ErrorKind, UserError
from app.core.memory import ContextPlan, surrounding_bytes
from app.engine.worker.backend import RequestControl
from app.engine.worker.batch import Batch
from app.engine.worker.binding import AbortCallback, llama
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.inspection import ModelFacts, Purpose, inspect_model_file
from app.engine.worker.memory_budget import usable_bytes
from app.engine.worker.threads import choose_threads, reading_threads
from app.engine.worker.vocabulary import Vocabulary

log = logging.getLogger(__name__)

_SMALLEST_CONTEXT = 512
_LARGEST_CONTEXT = 8192  # a text is read in one piece, which takes memory by the square of its length
_SEQUENCES = 32  # texts in one batch
_MEAN = 1  # LLAMA_POOLING_TYPE_MEAN
_NO_TOKEN = -1
_ABORTED = 2
_DIGITS = 7  # of a number between -1 and 1: what single precision has


class EncoderCancelledError(Exception):
    """The request was stopped."""


class Encoder:
    """A loaded embedding or reranking model. For the worker thread."""

    def __init__(self, path: Path, purpose: Purpose, engine_log: EngineLog) -> None:
        """Raises UserError with `path` when the file is no model for this purpose, does not fit or does not load."""
        self._facts = inspect_model_file(path, purpose)
        shape, smallest = self._facts.shape, ContextPlan(_SMALLEST_CONTEXT)
        self._check_fits(shape.weights_bytes + surrounding_bytes(shape, smallest) + self._needed_bytes(smallest.cells))
        self._engine_log = engine_log
        self._context: Any = None
        self._capacity = 0
        self._abort = AbortCallback()
        engine_log.start()
        self._model = _read(self._facts, engine_log)
        self._vocabulary = Vocabulary(llama.llama_model_get_vocab(self._model))
        self._pools = self._facts.header.integer(f"{self._facts.architecture}.pooling_type") or _MEAN
        is_ranking = purpose is Purpose.RANK
        self._width = int(
            llama.llama_model_n_cls_out(self._model) if is_ranking else llama.llama_model_n_embd_out(self._model)
        )
        self._frame = _Frame(self._vocabulary)
        found = llama.llama_model_chat_template(self._model, b"rerank")
        self._template = found.decode("utf-8", "replace") if found else ""

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return self._width

    @property
    def limit_tokens(self) -> int:
        """How long a text can be."""
        return min(self._facts.context_length_trained or _SMALLEST_CONTEXT, _LARGEST_CONTEXT)

    def embed(self, texts: Sequence[str], control: RequestControl) -> tuple[list[tuple[float, ...]], int]:
        """A vector of length 1 for each text, and how many tokens were read.

        Raises UserError(TEXT_TOO_LONG, EMPTY_PROMPT, DECODE_FAILED, ...) or EncoderCancelledError.
        """
        tokenize, frame = self._vocabulary.tokenize, self._frame
        prompts = [frame.alone(tokenize(_utf8(text), parse_special=False)) for text in texts]
        vectors = [_normalized(vector) for vector in self._computed(prompts, control)]
        return vectors, sum(map(len, prompts))

    def rank(self, query: str, documents: Sequence[str], control: RequestControl) -> list[float]:
        """How well each document answers the query; raises what `embed` raises."""
        scores = [vector[0] for vector in self._computed([self._pair(query, each) for each in documents], control)]
        if not all(map(math.isfinite, scores)):
            raise UserError(ErrorKind.DECODE_FAILED, reason="the model computes no numbers")
        return scores

    def close(self) -> None:
        """Free everything; not usable afterwards."""
        self._close_context()
        if self._model:
            llama.llama_model_free(self._model)
            self._model = None

    def _pair(self, query: str, document: str) -> list[int]:
        tokenize = self._vocabulary.tokenize
        if not self._template:
            first, second = (tokenize(_utf8(text), parse_special=False) for text in (query, document))
            return self._frame.pair(first, second)
        # The template's own text has control tokens; what people wrote never becomes any.
        tokens: list[int] = []
        for text, is_inserted in _filled(self._template, query, document):
            tokens += tokenize(_utf8(text), parse_special=not is_inserted)
        return tokens

    def _computed(self, prompts: Sequence[Sequence[int]], control: RequestControl) -> list[list[float]]:
        """What the model makes of each prompt; many short ones are read at once."""
        for number, prompt in enumerate(prompts, 1):
            if not prompt:
                raise UserError(ErrorKind.EMPTY_PROMPT)
            if len(prompt) > self.limit_tokens:
                figures = {"number": number, "tokens": len(prompt), "limit_tokens": self.limit_tokens}
                raise UserError(ErrorKind.TEXT_TOO_LONG, **figures)
        if not prompts:
            return []
        self._open_context(max(map(len, prompts)))
        return [vector for group in self._groups(prompts) for vector in self._decoded(group, control)]

    def _groups(self, prompts: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
        group: list[Sequence[int]] = []
        room = self._capacity
        for prompt in prompts:
            if group and (len(prompt) > room or len(group) == _SEQUENCES):
                yield group
                group, room = [], self._capacity
            group.append(prompt)
            room -= len(prompt)
        yield group

    def _decoded(self, group: Sequence[Sequence[int]], control: RequestControl) -> list[list[float]]:
        if control.is_stopped:
            raise EncoderCancelledError
        if memory := llama.llama_get_memory(self._context):
            llama.llama_memory_clear(memory, True)
        batch = Batch(self._capacity)
        for number, prompt in enumerate(group):
            batch.add(prompt, 0, number, all_logits=True)
        self._abort.watch(self._context, control.flag)
        result = batch.decode(self._context)
        self._abort.release(self._context)
        if result == _ABORTED:
            raise EncoderCancelledError
        found = [llama.llama_get_embeddings_seq(self._context, number) for number in range(len(group))]
        if result != 0 or not all(found):
            raise UserError(ErrorKind.DECODE_FAILED, reason=f"llama_decode returned {result}")
        return [vector[: self._width] for vector in found]

    def _open_context(self, tokens: int) -> None:
        """A context in which a text of so many tokens can be read in one piece."""
        if tokens <= self._capacity:
            return
        capacity = _SMALLEST_CONTEXT
        while capacity < tokens:
            capacity *= 2
        self._check_fits(self._needed_bytes(capacity))
        self._close_context()
        parameters = llama.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = capacity
        parameters.n_seq_max = _SEQUENCES
        parameters.kv_unified = True  # else a text may be cut into several computations, and pooled by halves
        parameters.n_threads = choose_threads(0)
        parameters.n_threads_batch = reading_threads(parameters.n_threads)
        parameters.embeddings = True
        parameters.pooling_type = self._pools
        parameters.op_offload = False
        parameters.offload_kqv = False
        parameters.no_perf = True
        self._engine_log.start()
        self._context = llama.llama_init_from_model(self._model, parameters)
        if not self._context:
            self._context = None
            reason = self._engine_log.reason or "no context"
            raise UserError(ErrorKind.LOAD_FAILED, path=str(self._facts.path), reason=reason)
        self._capacity = capacity

    def _needed_bytes(self, tokens: int) -> int:
        """More than a context takes: attention as a square for each head, a layer's values, outputs for each token."""
        shape = self._facts.shape
        squares = tokens * tokens * 4 * (max(shape.heads) + 2)
        rows = tokens * (24 * shape.embedding + 2 * shape.layers * shape.embedding + shape.vocabulary) * 4
        return squares + rows

    def _check_fits(self, needed_bytes: int) -> None:
        free_bytes = usable_bytes()
        if needed_bytes > free_bytes:
            path = str(self._facts.path)
            raise UserError(ErrorKind.NOT_ENOUGH_MEMORY, path=path, needed_bytes=needed_bytes, free_bytes=free_bytes)

    def _close_context(self) -> None:
        if self._context is not None:
            llama.llama_free(self._context)
            self._context, self._capacity = None, 0


class _Frame:
    """The tokens that a model wants around texts."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        handle = vocabulary.handle
        is_word_piece = llama.llama_vocab_type(handle) == llama.LLAMA_VOCAB_TYPE_WPM
        separator = int(llama.llama_vocab_sep(handle))
        has_separator = separator != _NO_TOKEN and (is_word_piece or bool(llama.llama_vocab_get_add_sep(handle)))
        has_end = vocabulary.eos != _NO_TOKEN and bool(llama.llama_vocab_get_add_eos(handle))
        begins = vocabulary.bos != _NO_TOKEN and (is_word_piece or vocabulary.adds_bos)
        self._begin = [vocabulary.bos] if begins else []
        self._end = [vocabulary.eos] if has_end else [separator] if is_word_piece and has_separator else []
        self._between = [*([vocabulary.eos] if has_end else []), *([separator] if has_separator else [])]

    def alone(self, tokens: list[int]) -> list[int]:
        """One text."""
        return [*self._begin, *tokens, *self._end]

    def pair(self, first: list[int], second: list[int]) -> list[int]:
        """Two texts that are compared."""
        return [*self._begin, *first, *self._between, *second, *self._end]


def _read(facts: ModelFacts, engine_log: EngineLog) -> Any:
    parameters = llama.llama_model_default_params()
    none = (ctypes.c_void_p * 1)(None)
    parameters.devices = ctypes.cast(none, ctypes.c_void_p)
    parameters.n_gpu_layers = 0
    handle = llama.llama_model_load_from_file(os.fsencode(facts.path), parameters)
    if not handle:
        raise UserError(ErrorKind.LOAD_FAILED, path=str(facts.path), reason=engine_log.reason)
    return handle


def _filled(template: str, query: str, document: str) -> Iterator[tuple[str, bool]]:
    """The parts of a template with the texts put in, and whether each was put in."""
    texts = {"{query}": query, "{document}": document}
    while template:
        places = {template.find(name): name for name in texts if name in template}
        if not places:
            yield template, False
            return
        place = min(places)
        if place:
            yield template[:place], False
        yield texts[places[place]], True
        template = template[place + len(places[place]) :]


def _normalized(vector: Sequence[float]) -> tuple[float, ...]:
    length = math.sqrt(sum(value * value for value in vector))
    if not math.isfinite(length) or length == 0.0:
        raise UserError(ErrorKind.DECODE_FAILED, reason="the model computes no numbers")
    return tuple(round(value / length, _DIGITS) for value in vector)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")
