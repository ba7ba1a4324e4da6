"""How fast Hearth's engine child reads and writes, against llama.cpp's own llama-bench.

    python -m tests.benchmarks.engine [--shape 1.1b] [--quant q4_0] [--prompt 256] [--tokens 64] [--rounds 5]
                                      [--same-waiting]

Both take turns on the same file, with the same libraries, threads, attention and batch size. llama-bench computes
without choosing tokens, making text or writing it to a pipe; it is built at the first run, which takes minutes.
LLAMA_CPP_LIB_PATH names another build of the libraries than the installed one, for both.

llama-bench's threads wait in their own way, which is faster by a hair on a quiet computer and collapses on a busy one;
with --same-waiting they wait as the child's do. On a busy computer only that compares the loops.

What Hearth's loop costs for each token is measured beside it, on a tiny model, where little else takes time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.child_speed import MeasuredChild, Speed
from tests.benchmarks.figures import paired_ratio, spread
from tests.benchmarks.llama_bench import LlamaBench
from tests.benchmarks.shapes import QUANTS, SHAPES, shape_file
from tests.benchmarks.token_overhead import Cost, measure_overhead
from tests.fixtures import tiny_gguf as tiny

MIN_RATIO, MAX_OVERHEAD_US = 0.98, 20.0
BARE, GREEDY = "bare greedy", "Hearth, greedy"


def compare(model: Path, threads: int, prompt: int, tokens: int, rounds: int, environment: dict[str, str]) -> bool:
    """Interleaved runs; prints them and returns whether the target is met."""
    child = MeasuredChild(model, threads, prompt + tokens)
    bench = LlamaBench(model, threads, environment, flash_attention=child.flash_attention)
    exact = child.answer(prompt, 4).prompt_tokens  # a few words are two tokens, and there is the template
    ours: list[Speed] = []
    reading: list[float] = []
    writing: list[float] = []

    def run_ours() -> None:
        ours.append(child.answer(prompt, tokens))

    def run_theirs() -> None:
        reading.append(bench.read(exact))
        writing.append(bench.write(tokens, exact))

    for number in range(rounds):
        for run in (run_ours, run_theirs) if number % 2 == 0 else (run_theirs, run_ours):
            run()
        last = ours[-1]
        print(
            f"  round {number + 1}: reading {last.reading:.1f} and {reading[-1]:.1f}, "
            f"writing {last.writing:.2f} and {writing[-1]:.2f} tokens/s",
            flush=True,
        )
    child.close()
    good = True
    for what, mine, theirs in (
        (f"reading {ours[0].prompt_tokens} tokens", [speed.reading for speed in ours], reading),
        (f"writing {tokens} tokens", [speed.writing for speed in ours], writing),
    ):
        ratio = statistics.median(mine) / statistics.median(theirs)
        paired = paired_ratio(mine, theirs)
        good = good and max(ratio, paired) >= MIN_RATIO
        print(f"{what}, tokens/s: Hearth {spread(mine)}, llama-bench {spread(theirs)}")
        print(f"  ratio of medians {ratio:.3f}, median of ratios {paired:.3f}; target {MIN_RATIO}")
    return good


def report_overhead(costs: dict[str, Cost]) -> bool:
    """Print what each loop takes for a token; returns whether ours is within the target."""
    bare = costs[BARE]
    print(f"{'tiny model':<28}{'µs/token':>10}{'CPU µs/token':>14}{'more CPU µs':>13}")
    for name, cost in costs.items():
        print(f"{name:<28}{cost.wall_us:>10.1f}{cost.cpu_us:>14.1f}{cost.cpu_us - bare.cpu_us:>13.1f}")
    return costs[GREEDY].cpu_us - bare.cpu_us <= MAX_OVERHEAD_US


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="1.1b", choices=SHAPES)
    parser.add_argument("--quant", default="q4_0", choices=QUANTS)
    parser.add_argument("--model", type=Path, help="a GGUF file of your own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=256, help="tokens")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--same-waiting", action="store_true", help="GOMP_SPINCOUNT=1000 for llama-bench too")
    parser.add_argument("--overhead-only", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.gguf"
        tiny.write_model(path, tiny.bpe_vocabulary(), template=tiny.CHATML, context_length=1024)
        good = report_overhead(measure_overhead(path, rounds=20))
    if not options.overhead_only:
        model = options.model or shape_file(options.shape, options.quant)
        environment = {"GOMP_SPINCOUNT": "1000"} if options.same_waiting else {}
        good &= compare(model, options.threads, options.prompt, options.tokens, options.rounds, environment)
    print("within the targets" if good else "NOT within the targets")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
