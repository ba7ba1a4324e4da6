"""What Hearth's token loop costs on top of llama.cpp, and how fast an answer stops.

    python -m tests.benchmarks.engine_overhead [--model PATH] [--threads N] [--tokens N] [--rounds N]

Two loops take turns on the same file in the same process: a bare one (llama_decode and a greedy sampler, nothing else)
and Hearth's whole path (sampler chain, detokenizer, stop strings, thinking, events as lines into a pipe). Without
--model a file of random weights is written that does roughly 20 tokens/s on a small computer. CPU time is compared,
which other programs on the computer disturb less than the time on the clock.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the child has it; before ggml is loaded

import gguf
import numpy as np
from app.engine.worker.kv_cache import KvCache

from app.core.events import Finished, PromptProgress, TextDelta
from app.core.sampling import Sampling
from app.engine.protocol import Generate, Load, Stop, encode
from app.engine.worker import binding
from app.engine.worker.answer import Answer, AnswerLimits
from app.engine.worker.backend import RequestControl
from app.engine.worker.binding import AbortCallback, llama
from app.engine.worker.channel import EventWriter
from app.engine.worker.conversation_format import ConversationFormat
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import BATCH_TOKENS, ContextSettings, LoadedModel
from app.engine.worker.sampler import SamplerChain
from app.engine.worker.text_stream import TextStream
from tests.engine.engine_child import EngineChild, user
from tests.fixtures import tiny_gguf as tiny

MAX_OVERHEAD_PERCENT, MAX_OVERHEAD_US, MAX_STOP_MS = 3.0, 150.0, 100.0
PROMPT = "Tell me a story about a cat that sat on the world, and about the world that the cat sat on. " * 4


def write_large_model(path: Path, layers: int = 22) -> Path:
    """The shape of TinyLlama 1.1B in Q4_0, about 0.6 GB; every block of weights is the same small noise."""
    embedding, inner, heads, kv_heads, words = 2048, 5632, 32, 4, 32_000
    listed = tiny.spm_vocabulary()
    fillers = tuple(f"▁w{index}" for index in range(words - len(listed.tokens)))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(embedding)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(embedding // heads)
    writer.add_vocab_size(words)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([*listed.tokens, *fillers])
    writer.add_token_types([*listed.types, *(tiny.NORMAL for _ in fillers)])
    writer.add_token_scores([*listed.scores, *(-1e9 for _ in fillers)])
    writer.add_bos_token_id(listed.id_of("<s>"))
    writer.add_eos_token_id(listed.id_of("</s>"))
    writer.add_chat_template(tiny.LLAMA_2)
    random = np.random.default_rng(0)

    def matrix(name: str, rows: int, columns: int) -> None:
        blocks = random.integers(0, 256, (rows, columns // 32, 18), dtype=np.uint8)
        blocks[..., :2] = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)  # each block's scale
        writer.add_tensor(name, blocks.reshape(rows, -1), raw_dtype=gguf.GGMLQuantizationType.Q4_0)

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(embedding, np.float32))

    matrix("token_embd.weight", words, embedding)
    matrix("output.weight", words, embedding)
    ones("output_norm.weight")
    narrow = embedding // heads * kv_heads
    for block in (f"blk.{index}" for index in range(layers)):
        ones(f"{block}.attn_norm.weight")
        ones(f"{block}.ffn_norm.weight")
        matrix(f"{block}.attn_q.weight", embedding, embedding)
        matrix(f"{block}.attn_k.weight", narrow, embedding)
        matrix(f"{block}.attn_v.weight", narrow, embedding)
        matrix(f"{block}.attn_output.weight", embedding, embedding)
        matrix(f"{block}.ffn_gate.weight", inner, embedding)
        matrix(f"{block}.ffn_up.weight", inner, embedding)
        matrix(f"{block}.ffn_down.weight", embedding, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@contextmanager
def event_pipe() -> Iterator[EventWriter]:
    """Events go into a pipe that another process reads, as they do in the app."""
    drain = "import sys\nwhile sys.stdin.buffer.read1(65536): pass"
    with subprocess.Popen([sys.executable, "-c", drain], stdin=subprocess.PIPE) as reader:
        assert reader.stdin is not None
        yield EventWriter(reader.stdin.fileno())
        reader.stdin.close()


@dataclass(frozen=True)
class Cost:
    """Of one token, in microseconds."""

    wall_us: float
    cpu_us: float  # of all threads of this process; other processes on the computer do not matter to it


@contextmanager
def timed(tokens: int, costs: list[Cost]) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    costs.append(Cost(wall / tokens * 1e6, cpu / tokens * 1e6))


class Loops:
    """The two loops over one context. Both read the last token of a prompt, then sample and decode in turn."""

    def __init__(self, model: LoadedModel, writer: EventWriter) -> None:
        assert model.context is not None
        self._model = model
        self._writer = writer
        self._cache = KvCache(model.context, model.is_recurrent, BATCH_TOKENS)
        self._abort = AbortCallback()
        self._format = ConversationFormat.of_file(model.template, model.vocabulary)
        self._prompt = self._format.tokenize([user(PROMPT)], False)[0]
        self._cache.read(self._prompt)

    def bare(self, tokens: int, costs: list[Cost]) -> None:
        """Nothing but sampling greedily and decoding."""
        self._cache.keep_prefix(self._prompt)
        chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        llama.llama_sampler_chain_add(chain, llama.llama_sampler_init_greedy())
        single = (ctypes.c_int32 * 1)(self._prompt[-1])
        batch = llama.llama_batch_get_one(single, 1)
        context = self._model.context
        with timed(tokens, costs):
            for _ in range(tokens):
                llama.llama_decode(context, batch)
                single[0] = llama.llama_sampler_sample(chain, context, -1)
        llama.llama_sampler_free(chain)
        llama.llama_memory_seq_rm(llama.llama_get_memory(context), 0, len(self._prompt) - 1, -1)

    def hearth(self, tokens: int, costs: list[Cost], sampling: Sampling) -> None:
        """The loop that the app runs, with its events, up to Finished."""
        model, control, emit = self._model, RequestControl(), self._writer.write
        stops = ("\nUser:", "<|im_end|>", "<|endoftext|>")
        detokenizer, marks = self._format.detokenizer(), self._format.marks
        stream = TextStream(1, emit, detokenizer, stops, marks, None, False)
        limits = AnswerLimits(tokens, model.context_length, frozenset())  # no end tokens: equal length
        reused = self._cache.keep_prefix(self._prompt)
        self._abort.watch(self._cache.context, control)
        with SamplerChain(sampling, 1, model.vocabulary, model.context_length) as chain:
            chain.accept_prompt(self._prompt)
            answer = Answer(1, self._cache, BATCH_TOKENS, emit, control)
            with timed(tokens, costs):
                answer.run(self._prompt, reused, chain, 1, stream, limits)
        self._abort.release(self._cache.context)


def compare(loops: Loops, tokens: int, rounds: int) -> dict[str, Cost]:
    """The least disturbed of interleaved rounds."""
    kinds: dict[str, Callable[[list[Cost]], None]] = {
        "bare greedy": lambda costs: loops.bare(tokens, costs),
        "Hearth, greedy": lambda costs: loops.hearth(tokens, costs, Sampling(temperature=0.0)),
        "Hearth, default sampling": lambda costs: loops.hearth(tokens, costs, Sampling()),
    }
    found: dict[str, list[Cost]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, run in kinds.items():
            run(found[kind])
    return {
        kind: Cost(min(cost.wall_us for cost in costs), min(cost.cpu_us for cost in costs))
        for kind, costs in found.items()
    }


def measure(path: Path, threads: int, tokens: int, rounds: int) -> dict[str, Cost]:
    model = LoadedModel(path, lambda fraction: True, EngineLog())
    model.open_context(ContextSettings(2048 if model.parameters > 10_000_000 else 1024, threads))
    with event_pipe() as writer:
        results = compare(Loops(model, writer), tokens, rounds)
    model.close()
    return results


def stop_latencies(path: Path, threads: int, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds from the Stop line to Finished, while the prompt is read and while text is written."""
    child = EngineChild()
    reading: list[float] = []
    writing: list[float] = []
    try:
        child.ask(Load(0, str(path), threads=threads, context_length=2048))
        for index in range(rounds):
            for wanted, latencies, words in ((PromptProgress, reading, 150), (TextDelta, writing, 2)):
                messages = (user(" ".join(f"{index}{word}" for word in range(words))),)
                number = child.send(Generate(0, messages, {"temperature": 2.0}))
                child.wait_for(wanted)
                time.sleep(0.005 * index)  # at another moment of the computation each time
                start = time.perf_counter()
                child.write(encode(Stop(number)))
                child.wait_for(Finished)
                latencies.append((time.perf_counter() - start) * 1000)
    finally:
        child.close()
    return reading, writing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a GGUF file with a chat template")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    kept = binding.initialize(lambda level, text: None, lambda message: None)
    assert kept
    with tempfile.TemporaryDirectory() as folder:
        small = tiny.write_model(
            Path(folder) / "small.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML, context_length=1024
        )
        large = options.model or write_large_model(Path(folder) / "large.gguf")
        heads = ("µs/token", "tokens/s", "CPU µs/token", "overhead CPU µs", "overhead %")
        print(f"{'model':<8}{'loop':<26}" + "".join(f"{head:>17}" for head in heads))
        figures = {}
        for name, path, threads, tokens, rounds in (
            ("tiny", small, 1, 400, options.rounds * 4),
            ("large", large, options.threads, options.tokens, options.rounds),
        ):
            figures[name] = results = measure(path, threads, tokens, rounds)
            bare = results["bare greedy"].cpu_us
            for kind, cost in results.items():
                extra = cost.cpu_us - bare
                numbers = (cost.wall_us, 1e6 / cost.wall_us, cost.cpu_us, extra, extra / bare * 100)
                print(f"{name:<8}{kind:<26}" + "".join(f"{number:>17.1f}" for number in numbers), flush=True)
        reading, writing = stop_latencies(large, options.threads, options.rounds * 2)
    for name, latencies in (("while reading", reading), ("while writing", writing)):
        print(f"stop {name}: median {statistics.median(latencies):.1f} ms, worst {max(latencies):.1f} ms")
    tiny_bare, tiny_ours = (figures["tiny"][kind].cpu_us for kind in ("bare greedy", "Hearth, greedy"))
    bare, ours = (figures["large"][kind].cpu_us for kind in ("bare greedy", "Hearth, greedy"))
    good = tiny_ours - tiny_bare <= MAX_OVERHEAD_US and (ours / bare - 1) * 100 <= MAX_OVERHEAD_PERCENT
    good = good and max(reading + writing) <= MAX_STOP_MS
    print("within the targets" if good else "NOT within the targets")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
