"""How long a person waits for the first word: on each turn, after a switch of conversation, after a restart.

    python -m tests.benchmarks.turns [--shape 1.1b] [--quant q4_0] [--turns 20] [--tokens 8000] [--rounds 3]

Hearth's engine child, spoken to through its pipes, and `llama_cpp.Llama` in a process of its own have the same
conversations with the same model file, taking turns. Each turn adds a question of --tokens / --turns tokens and a short
answer. Then come --rounds of: a question in another conversation and back again; an end of the process, a new start and
a question. What a restart saves is compared with a child that keeps no states and reads the conversation anew.

Times on the clock are from the question to the first text; beside them the CPU time of the process, which other
programs on the computer disturb less. Both sides wait between computations in the way that Hearth's child does
(GOMP_SPINCOUNT), so that what is compared is how much is read.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import psutil

from app.core.events import Failed, Finished, Loaded, PromptStarted, TextDelta
from app.core.messages import Role
from app.engine.protocol import ChatMessage, Generate, Load, Shutdown, encode
from tests.benchmarks.shapes import QUANTS, SHAPES, noise_text, shape_file
from tests.engine.engine_child import EngineChild

MAX_RESTART_SHARE = 0.05  # of the time that reading the conversation takes
ANSWER_TOKENS = 16
STATE_LIMIT_BYTES = 8 * 1024**3
PATIENCE_S = 600.0  # for one event; a busy computer is slow, and that shall be measured

Conversation = list[tuple[Role, str]]


@dataclass(frozen=True)
class First:
    """One question: how long until the first text, and what it took."""

    wall_ms: float
    cpu_ms: float
    prompt_tokens: int
    reused_tokens: int


@dataclass(frozen=True)
class Options:
    """What both sides are given."""

    path: Path
    threads: int
    context_tokens: int


class Side(Protocol):
    """An engine in a process of its own with a model loaded."""

    load_ms: float

    def ask(self, conversation_id: str, conversation: Conversation) -> First:
        """Have the last message answered; the answer is added to the conversation."""

    def close(self) -> float:
        """End the process; returns how long that took, in milliseconds."""


class Hearth:
    """The real engine child."""

    def __init__(self, options: Options, state_folder: Path | None) -> None:
        self._child = EngineChild()
        self._process = psutil.Process(self._child.process.pid)
        folder = str(state_folder) if state_folder else ""
        load = Load(
            0,
            str(options.path),
            options.context_tokens,
            options.threads,
            state_folder=folder,
            state_limit_bytes=STATE_LIMIT_BYTES if folder else 0,
        )
        start = time.perf_counter()
        self._child.send(load)
        while not isinstance(self._next_event(), Loaded):
            pass
        self.load_ms = (time.perf_counter() - start) * 1000

    def ask(self, conversation_id: str, conversation: Conversation) -> First:
        messages = tuple(ChatMessage(str(index), role, text) for index, (role, text) in enumerate(conversation))
        sampling: dict[str, float | int | None] = {"temperature": 0.0}
        cpu, start = _cpu_s(self._process), time.perf_counter()
        self._child.send(Generate(0, messages, sampling, ANSWER_TOKENS, conversation_id=conversation_id))
        prompt, first, text = PromptStarted(0, 0, 0, None), None, ""
        while True:
            event = self._next_event()
            if isinstance(event, PromptStarted):
                prompt = event
            elif isinstance(event, TextDelta):
                first = first or (time.perf_counter() - start, _cpu_s(self._process) - cpu)
                text += event.text
            elif isinstance(event, Finished):
                break
        assert first is not None, "no text"
        conversation.append((Role.ASSISTANT, text))
        return First(first[0] * 1000, first[1] * 1000, prompt.prompt_tokens, prompt.reused_tokens)

    def _next_event(self) -> Any:
        event = self._child.next_event(PATIENCE_S)
        assert event is not None, "the child ended"
        assert not isinstance(event, Failed), event
        return event

    def close(self) -> float:
        start = time.perf_counter()
        self._child.write(encode(Shutdown()))
        self._child.process.wait(PATIENCE_S)
        self._child.close()
        return (time.perf_counter() - start) * 1000


class HighLevel:
    """`llama_cpp.Llama` in a process that runs `serve_high_level`."""

    def __init__(self, options: Options) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.turns", "--serve", str(options.path)]
        command += ["--threads", str(options.threads), "--context", str(options.context_tokens)]
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._process = psutil.Process(self._popen.pid)
        self.load_ms = float(self._read())

    def ask(self, conversation_id: str, conversation: Conversation) -> First:
        line = json.dumps([{"role": role.value, "content": text} for role, text in conversation])
        assert self._popen.stdin is not None
        cpu, start = _cpu_s(self._process), time.perf_counter()
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()
        self._read()
        wall, used = time.perf_counter() - start, _cpu_s(self._process) - cpu
        conversation.append((Role.ASSISTANT, self._read()))
        return First(wall * 1000, used * 1000, 0, 0)

    def close(self) -> float:
        start = time.perf_counter()
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        self._popen.wait(PATIENCE_S)
        self._popen.stdout.close()
        return (time.perf_counter() - start) * 1000

    def _read(self) -> Any:
        assert self._popen.stdout is not None
        return json.loads(self._popen.stdout.readline())


def serve_high_level(path: Path, threads: int, context_tokens: int) -> None:
    """Answer lines of messages: one line of JSON at the first text, one with the whole answer."""
    from llama_cpp import Llama

    def tell(value: Any) -> None:
        print(json.dumps(value), flush=True)

    start = time.perf_counter()
    model = Llama(str(path), n_ctx=context_tokens, n_threads=threads, n_threads_batch=threads, verbose=False)
    tell((time.perf_counter() - start) * 1000)
    for line in sys.stdin:
        answer = ""
        for chunk in model.create_chat_completion(
            json.loads(line), max_tokens=ANSWER_TOKENS, temperature=0.0, stream=True
        ):
            text = chunk["choices"][0]["delta"].get("content") or ""
            if text and not answer:
                tell("first")
            answer += text
        assert answer, "no text"
        tell(answer)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class Comparison:
    """The two sides, what they talked about, and what came out."""

    def __init__(self, options: Options, states: Path, question_tokens: int) -> None:
        self._options = options
        self._states = states
        self._question_tokens = question_tokens
        self._asked = 0
        self._ours: Side = Hearth(options, states)
        self._theirs: Side = HighLevel(options)
        self._talks: dict[str, tuple[Conversation, Conversation]] = {}  # ours and theirs, by id

    def turn(self, conversation_id: str, words: int | None = None) -> tuple[First, First]:
        """The same question to both, one after the other; every second time the other way round."""
        question = (Role.USER, noise_text(words or self._question_tokens, self._asked))
        self._asked += 1
        for talk in self._talks.setdefault(conversation_id, ([], [])):
            talk.append(question)
        ours, theirs = self._talks[conversation_id]
        asks: list[Callable[[], First]] = [
            lambda: self._ours.ask(conversation_id, ours),
            lambda: self._theirs.ask(conversation_id, theirs),
        ]
        if self._asked % 2:
            return asks[0](), asks[1]()
        second = asks[1]()
        return asks[0](), second

    def restart(self) -> tuple[float, float]:
        """End both processes and start them anew; returns how long Hearth's took to end and to load."""
        end_ms = self._ours.close()
        self._theirs.close()
        self._ours, self._theirs = Hearth(self._options, self._states), HighLevel(self._options)
        return end_ms, self._ours.load_ms

    def read_anew(self, conversation_id: str, words: int) -> First:
        """The next question of a conversation to a child that keeps no states and has just begun."""
        conversation = [*self._talks[conversation_id][0], (Role.USER, noise_text(words, self._asked))]
        child = Hearth(self._options, None)
        try:
            return child.ask(conversation_id, conversation)
        finally:
            child.close()

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


def spread(values: Iterable[float]) -> str:
    """Median with the lowest and the highest."""
    ordered = sorted(values)
    return f"{statistics.median(ordered):>9.0f} ({ordered[0]:.0f} to {ordered[-1]:.0f})"


def report(what: str, pairs: Sequence[tuple[First, First]]) -> float:
    """Print medians, spread and ratios of a kind of question; returns the ratio on the clock."""
    print(f"\n{what}: median (lowest to highest) of {len(pairs)}")
    ratios = []
    for unit, of in (("ms", lambda first: first.wall_ms), ("CPU ms", lambda first: first.cpu_ms)):
        ours, theirs = [of(first) for first, _ in pairs], [of(second) for _, second in pairs]
        ratios.append(statistics.median(ours) / max(statistics.median(theirs), 1e-9))
        print(f"  {unit:<7} Hearth {spread(ours):<32} llama_cpp.Llama {spread(theirs):<34} ratio {ratios[-1]:.3f}")
    return ratios[0]


def measure(options: Options, turns: int, question_tokens: int, rounds: int, states: Path) -> bool:
    """Everything in order; returns whether the targets are met."""
    comparison = Comparison(options, states, question_tokens)
    print(f"{'turn':>4}{'prompt':>8}{'reused':>8}{'Hearth ms':>12}{'Llama ms':>11}{'ratio':>8}", flush=True)
    growing = []
    for number in range(1, turns + 1):
        ours, theirs = comparison.turn("growing")
        growing.append((ours, theirs))
        figures = f"{number:>4}{ours.prompt_tokens:>8}{ours.reused_tokens:>8}{ours.wall_ms:>12.0f}"
        print(f"{figures}{theirs.wall_ms:>11.0f}{ours.wall_ms / theirs.wall_ms:>8.2f}", flush=True)
    switched, restarted, anew, ends_ms, loads_ms = [], [], [], [], []
    for _ in range(rounds):
        comparison.turn("other", 50)
        switched.append(comparison.turn("growing", 20))
    for _ in range(rounds):
        anew.append(comparison.read_anew("growing", 20))
        end_ms, load_ms = comparison.restart()
        ends_ms.append(end_ms)
        loads_ms.append(load_ms)
        restarted.append(comparison.turn("growing", 20))
    comparison.close()
    report("turns from the second on", growing[1:] or growing)
    report("back from another conversation", switched)
    report("after a restart", restarted)
    reopened = [first for first, _ in restarted]
    share = statistics.median(f.wall_ms for f in reopened) / statistics.median(f.wall_ms for f in anew)
    cpu_share = statistics.median(f.cpu_ms for f in reopened) / statistics.median(f.cpu_ms for f in anew)
    print(f"\nreading {anew[-1].prompt_tokens} tokens anew: {spread(f.wall_ms for f in anew)} ms")
    print(f"reopening reads {[f.prompt_tokens - f.reused_tokens for f in reopened]} tokens: ", end="")
    print(f"{share:.1%} of the time, {cpu_share:.1%} of the CPU time; target {MAX_RESTART_SHARE:.0%}")
    size_bytes = sum(path.stat().st_size for path in states.rglob("*") if path.is_file())
    print(f"states on disk: {size_bytes / 1e6:.0f} MB; ending {spread(ends_ms)} ms, loading {spread(loads_ms)} ms")
    return share <= MAX_RESTART_SHARE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="1.1b", choices=SHAPES)
    parser.add_argument("--quant", default="q4_0", choices=QUANTS)
    parser.add_argument("--model", type=Path, help="a GGUF file of your own, with a chat template")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=8000, help="length of the conversation after the last turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--context", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_high_level(options.serve, options.threads, options.context)
        return 0
    path = options.model or shape_file(options.shape, options.quant)
    question_tokens = max(options.tokens // options.turns - ANSWER_TOKENS - 10, 1)
    context_tokens = -(-(options.tokens + options.tokens // 8 + 1024) // 256) * 256
    with tempfile.TemporaryDirectory() as folder:
        both = Options(path, options.threads, context_tokens)
        good = measure(both, options.turns, question_tokens, options.rounds, Path(folder))
    print("within the target" if good else "NOT within the target")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
