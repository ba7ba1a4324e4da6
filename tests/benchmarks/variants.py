"""Whether the release engine's own choice of a library for the processor is as fast as any picked by hand.

    python -m tests.benchmarks.variants [--shape 0.1b] [--quant q4_0] [--rounds N] [--threads N]

Needs the release engine (python3 dev.py engine). Every variant that runs on this processor is tried once; those that
reach three quarters of the fastest then take turns with the automatic choice, a process of its own for each run.

What counts is tokens per second of processor time, which other programs disturb less than the time on the clock, and of
one thread, because threads that wait for each other use processor time too. The ratio to a variant is the median of
those within one round, whose runs follow each other closely.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engine.worker.backend_libraries import usable_variants, variant_name
from tests.benchmarks.shapes import QUANTS, SHAPES, shape_file

ROOT = Path(__file__).parents[2]
AUTOMATIC = ""
KINDS = ("prompt", "generation")
MIN_RATIO, WORTH_A_RACE = 0.95, 0.75
PROMPT_TOKENS, TOKENS = 256, 96


@dataclass(frozen=True)
class Bench:
    """What every run has in common."""

    folder: Path
    model: Path
    threads: int

    def run(self, variant: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "tests.engine.variant_run", str(self.folder), str(self.model)]
        command += ["--prompt", str(PROMPT_TOKENS), "--tokens", str(TOKENS), "--threads", str(self.threads)]
        command += ["--variant", variant] if variant else []
        found: dict[str, Any] = json.loads(subprocess.check_output(command, cwd=ROOT, text=True))
        return found


def screen(bench: Bench, names: Sequence[str]) -> list[str]:
    """Those that reach three quarters of the fastest's speed, at reading and at writing."""
    runs = {name: bench.run(name) for name in names}
    best = {kind: max(run[kind]["cpu"] for run in runs.values()) for kind in KINDS}
    near = [name for name in names if all(runs[name][kind]["cpu"] > best[kind] * WORTH_A_RACE for kind in KINDS)]
    print(f"usable here: {', '.join(names)}")
    print(f"near the fastest: {', '.join(near)}\n")
    return near


def compare(bench: Bench, names: Sequence[str], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Runs in turns: each round has every candidate once, every other round in reverse order."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in (AUTOMATIC, *names)}
    for index in range(rounds):
        for name in list(runs) if index % 2 == 0 else reversed(list(runs)):
            runs[name].append(bench.run(name))
    return runs


def report(runs: dict[str, list[dict[str, Any]]]) -> bool:
    """Prints the table; whether the automatic choice is good enough."""
    chosen = runs[AUTOMATIC][0]["variant"]
    good = True
    for kind in KINDS:
        rates = {name: [run[kind]["cpu"] for run in found] for name, found in runs.items()}
        clock = {name: statistics.median(run[kind]["wall"] for run in found) for name, found in runs.items()}
        medians = {name: statistics.median(found) for name, found in rates.items()}
        print(f"{kind:<24}{'tokens/CPU s':>13}{'least':>9}{'most':>9}{'tokens/s':>10}{'automatic / it':>16}")
        for name in sorted(runs, key=lambda name: -medians[name]):
            label, least, most = name or f"automatic ({chosen})", min(rates[name]), max(rates[name])
            ratio = statistics.median(ours / its for ours, its in zip(rates[AUTOMATIC], rates[name], strict=True))
            print(f"  {label:<22}{medians[name]:>13.1f}{least:>9.1f}{most:>9.1f}{clock[name]:>10.1f}{ratio:>16.3f}")
            good = good and ratio >= MIN_RATIO
        print()
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="0.1b")
    parser.add_argument("--quant", choices=QUANTS, default="q4_0")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    sys.path.append(str(ROOT / "packaging"))  # where what knows the cached engines lies
    from tests.engine.release_engine import unpack_release_engine

    with tempfile.TemporaryDirectory() as temporary:
        folder = unpack_release_engine(Path(temporary))
        if folder is None:
            print("The release engine has not been built: python3 dev.py engine --profile release", file=sys.stderr)
            return 2
        bench = Bench(folder, shape_file(options.shape, options.quant), options.threads)
        names = [variant_name(path) for path in usable_variants(folder)]
        good = report(compare(bench, screen(bench, names), options.rounds))
    print("within the target" if good else f"NOT within the target of {MIN_RATIO}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
