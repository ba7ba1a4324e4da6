"""What Hearth's token loop costs on top of llama.cpp, and how fast an answer stops.

    python -m tests.benchmarks.engine_overhead [--model PATH] [--threads N] [--tokens N] [--rounds N]

Two loops take turns on the same file in the same process: a bare one (llama_decode and a greedy sampler, nothing else)
and Hearth's whole path (sampler chain, detokenizer, stop strings, thinking, events as lines into a pipe). Without
--model a file of random weights is written that does roughly 20 tokens/s on a small computer.
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
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the child has it; before ggml is loaded

import gguf
import numpy as np

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
from app.engine.worker.kv_cache import KvCache
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


class Loops:
    """The two loops over one context."""

    def __init__(self, model: LoadedModel, writer: EventWriter) -> None:
        assert model.context is not None
        self._model = model
        self._writer = writer
        self._cache = KvCache(model.context, model.is_recurrent, BATCH_TOKENS)
        self._abort = AbortCallback()
        self._format = ConversationFormat.of_file(model.template, model.vocabulary)
        self._prompt = self._format.tokenize([user(PROMPT)], False)[0]
        self._reset()

    def _reset(self) -> None:
        """The prompt alone is in memory, and its last token has just been read."""
        kept = self._cache.keep_prefix(self._prompt)
        self._cache.read(self._prompt[kept:])

    def bare(self, tokens: int) -> float:
        """Seconds per token of nothing but sampling greedily and decoding."""
        self._reset()
        chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        llama.llama_sampler_chain_add(chain, llama.llama_sampler_init_greedy())
        single = (ctypes.c_int32 * 1)()
        batch = llama.llama_batch_get_one(single, 1)
        context = self._model.context
        start = time.perf_counter()
        for _ in range(tokens):
            single[0] = llama.llama_sampler_sample(chain, context, -1)
            llama.llama_decode(context, batch)
        elapsed = time.perf_counter() - start
        llama.llama_sampler_free(chain)
        llama.llama_memory_seq_rm(llama.llama_get_memory(context), 0, len(self._prompt), -1)
        return elapsed / tokens

    def hearth(self, tokens: int, sampling: Sampling) -> float:
        """Seconds per token of the loop that the app runs, from the prompt's end to Finished."""
        model, control = self._model, RequestControl()
        stops = ("\nUser:", "<|im_end|>", "<|endoftext|>")
        stream = TextStream(1, self._writer.write, self._format.detokenizer, stops, self._format.marks, None, False)
        # No end tokens: both loops shall run to the same length.
        limits = AnswerLimits(tokens, model.context_length, frozenset())
        reused = self._cache.keep_prefix(self._prompt)
        finished: list[Finished] = []

        def emit(event: Any) -> None:
            if isinstance(event, Finished):
                finished.append(event)
            self._writer.write(event)

        self._abort.watch(self._cache.context, control)
        with SamplerChain(sampling, 1, model.vocabulary, model.context_length) as chain:
            chain.accept_prompt(self._prompt)
            Answer(1, self._cache, BATCH_TOKENS, emit, control).run(self._prompt, reused, chain, 1, stream, limits)
        self._abort.release(self._cache.context)
        # The bare loop decodes as often as it samples; this one does not decode the last token.
        return finished[0].usage.generation_ms / 1000.0 / (tokens - 1)


def compare(loops: Loops, tokens: int, rounds: int) -> dict[str, float]:
    """The least disturbed of interleaved rounds, in microseconds per token."""
    kinds: dict[str, Callable[[], float]] = {
        "bare greedy": lambda: loops.bare(tokens),
        "Hearth, greedy": lambda: loops.hearth(tokens, Sampling(temperature=0.0)),
        "Hearth, default sampling": lambda: loops.hearth(tokens, Sampling()),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, run in kinds.items():
            times[kind].append(run() * 1e6)
    return {kind: min(values) for kind, values in times.items()}


def measure(path: Path, threads: int, tokens: int, rounds: int) -> dict[str, float]:
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
        print(f"{'model':<10}{'loop':<28}{'µs/token':>12}{'tokens/s':>12}{'overhead µs':>14}{'overhead %':>12}")
        figures = {}
        for name, path, threads, tokens, rounds in (
            ("tiny", small, 1, 400, options.rounds * 2),
            ("large", large, options.threads, options.tokens, options.rounds),
        ):
            figures[name] = results = measure(path, threads, tokens, rounds)
            bare = results["bare greedy"]
            for kind, microseconds in results.items():
                extra = microseconds - bare
                print(
                    f"{name:<10}{kind:<28}{microseconds:>12.1f}{1e6 / microseconds:>12.1f}"
                    f"{extra:>14.1f}{extra / bare * 100:>12.2f}"
                )
        reading, writing = stop_latencies(large, options.threads, options.rounds * 2)
    for name, latencies in (("while reading", reading), ("while writing", writing)):
        print(f"stop {name}: median {statistics.median(latencies):.1f} ms, worst {max(latencies):.1f} ms")
    tiny_extra = figures["tiny"]["Hearth, greedy"] - figures["tiny"]["bare greedy"]
    percent = (figures["large"]["Hearth, greedy"] / figures["large"]["bare greedy"] - 1) * 100
    good = tiny_extra <= MAX_OVERHEAD_US and percent <= MAX_OVERHEAD_PERCENT
    good = good and max(reading + writing) <= MAX_STOP_MS
    print("within the targets" if good else "NOT within the targets")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
