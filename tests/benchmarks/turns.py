"""How long a person waits for the first word: on each turn, after a switch of conversation, after a restart.

    python -m tests.benchmarks.turns [--shape 1.1b] [--quant q4_0] [--turns 20] [--tokens 6000] [--rounds 3]
                                     [--long-rounds 1]

Hearth's engine child, spoken to through its pipes, and `llama_cpp.Llama` in a process of its own have the same
conversations with the same model file, taking turns. Each turn adds a question of --tokens / --turns tokens and a short
answer. Then come --rounds of: a question in another conversation and back again; an end of the process, a new start and
a question. What a restart saves is compared with a child that keeps no states and reads the conversation anew. That,
and llama_cpp.Llama, which then reads the whole conversation again, take minutes: they are in the first --long-rounds.

On two quiet cores with the release engine the defaults take some 7 minutes, --tokens 8000 some 11, and with
--long-rounds 0, where llama_cpp.Llama takes part in the turns only, 6.

LLAMA_CPP_LIB_PATH names another build of llama.cpp than the installed one, for both. If llama_cpp.Llama ends or says
nothing for minutes, that is told, and Hearth goes on alone.

Times on the clock are from the question to the first text; beside them the CPU time of the process, which other
programs on the computer disturb less. Both sides wait between computations in the way that Hearth's child does
(GOMP_SPINCOUNT), so that what is compared is how much is read.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import psutil

from app.core.events import Failed, Finished, Loaded, PromptStarted, TextDelta
from app.core.messages import Role
from app.engine.protocol import ChatMessage, Generate, Load, Shutdown, encode
from tests.benchmarks.line_process import LineProcess
from tests.benchmarks.shapes import QUANTS, SHAPES, noise_text, shape_file
from tests.engine.engine_child import EngineChild

MAX_RESTART_SHARE = 0.05  # of the time that reading the conversation takes
ANSWER_TOKENS = 16
STATE_LIMIT_BYTES = 8 * 1024**3
START_S, PATIENCE_S = 120.0, 400.0  # for one event; a busy computer is slow, and that shall be measured

Conversation = list[tuple[Role, str]]
Pair = tuple["First", "First | None"]  # ours and theirs, where they were asked


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
    log: Path  # of llama_cpp.Llama


class Side(Protocol):
    """An engine in a process of its own with a model loaded."""

    def ask(self, conversation_id: str, conversation: Conversation) -> First:
        """Have the last message answered; the answer is added to the conversation."""


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
        try:
            self._child.send(load)
            while not isinstance(self._next_event(), Loaded):
                pass
        except BaseException:
            self.end()
            raise
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
        self.end()
        return (time.perf_counter() - start) * 1000

    def end(self) -> None:
        """End the process in any case."""
        self._child.close()


class HighLevel:
    """`llama_cpp.Llama` in a process that runs `serve_high_level`. Raises RuntimeError when it ends or is silent."""

    def __init__(self, options: Options) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.turns", "--serve", str(options.path)]
        command += ["--threads", str(options.threads), "--context", str(options.context_tokens)]
        self._child = LineProcess(command, options.log)
        self._process = psutil.Process(self._child.pid)
        self.load_ms = float(self._child.next(START_S))

    def ask(self, conversation_id: str, conversation: Conversation) -> First:
        cpu, start = _cpu_s(self._process), time.perf_counter()
        self._child.send([{"role": role.value, "content": text} for role, text in conversation])
        self._child.next(PATIENCE_S)
        wall, used = time.perf_counter() - start, _cpu_s(self._process) - cpu
        conversation.append((Role.ASSISTANT, self._child.next(PATIENCE_S)))
        return First(wall * 1000, used * 1000, 0, 0)

    def close(self) -> float:
        start = time.perf_counter()
        self._child.close()
        return (time.perf_counter() - start) * 1000


def serve_high_level(path: Path, threads: int, context_tokens: int) -> None:
    """Answer lines of messages: one line of JSON at the first text, one with the whole answer."""
    from llama_cpp import Llama

    from app.engine.worker.binding import initialize

    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the package prints goes to the log

    def tell(value: Any) -> None:
        print(json.dumps(value), file=events, flush=True)

    start = time.perf_counter()
    # The package does not know of processors' libraries that are loaded by themselves.
    kept = initialize(lambda level, text: None, lambda message: None, ())
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
    del kept


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class Comparison:
    """The two sides, what they talked about, and what came out. Ends its processes when it is left."""

    def __init__(self, options: Options, states: Path, question_tokens: int) -> None:
        self._options = options
        self._states = states
        self._question_tokens = question_tokens
        self._asked = 0
        self._open = ExitStack()
        self._ours = self._start_ours(states)
        self._theirs = self._start_theirs()
        self._talks: dict[tuple[str, bool], Conversation] = {}  # by id and whether it is ours

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def turn(self, conversation_id: str, words: int | None = None, *, with_theirs: bool = True) -> Pair:
        """The same question to both, one after the other; every second time the other way round."""
        question = (Role.USER, noise_text(words or self._question_tokens, self._asked))
        self._asked += 1
        found: dict[bool, First | None] = {False: None}
        for is_ours in (True, False) if self._asked % 2 else (False, True):
            side: Side | None = self._ours if is_ours else self._theirs
            if side is None or not (is_ours or with_theirs):
                continue
            talk = self._talks.setdefault((conversation_id, is_ours), [])
            talk.append(question)
            try:
                found[is_ours] = side.ask(conversation_id, talk)
            except RuntimeError as error:
                self._lose_theirs(error)
        ours = found[True]
        assert ours is not None
        return ours, found[False]

    def restart(self, *, with_theirs: bool) -> tuple[float, float]:
        """End the processes and start them anew; returns how long Hearth's took to end and to load."""
        end_ms = self._ours.close()
        self._ours = self._start_ours(self._states)
        if self._theirs is not None:
            self._theirs.close()
            self._theirs = self._start_theirs() if with_theirs else None
        return end_ms, self._ours.load_ms

    def read_anew(self, conversation_id: str, words: int) -> First:
        """The next question of a conversation to a child that keeps no states and has just begun."""
        conversation = [*self._talks[conversation_id, True], (Role.USER, noise_text(words, self._asked))]
        child = self._start_ours(None)
        try:
            return child.ask(conversation_id, conversation)
        finally:
            child.close()

    def _start_ours(self, states: Path | None) -> Hearth:
        child = Hearth(self._options, states)
        self._open.callback(child.end)
        return child

    def _start_theirs(self) -> HighLevel | None:
        try:
            child = HighLevel(self._options)
        except RuntimeError as error:
            self._lose_theirs(error)
            return None
        self._open.callback(child.close)
        return child

    def _lose_theirs(self, error: RuntimeError) -> None:
        print(f"llama_cpp.Llama is not measured: {error}", flush=True)
        self._theirs = None


def spread(values: Iterable[float]) -> str:
    """Median with the lowest and the highest."""
    ordered = sorted(values)
    return f"{statistics.median(ordered):>9.0f} ({ordered[0]:.0f} to {ordered[-1]:.0f})"


def report(what: str, pairs: Sequence[Pair]) -> None:
    """Print medians, spread and ratios of a kind of question."""
    ours, theirs = [first for first, _ in pairs], [second for _, second in pairs if second is not None]
    print(f"\n{what}: median (lowest to highest) of {len(ours)}, llama_cpp.Llama's of {len(theirs)}")
    units: tuple[tuple[str, Callable[[First], float]], ...] = (
        ("ms", lambda first: first.wall_ms),
        ("CPU ms", lambda first: first.cpu_ms),
    )
    for unit, of in units:
        line = f"  {unit:<7} Hearth {spread(map(of, ours)):<32}"
        if theirs:
            ratio = statistics.median(map(of, ours)) / max(statistics.median(map(of, theirs)), 1e-9)
            line += f" llama_cpp.Llama {spread(map(of, theirs)):<34} ratio {ratio:.3f}"
        print(line)


def measure(comparison: Comparison, turns: int, rounds: int, long_rounds: int, states: Path) -> bool:
    """Everything in order; returns whether the targets are met."""
    print(f"{'turn':>4}{'prompt':>8}{'reused':>8}{'Hearth ms':>12}{'Llama ms':>11}{'ratio':>8}", flush=True)
    growing: list[Pair] = []
    for number in range(1, turns + 1):
        ours, theirs = comparison.turn("growing")
        growing.append((ours, theirs))
        line = f"{number:>4}{ours.prompt_tokens:>8}{ours.reused_tokens:>8}{ours.wall_ms:>12.0f}"
        if theirs is not None:
            line += f"{theirs.wall_ms:>11.0f}{ours.wall_ms / theirs.wall_ms:>8.2f}"
        print(line, flush=True)
    report("turns from the second on", growing[1:] or growing)
    switched: list[Pair] = []
    for number in range(rounds):
        comparison.turn("other", 50, with_theirs=number < long_rounds)
        switched.append(comparison.turn("growing", 20, with_theirs=number < long_rounds))
    report("back from another conversation", switched)
    restarted: list[Pair] = []
    anew: list[First] = []
    ends_ms: list[float] = []
    loads_ms: list[float] = []
    for number in range(rounds):
        if number < max(long_rounds, 1):
            anew.append(comparison.read_anew("growing", 20))
        end_ms, load_ms = comparison.restart(with_theirs=number < long_rounds)
        ends_ms.append(end_ms)
        loads_ms.append(load_ms)
        restarted.append(comparison.turn("growing", 20, with_theirs=number < long_rounds))
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
    parser.add_argument("--tokens", type=int, default=6000, help="length of the conversation after the last turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long-rounds", type=int, default=1, help="so many of the rounds with llama_cpp.Llama")
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
        states = Path(folder) / "states"
        both = Options(path, options.threads, context_tokens, Path(folder) / "llama_cpp.log")
        with Comparison(both, states, question_tokens) as comparison:
            good = measure(comparison, options.turns, options.rounds, options.long_rounds, states)
    print("within the target" if good else "NOT within the target")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
