"""What the transcript costs. Run: python -m tests.benchmarks.transcript [--messages N]

All times are CPU time of the main thread, painting included, in milliseconds; memory is the resident set.
The conversation is made here: prose, lists, code, tables, formulas, quotes and right-to-left text.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from app.core.messages import ConversationId, Message, MessageId, MessageState, Role, TextPart, Usage
from app.core.tree import MessageItem, VersionPosition
from app.ui.theme import apply_theme
from app.ui.transcript import TranscriptView

WORDS = tuple(
    """the model reads a token and writes another while the window draws what came so that nobody has to wait for
    long because patience is short and answers are many even when the question was simple""".split()  # noqa: SIM905  # a sentence reads better than its words in quotes
)
FORMULAS = (r"\frac{a}{b}", r"x_1^2 + x_2^2", r"\sum_{i=1}^n i", r"\int_0^1 x\,dx", r"\sqrt{1 + y}", r"\alpha\beta")
CODE = '''def solve(a: float, b: float, c: float) -> list[float]:
    """The real roots of a quadratic equation, smallest first."""
    discriminant = b * b - 4 * a * c  # below zero: none
    if discriminant < 0:
        return []
    root = discriminant**0.5
    return sorted({(-b - root) / (2 * a), (-b + root) / (2 * a)})
'''


def sentence(rng: random.Random) -> str:
    words = [rng.choice(WORDS) for _ in range(rng.randint(6, 18))]
    if rng.random() < 0.15:
        words.insert(3, f"${rng.choice(FORMULAS)}$")
    if rng.random() < 0.3:
        words[1] = f"**{words[1]}**"
    if rng.random() < 0.2:
        words[2] = f"`{words[2]}`"
    return " ".join(words).capitalize() + "."


def paragraph(rng: random.Random) -> str:
    return " ".join(sentence(rng) for _ in range(rng.randint(2, 5)))


def answer(rng: random.Random) -> str:
    makers: tuple[Callable[[], str], ...] = (
        lambda: paragraph(rng),
        lambda: paragraph(rng),
        lambda: f"## {sentence(rng)[:30]}",
        lambda: "\n".join(f"- {sentence(rng)}" for _ in range(rng.randint(2, 6))),
        lambda: f"```python\n{CODE}```",
        lambda: "| name | value |\n|---|--:|\n" + "\n".join(f"| row {i} | {i * 17} |" for i in range(5)),
        lambda: f"$$\n{rng.choice(FORMULAS)} = {rng.choice(FORMULAS)}\n$$",
        lambda: f"> {sentence(rng)}",
        lambda: "שלום, זה משפט ארוך בעברית עם " + rng.choice(WORDS) + " באמצע.",
    )
    return "\n\n".join(rng.choice(makers)() for _ in range(rng.randint(2, 8)))


def conversation(count: int) -> list[MessageItem]:
    rng = random.Random(7)
    usage = Usage(512, 256, 200, 900.0, 5_400.0, 950.0)
    items = []
    for number in range(count):
        is_answer = number % 2 == 1
        text = answer(rng) if is_answer else sentence(rng)
        message = Message(
            MessageId(f"m{number}"),
            ConversationId("c"),
            None,
            Role.ASSISTANT if is_answer else Role.USER,
            (TextPart(text),),
            model_name="Benchmark 1B" if is_answer else None,
            usage=usage if is_answer else None,
        )
        items.append(MessageItem(message, VersionPosition(0, 1)))
    return items


def tokens(text: str) -> Iterator[str]:
    for start in range(0, len(text), 4):
        yield text[start : start + 4]


def long_texts() -> dict[str, str]:
    """Texts of about 4,000 tokens of four characters."""
    rng = random.Random(3)
    mixed = "\n\n".join(itertools.takewhile(bool, (answer(rng) for _ in range(40))))[:16_000]
    return {
        "mixed answer": mixed,
        "one code block": ("```python\n" + CODE * 60)[:16_000],
        "one paragraph": " ".join(sentence(rng) for _ in range(260))[:16_000],
        "one list": "\n".join(f"{i}. {sentence(rng)}" for i in range(1, 260))[:16_000],
        "one table": "| a | b |\n|---|---|\n" + "".join(f"| {i} | {sentence(rng)[:30]} |\n" for i in range(400)),
    }


class Bench:
    def __init__(self) -> None:
        self.app = QApplication([])
        self.app.setStyle("Fusion")
        apply_theme(self.app, "light", 100)
        self.view = TranscriptView()
        self.view.resize(900, 700)
        self.view.show()
        self.settle()

    def settle(self, seconds: float = 0.3) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.pump()
            time.sleep(0.002)

    def pump(self) -> None:
        self.app.processEvents()
        self.app.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # else only a running event loop deletes

    def measure(self, step: Callable[[], object]) -> float:
        start = time.thread_time()
        step()
        self.pump()
        return (time.thread_time() - start) * 1000


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def report(name: str, values: list[float], target: float | None = None) -> None:
    p50, p99, worst = percentile(values, 0.5), percentile(values, 0.99), max(values)
    verdict = "" if target is None else ("ok" if p99 <= target else "OVER")
    aim = "" if target is None else f"p99 ≤ {target:g}"
    print(f"{name:<44}{p50:>8.2f}{p99:>8.2f}{worst:>8.2f}   {aim:<12}{verdict}")


def report_one(name: str, value: float, unit: str, target: float) -> None:
    verdict = "ok" if value <= target else "OVER"
    print(f"{name:<44}{value:>8.1f} {unit:<15}   ≤ {target:<9g} {verdict}")


def memory_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def streaming_item(number: int) -> MessageItem:
    message = Message(
        MessageId(f"s{number}"), ConversationId("c"), None, Role.ASSISTANT, (TextPart(""),), MessageState.STREAMING
    )
    return MessageItem(message, VersionPosition(0, 1))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=5_000)
    count = arguments.parse_args().messages
    bench = Bench()
    view = bench.view
    items = conversation(count)
    chars = sum(len(item.message.text) for item in items)
    print(f"window {memory_mb():.0f} MB with the texts of {count} messages ({chars} characters)")
    bench.measure(lambda: view.set_items(items[:1_000]))  # warm: fonts, styles
    bench.settle(1.0)
    for number in (1_000, count):
        best = min(opening(bench, items[:number]) for _ in range(3))
        report_one(f"open {number} messages", best, "ms", 150)
    bench.settle(1.5)
    print(f"{'':<44}{'p50':>8}{'p99':>8}{'max':>8}")
    bar = view.verticalScrollBar()
    report("scroll up, 60 px a frame", [bench.measure(lambda: bar.setValue(bar.value() - 60)) for _ in range(600)], 16)
    report(
        "scroll down, 60 px a frame", [bench.measure(lambda: bar.setValue(bar.value() + 60)) for _ in range(600)], 16
    )
    report("page up", [bench.measure(lambda: bar.setValue(bar.value() - 640)) for _ in range(150)])
    rng = random.Random(1)
    report("jump anywhere", [bench.measure(lambda: bar.setValue(rng.randint(0, bar.maximum()))) for _ in range(100)])
    view.scroll_to_end()
    for number, (name, text) in enumerate(long_texts().items()):
        view.add_item(streaming_item(number))
        view.scroll_to_end()
        costs = [bench.measure(lambda t=token, n=number: view.append_text(f"s{n}", t)) for token in tokens(text)]
        report(f"streamed token, {name}", costs, 8)
        report("   its last 500 tokens", costs[-500:])
        view.remove_from(f"s{number}")
    longest_gap(bench)
    bench.settle(1.0)
    report_one("memory of the process", memory_mb(), "MB", 150)
    sys.stdout.flush()
    os._exit(0)  # no teardown of 5,000 messages


def opening(bench: Bench, items: list[MessageItem]) -> float:
    bench.view.set_items([])
    bench.settle(0.1)
    return bench.measure(lambda: bench.view.set_items(items))


def longest_gap(bench: Bench) -> None:
    """2,000 tokens a second for four seconds, shown as the window does: next flush after max(16 ms, 3 × last cost)."""
    text = long_texts()["mixed answer"] * 2
    view = bench.view
    view.add_item(streaming_item(99))
    view.scroll_to_end()
    bench.settle(0.2)
    start = time.monotonic()
    shown, last_cost, next_flush = 0, 0.0, start
    gaps: list[float] = []
    while shown < len(text):
        due = min(len(text), int((time.monotonic() - start) * 2_000) * 4)
        if due > shown and time.monotonic() >= next_flush:
            piece, shown = text[shown:due], due
            begun = time.monotonic()
            gaps.append(bench.measure(lambda p=piece: view.append_text("s99", p)))
            last_cost = time.monotonic() - begun
            next_flush = time.monotonic() + max(0.016, 3 * last_cost)
        else:
            gaps.append(bench.measure(lambda: None))
            time.sleep(0.001)
    report("main thread at 2,000 tokens/s, mixed answer", [gap for gap in gaps if gap > 0.5], 32)


if __name__ == "__main__":
    main()
