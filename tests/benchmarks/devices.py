"""What devices do in their self-test. Run: python -m tests.benchmarks.devices [--model FILE] [--rounds N] [--release]

Rounds are interleaved: every device once, then again. Prints tokens per second (median, lowest to highest), the ratio
to the first device of the same round, and how long a test takes; then what Hearth would choose. Without --model the
sample of the self-test is used, which has the shape of a billion parameters. --release: the engine that `dev.py engine
--profile release` built, with Vulkan; on Mesa's lavapipe set GGML_VK_VISIBLE_DEVICES=0.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from app.core.events import DeviceTested
from app.engine.protocol import Devices, TestDevice
from app.services.device_choice import DeviceSpeed
from app.services.explain_devices import explain_problem
from tests.benchmarks.figures import paired_ratio, spread
from tests.engine.engine_child import EngineChild

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 300.0


@dataclass
class Figures:
    """What came of the rounds of one device."""

    prompt: list[float] = field(default_factory=list)
    generation: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    failures: int = 0


def measure(child: EngineChild, names: list[str], model: str, rounds: int) -> dict[str, Figures]:
    """The figures of each device, by its name."""
    figures: dict[str, Figures] = defaultdict(Figures)
    for _ in range(rounds):
        for name in names:
            start = time.perf_counter()
            tested = child.ask(TestDevice(0, name, model)).last
            found = figures[name]
            if isinstance(tested, DeviceTested):
                found.seconds.append(time.perf_counter() - start)
                found.prompt.append(tested.prompt_tokens_per_second)
                found.generation.append(tested.generation_tokens_per_second)
            else:
                found.failures += 1
    return figures


def report(figures: dict[str, Figures]) -> None:
    """A table, and the choice."""
    print("| device | reads, tokens/s | ratio | writes, tokens/s | ratio | one test, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    complete = {name: found for name, found in figures.items() if not found.failures}
    first = next(iter(complete.values()), None)
    for name, found in figures.items():
        if found.failures or first is None:
            print(f"| {name} | failed {found.failures} times | | | | |")
            continue
        prompt, generation = paired_ratio(found.prompt, first.prompt), paired_ratio(found.generation, first.generation)
        rates = f"{spread(found.prompt)} | {prompt:.2f} | {spread(found.generation)} | {generation:.2f}"
        print(f"| {name} | {rates} | {spread(found.seconds)} |")
    turns = {
        name: min(DeviceSpeed(*pair).turn_s for pair in zip(found.prompt, found.generation, strict=True))
        for name, found in complete.items()
    }
    if turns:
        chosen = min(turns, key=lambda name: turns[name])
        print(f"chosen: {chosen}, {turns[chosen]:.1f} s for a question of 300 tokens and an answer of 200")


def main() -> int:
    """0 if every device worked."""
    parser = argparse.ArgumentParser(description="What devices do in their self-test.")
    parser.add_argument("--model", default="", help="a GGUF file; the sample of the self-test if left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--release", action="store_true", help="with the release engine of the cache")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.release:
            sys.path.insert(0, str(ROOT / "packaging"))  # where dev.py finds its modules
            from tests.engine.release_engine import unpack_release_engine

            libraries = unpack_release_engine(Path(folder))
            if libraries is None:
                print("there is no release engine: python3 dev.py engine --profile release", file=sys.stderr)
                return 1
            os.environ["LLAMA_CPP_LIB_PATH"] = str(libraries)
        child = EngineChild(timeout_s=LIMIT_S)
        try:
            start = time.perf_counter()
            devices = child.ask(Devices(0)).last.devices
            print(f"{len(devices)} devices listed in {(time.perf_counter() - start) * 1000:.0f} ms")
            for device in devices:
                print(f"{device.name}: {device.description} {device.driver} {explain_problem(device)}".strip())
            working = [device.name for device in devices if not device.problem]
            figures = measure(child, working, options.model, options.rounds)
        finally:
            child.close()
        report(figures)
    return int(any(found.failures for found in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
