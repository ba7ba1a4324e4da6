"""How long an answer goes on after it was told to stop.

    python -m tests.benchmarks.stop [--shape 1.1b] [--quant q4_0] [--rounds 10] [--threads 2]

From the Stop line written into the child's pipe to its Finished event, while a long prompt is read, while text is
written, and the same with a second answer going on beside it. Each stop comes at another moment of the computation.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from app.core.events import Finished, FinishReason, Loaded, PromptProgress, TextDelta
from app.engine.protocol import Generate, Load
from tests.benchmarks.figures import spread
from tests.benchmarks.shapes import QUANTS, SHAPES, noise_text, shape_file
from tests.engine.engine_child import EngineChild, user

MAX_STOP_MS = 100.0
LONG_WORDS, SHORT_WORDS = 1500, 4
CONTEXT_TOKENS = 2048
EVENT_S = 120.0  # the first report of a large model on a busy computer


class Stopper:
    """A child with a model that is made to answer and to stop."""

    def __init__(self, model: Path, threads: int) -> None:
        self._child = EngineChild()
        loaded = self._child.ask(Load(0, str(model), CONTEXT_TOKENS, threads)).last
        assert isinstance(loaded, Loaded), loaded
        self._seeds = itertools.count()

    def latencies_ms(self, *, reading: bool, beside: str, rounds: int) -> Iterator[float]:
        """Stop an answer while it is read or written, beside another that is "reading", "writing" or "" (none)."""
        for number in range(rounds):
            other = self._begin(reading=beside == "reading") if beside else 0
            answer = self._begin(reading=reading)
            time.sleep(0.007 * number)
            yield self._stop(answer)
            if other:
                self._stop(other)

    def _begin(self, *, reading: bool) -> int:
        """A new conversation, answered until its prompt is partly read, or until it has text."""
        seed = next(self._seeds)
        question = user(noise_text(LONG_WORDS if reading else SHORT_WORDS, seed))
        number = self._child.send(Generate(0, (question,), {"temperature": 1.0}, conversation_id=str(seed)))
        wanted = PromptProgress if reading else TextDelta
        while True:
            event = self._child.next_event(EVENT_S)
            assert event is not None, "the child ended"
            if event.request_id == number:
                assert not isinstance(event, Finished), event
                if isinstance(event, wanted):
                    return number

    def _stop(self, number: int) -> float:
        start = time.perf_counter()
        self._child.stop(number)
        while True:
            event = self._child.next_event(EVENT_S)
            assert event is not None, "the child ended"
            if isinstance(event, Finished) and event.request_id == number:
                assert event.reason is FinishReason.STOPPED, event
                return (time.perf_counter() - start) * 1000

    def close(self) -> None:
        self._child.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="1.1b", choices=SHAPES)
    parser.add_argument("--quant", default="q4_0", choices=QUANTS)
    parser.add_argument("--model", type=Path, help="a GGUF file of your own, with a chat template")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    stopper = Stopper(options.model or shape_file(options.shape, options.quant), options.threads)
    good = True
    for reading, beside in itertools.product((True, False), ("", "writing", "reading")):
        what = "while reading" if reading else "while writing"
        what += f", another {beside}" if beside else ""
        found = list(stopper.latencies_ms(reading=reading, beside=beside, rounds=options.rounds))
        good = good and statistics.median(found) <= MAX_STOP_MS
        late = sum(latency > MAX_STOP_MS for latency in found)
        print(f"{what:<34} {spread(found)} ms, over {MAX_STOP_MS:.0f} ms: {late} of {len(found)}", flush=True)
    stopper.close()
    print("within the target" if good else "NOT within the target")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
