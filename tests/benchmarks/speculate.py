"""What guessing ahead gains where an answer repeats the conversation, and what it costs where it does not.

    python -m tests.benchmarks.speculate [--shape 1.1b] [--quant q4_0] [--tokens 300] [--rounds 5] [--threads 2]
                                         [--draft 0.1b]

A file of real size whose weights are steered: all layers are computed in full, but what they say is multiplied by zero,
and the output turns each word into the one that the script has next. So the model writes the same answer whatever it is
asked, word by word at the price of a real model. What differs is the question: it contains the answer (copy), the
answer with every twelfth word wrong (correct), or none of its words (new). Each is answered without and with guesses
in turn, by the real engine child through its pipes. Temperature 0.8, since at 0 guesses are made only as far as the
kernels of this computer are exact; --temperature 0 measures that.

With --draft a second model of that shape guesses where the question does not: one with the same script, all of whose
guesses are right (drafted: the best that there is to gain), and one with the words in another order, all of whose
guesses are wrong (misled: what it costs to find that out).

Ratios are of neighbours in time, in turns A B, B A; CPU time is what the child used, which other programs disturb less.
What is demanded is demanded of the ratio of the least CPU times.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gguf
import numpy as np
import psutil

from app.core.events import Finished, Loaded, Notice
from app.engine.protocol import Load
from tests.benchmarks.shapes import SHAPES, noise_text, write_file
from tests.engine.engine_child import EngineChild, user

MIN_COPY_RATIO = 1.5
MIN_NEW_RATIO = 0.98
MIN_DRAFTED_RATIO = 1.2
WRONG_EACH = 12


@dataclass(frozen=True)
class Took:
    """One answer."""

    wall_ms: float
    cpu_ms: float
    text: str
    drafted: int
    accepted: int


def write_scripted(path: Path, shape: str, quant: str, script: Sequence[str]) -> None:
    """A model of that shape that answers everything with these words (each one token of it)."""
    write_file(path, f"{shape} {quant} scripted", SHAPES[shape], quant)
    reader = gguf.GGUFReader(path, "r+")
    words = [bytes(part).decode() for part in _parts(reader, "tokenizer.ggml.tokens")]
    ids = {word: token for token, word in enumerate(words)}
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    for name, tensor in tensors.items():
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            _silence(tensor)
    said = [ids["<0x0A>"], *(ids[f"▁{word}"] for word in script), ids["<|im_end|>"]]
    embeddings = tensors["token_embd.weight"].data
    output = tensors["output.weight"]
    for token, following in itertools.pairwise(said):
        row = embeddings[token]
        output.data[following] = row if quant == "q8_0" else _as_q6_k(row)
    reader.data.flush()


def _parts(reader: gguf.GGUFReader, key: str) -> list[np.ndarray]:
    found = reader.fields[key]
    return [found.parts[index] for index in found.data]


def _silence(tensor: gguf.ReaderTensor) -> None:
    """All weights zero, in the same format: each block begins with its scale."""
    block_bytes = gguf.GGML_QUANT_SIZES[tensor.tensor_type][1]
    tensor.data.reshape(-1, block_bytes)[:, :2] = 0


def _as_q6_k(row: np.ndarray) -> np.ndarray:
    """A row of Q4_0 in Q6_K, with the scale that `shapes` gives the latter. Layouts: ggml-common.h."""
    nibbles = row.reshape(-1, 18)[:, 2:]
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.int16) - 8
    six = (32 + 4 * values).astype(np.uint8).reshape(-1, 2, 4, 32)  # blocks of two halves of four runs
    low, high = six & 15, six >> 4
    lower = np.concatenate([low[:, :, :2] | low[:, :, 2:] << 4], axis=2).reshape(-1, 128)
    upper = (high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6).reshape(-1, 64)
    scales = np.full((len(lower), 16), 8, np.uint8)
    scale = np.frombuffer(np.float16(0.001).tobytes(), np.uint8)
    return np.concatenate([lower, upper, scales, np.broadcast_to(scale, (len(lower), 2))], axis=1).reshape(-1)


def measure(child: EngineChild, question: str, speculate: bool, temperature: float) -> Took:
    """Have it answered."""
    process = psutil.Process(child.process.pid)
    before = process.cpu_times()
    run = child.generate(
        [user(question)],
        sampling={"temperature": temperature, "seed": 1},
        speculate=speculate,
        conversation_id=question,
    )
    after = process.cpu_times()
    assert isinstance(run.last, Finished), run.last
    usage = run.last.usage
    cpu_ms = (after.user + after.system - before.user - before.system) * 1000
    return Took(usage.generation_ms, cpu_ms, run.text, usage.drafted_tokens, usage.accepted_tokens)


def compare(child: EngineChild, name: str, question: str, rounds: int, temperature: float) -> float:
    """Print a line; returns the ratio of the least CPU times, without by with guesses: disturbances only add."""
    measure(child, question, False, temperature)  # the question is read, from now on it lies in the cache
    plain: list[Took] = []
    guessed: list[Took] = []
    for number in range(rounds):
        for speculate in (False, True) if number % 2 == 0 else (True, False):
            (guessed if speculate else plain).append(measure(child, question, speculate, temperature))
    texts = {took.text for took in (*plain, *guessed)}
    ratios = sorted(one.cpu_ms / two.cpu_ms for one, two in zip(plain, guessed, strict=True))
    walls = sorted(one.wall_ms / two.wall_ms for one, two in zip(plain, guessed, strict=True))
    cpu = [statistics.median(took.cpu_ms for took in side) for side in (plain, guessed)]
    wall = [statistics.median(took.wall_ms for took in side) for side in (plain, guessed)]
    least = min(took.cpu_ms for took in plain) / min(took.cpu_ms for took in guessed)
    drafted, accepted = (sum(getattr(took, kind) for took in guessed) // rounds for kind in ("drafted", "accepted"))
    print(
        f"{name:8} CPU ms {cpu[0]:7.0f} -> {cpu[1]:7.0f}  x {statistics.median(ratios):.2f}"
        f" ({ratios[0]:.2f}..{ratios[-1]:.2f}, of the least {least:.2f})   wall ms {wall[0]:7.0f} -> {wall[1]:7.0f}"
        f"  x {statistics.median(walls):.2f} ({walls[0]:.2f}..{walls[-1]:.2f})"
        f"   {accepted} of {drafted} guesses right, {'same text' if len(texts) == 1 else 'TEXTS DIFFER'}",
        flush=True,
    )
    return least


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="1.1b")
    parser.add_argument("--quant", choices=("q4_0", "q8_0"), default="q4_0")
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--draft", choices=SHAPES, help="measure a draft model of this shape in place of look-up")
    options = parser.parse_args()
    words = list(dict.fromkeys(noise_text(20_000).split()))
    answer, others = words[: options.tokens], words[options.tokens : 2 * options.tokens]
    wrong = [
        other if index % WRONG_EACH == WRONG_EACH - 1 else word
        for index, (word, other) in enumerate(zip(answer, others, strict=True))
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scripted.gguf"
        write_scripted(path, options.shape, options.quant, answer)
        load = Load(0, str(path), 4 * options.tokens + 256, options.threads)
        if options.draft:
            drafts = {"drafted": answer, "misled": answer[::-1]}
            for name, script in drafts.items():
                write_scripted(Path(folder) / f"{name}.gguf", options.draft, options.quant, script)
            asked = {name: (replace(load, draft_model=str(Path(folder) / f"{name}.gguf")), others) for name in drafts}
        else:
            asked = {"copy": (load, answer), "correct": (load, wrong), "new": (load, others)}
        ratios = {
            name: compare_loaded(name, request, " ".join(question), options.rounds, options.temperature)
            for name, (request, question) in asked.items()
        }
    demanded = {"copy": MIN_COPY_RATIO, "new": MIN_NEW_RATIO, "drafted": MIN_DRAFTED_RATIO, "misled": MIN_NEW_RATIO}
    demands = {name: ratio for name, ratio in demanded.items() if name in ratios}
    is_kept = all(ratios[name] >= ratio for name, ratio in demands.items())
    words_of_demands = ", ".join(f"{name} at least x {ratio}" for name, ratio in demands.items())
    print(f"{words_of_demands}: {'kept' if is_kept else 'MISSED'}")
    return 0 if is_kept else 1


def compare_loaded(name: str, request: Load, question: str, rounds: int, temperature: float) -> float:
    """`compare` with a child of its own."""
    child = EngineChild()
    try:
        loaded = child.ask(request)
        assert isinstance(loaded.last, Loaded), loaded.last
        assert bool(request.draft_model) == ("draft" in loaded.last.model.plan), loaded.of(Notice)
        return compare(child, name, question, rounds, temperature)
    finally:
        child.close()


if __name__ == "__main__":
    sys.exit(main())
