"""Expected against real speed. Run: python -m tests.benchmarks.expected_speed [--rounds N] [SHAPE:QUANT ...]

For each file of `shapes` what a verdict before a download would expect (from the self-test, and from copying memory
where no self-test was) is held against what the engine then writes, and again with the first run as a correction.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from pathlib import Path

from app.core.estimated_shape import described_shape
from app.core.events import HOST, DeviceTested, Finished, Loaded
from app.core.gguf_reader import read_prefix
from app.core.past_runs import PastRun
from app.core.speed import COPY_EFFICIENCY, SELF_TEST_BYTES, SpeedModel, loaded_plan, token_bytes
from app.engine.protocol import TestDevice
from app.services.memory_bandwidth import measure_copy_bandwidth
from tests.benchmarks.shapes import QUANTS, SHAPES, noise_text, shape_file
from tests.engine.engine_child import EngineChild, user

PREFIX_BYTES = 64 * 1024
DEFAULT = ("0.1b:q4_0", "0.1b:q8_0", "1.1b:q4_0", "1.1b:q4_k_m", "1.1b:q8_0")
LIMIT_S = 300.0
ANSWER_TOKENS = 48


@dataclass(frozen=True)
class Row:
    """Tokens per second of one file."""

    name: str
    by_copy: float
    by_self_test: float
    seen: float
    corrected: float  # expected of the second run


def measure(child: EngineChild, name: str, path: Path, copied: float, tested: float) -> Row:
    """Load a file, write twice."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        shape = described_shape(read_prefix(file.read(PREFIX_BYTES), size_bytes), size_bytes)
    loaded = child.load(path, 2048).last
    if not isinstance(loaded, Loaded):
        raise SystemExit(f"{name}: {loaded}")
    plan = loaded_plan(loaded.model.plan)
    assert plan is not None
    guess = SpeedModel({HOST: copied}).tokens_per_second(shape, plan)
    expected = SpeedModel({HOST: tested}).tokens_per_second(shape, plan)
    assert guess is not None
    assert expected is not None
    seen = []
    for number in range(2):
        text = noise_text(400, seed=number)
        run = child.generate([user(text)], max_tokens=ANSWER_TOKENS, speculate=False, conversation_id=str(number))
        finished = run.last
        speed = finished.usage.tokens_per_second if isinstance(finished, Finished) else None
        if speed is None:
            raise SystemExit(f"{name}: {finished}")
        seen.append(speed)
    history = (PastRun(name, "", token_bytes(shape, plan), seen[0]),)
    corrected = SpeedModel({HOST: tested}, history).tokens_per_second(shape, plan, name)
    assert corrected is not None
    return Row(name, guess, expected, seen[1], corrected)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("files", nargs="*", help=f"of {', '.join(SHAPES)} and {', '.join(QUANTS)}", default=DEFAULT)
    chosen = arguments.parse_args()
    rows: dict[str, list[Row]] = {name: [] for name in chosen.files}
    child = EngineChild(timeout_s=LIMIT_S)
    try:
        for _ in range(chosen.rounds):
            copied = measure_copy_bandwidth() * COPY_EFFICIENCY
            test = child.ask(TestDevice(0, HOST, "")).last
            if not isinstance(test, DeviceTested):
                raise SystemExit(f"no self-test: {test}")
            tested = test.generation_tokens_per_second * SELF_TEST_BYTES
            print(f"copying tells {copied / 1e9:.1f} GB/s, the self-test {tested / 1e9:.1f} GB/s", flush=True)
            for name in chosen.files:
                path = shape_file(*name.split(":"))
                rows[name].append(measure(child, name, path, copied, tested))
    finally:
        child.close()
    print(f"{'file':14}{'seen':>8}{'by copying':>16}{'by self-test':>16}{'after one run':>16}   tokens/s")
    for name, found in rows.items():
        seen = statistics.median(row.seen for row in found)
        line = f"{name:14}{seen:8.1f}"
        for guesses in (
            [row.by_copy for row in found],
            [row.by_self_test for row in found],
            [row.corrected for row in found],
        ):
            guess = statistics.median(guesses)
            line += f"{guess:8.1f} {100 * (guess / seen - 1):+5.0f} %"
        print(line)


if __name__ == "__main__":
    main()
