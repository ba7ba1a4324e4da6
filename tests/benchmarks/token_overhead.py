"""What Hearth's token loop takes beyond llama.cpp: the scheduler with its whole path against a bare loop."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the child has it; before ggml is loaded

from app.core.memory import ContextPlan
from app.core.sampling import Sampling
from app.engine.worker import binding
from app.engine.worker.answer import Answer, AnswerLimits
from app.engine.worker.backend import RequestControl
from app.engine.worker.binding import llama
from app.engine.worker.channel import EventWriter
from app.engine.worker.conversation_format import ConversationFormat
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import BATCH_TOKENS, ContextSettings, LoadedModel
from app.engine.worker.sampler import SamplerChain
from app.engine.worker.scheduler import Scheduler
from app.engine.worker.sequence import ContextSequence
from app.engine.worker.text_stream import TextStream
from tests.engine.engine_child import user

PROMPT = "Tell me a story about a cat that sat on the world, and about the world that the cat sat on. " * 4
TOKENS = 400
CONTEXT_TOKENS = 1024
STOPS = ("\nUser:", "<|im_end|>", "<|endoftext|>")


@dataclass(frozen=True)
class Cost:
    """Of one token, in microseconds."""

    wall_us: float
    cpu_us: float  # of all threads of this process; other processes on the computer do not matter to it


def measure_overhead(path: Path, rounds: int) -> dict[str, Cost]:
    """The least disturbed of interleaved rounds of each loop, on one thread."""
    kept = binding.initialize(lambda level, text: None, lambda message: None)
    assert kept
    model = LoadedModel(path, lambda fraction: True, EngineLog())
    model.open_context(ContextSettings(ContextPlan(CONTEXT_TOKENS), 1))
    with _event_pipe() as writer:
        loops = _Loops(model, writer)
        kinds: dict[str, Callable[[], Cost]] = {
            "bare greedy": loops.bare,
            "Hearth, greedy": lambda: loops.hearth(Sampling(temperature=0.0)),
            "Hearth, default sampling": lambda: loops.hearth(Sampling()),
        }
        found: dict[str, list[Cost]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, run in kinds.items():
                found[kind].append(run())
    model.close()
    return {
        kind: Cost(min(cost.wall_us for cost in costs), min(cost.cpu_us for cost in costs))
        for kind, costs in found.items()
    }


@contextmanager
def _event_pipe() -> Iterator[EventWriter]:
    """Events go into a pipe that another process reads, as they do in the app."""
    drain = "import sys\nwhile sys.stdin.buffer.read1(65536): pass"
    with subprocess.Popen([sys.executable, "-c", drain], stdin=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        yield EventWriter(reader.stdin.fileno())
        reader.stdin.close()


class _Loops:
    """Loops over one context. All decode the last token of a prompt, then sample and decode in turn."""

    def __init__(self, model: LoadedModel, writer: EventWriter) -> None:
        assert model.context is not None
        self._model = model
        self._context = model.context
        self._writer = writer
        self._scheduler = Scheduler(model.context, BATCH_TOKENS, BATCH_TOKENS, model.is_recurrent)
        self._sequence = ContextSequence(model.context, 0, model.is_recurrent)
        self._format = ConversationFormat.of_source(model.template, model.vocabulary)
        self._prompt = self._format.tokenize([user(PROMPT)], False)[0]
        self.hearth(Sampling())  # reads the prompt

    def bare(self) -> Cost:
        """Nothing but sampling greedily and decoding."""
        self._sequence.keep_prefix(self._prompt)
        chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        llama.llama_sampler_chain_add(chain, llama.llama_sampler_init_greedy())
        single = (ctypes.c_int32 * 1)(self._prompt[-1])
        batch = llama.llama_batch_get_one(single, 1)
        with _Stopwatch() as stopwatch:
            for _ in range(TOKENS):
                llama.llama_decode(self._context, batch)
                single[0] = llama.llama_sampler_sample(chain, self._context, -1)
        llama.llama_sampler_free(chain)
        llama.llama_memory_seq_rm(llama.llama_get_memory(self._context), 0, len(self._prompt) - 1, -1)
        return stopwatch.cost

    def hearth(self, sampling: Sampling) -> Cost:
        """The loop that the app runs, with its events, up to Finished."""
        vocabulary = self._model.vocabulary
        marks, emit = self._format.marks, self._writer.write
        stream = TextStream(1, emit, self._format.detokenizer(), STOPS, marks, None, False)
        limits = AnswerLimits(TOKENS, CONTEXT_TOKENS, frozenset())  # no end tokens: equal length
        chain = SamplerChain(sampling, 1, vocabulary, CONTEXT_TOKENS)
        chain.accept_prompt(self._prompt)
        self._sequence.keep_prefix(self._prompt)
        control = RequestControl()
        self._scheduler.add(Answer(1, self._sequence, self._prompt, chain, 1, stream, limits, None, emit, control))
        with _Stopwatch() as stopwatch:
            while self._scheduler.is_busy:
                self._scheduler.step()
        return stopwatch.cost


class _Stopwatch:
    cost: Cost

    def __enter__(self) -> _Stopwatch:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self.cost = Cost(wall / TOKENS * 1e6, cpu / TOKENS * 1e6)
