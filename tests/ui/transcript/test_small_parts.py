"""The parts of the transcript that work without a window."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace

from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.core.blocks import BlockKind
from app.core.messages import Usage
from app.ui.transcript.block_column import plain_blocks
from app.ui.transcript.figures import figures_details, figures_line, remaining_time
from app.ui.transcript.question import FOLD_CHARS, folded
from app.ui.transcript.row_heights import RowHeights
from app.ui.transcript.selection import Place, Selection, TextId
from app.ui.transcript.slices import SLICE_MS, SliceQueue


def test_row_heights_agree_with_plain_sums() -> None:
    rng = random.Random(1)
    plain: list[int] = []
    heights = RowHeights()
    for _ in range(500):
        action = rng.random()
        if action < 0.4 or not plain:
            plain.append(rng.randint(1, 90))
            heights.append(plain[-1])
        elif action < 0.7:
            row = rng.randrange(len(plain))
            plain[row] = rng.randint(1, 90)
            heights.set(row, plain[row])
        elif action < 0.75:
            length = rng.randint(1, len(plain))
            del plain[length:]
            heights.truncate(length)
        row = rng.randint(0, len(plain))
        assert heights.top_of(row) == sum(plain[:row])
        assert heights.total == sum(plain)
        y = rng.randint(-10, sum(plain) + 10)
        found = heights.row_at(y)
        assert found == 0 or heights.top_of(found) <= y
        assert found == len(plain) - 1 or y < heights.top_of(found + 1)


def test_slices_share_the_time_and_end(qtbot: QtBot) -> None:
    owner = QObject()
    queue = SliceQueue(owner)
    done: list[str] = []
    turns: list[float] = []

    def job(name: str, steps: int) -> Iterator[int]:
        for _ in range(steps):
            turns.append(time.perf_counter())
            end = time.perf_counter() + SLICE_MS / 4_000
            while time.perf_counter() < end:
                pass
            yield 0
        done.append(name)

    queue.add(owner, job("long", 12))
    queue.add(owner, job("short", 2))
    assert done == []
    qtbot.waitUntil(lambda: queue.is_idle, timeout=2_000)
    assert sorted(done) == ["long", "short"]


def test_a_waiting_job_lets_others_pass(qtbot: QtBot) -> None:
    owner = QObject()
    queue = SliceQueue(owner)
    ready: list[bool] = []
    order: list[str] = []

    def waiting() -> Iterator[int]:
        while not ready:
            yield 5
        order.append("waiting")

    def quick() -> Iterator[int]:
        yield 0
        order.append("quick")

    queue.add(owner, waiting())
    queue.add(owner, quick())
    qtbot.waitUntil(lambda: order == ["quick"], timeout=2_000)
    ready.append(True)
    qtbot.waitUntil(lambda: order == ["quick", "waiting"], timeout=2_000)


def test_a_cancelled_job_never_goes_on(qtbot: QtBot) -> None:
    owner, other = QObject(), QObject()
    queue = SliceQueue(owner)
    ran: list[str] = []

    def job(name: str) -> Iterator[int]:
        ran.append(name)
        yield 0
        ran.append(name)

    queue.add(owner, job("kept"))
    queue.add(other, job("cancelled"))
    queue.cancel(other)
    qtbot.waitUntil(lambda: queue.is_idle, timeout=2_000)
    assert ran == ["kept", "kept"]


def test_a_selection_knows_what_it_covers() -> None:
    owner = QObject()
    selection = Selection(owner)
    first, middle, last = TextId(0, 1, 0), TextId(1, 1, 0), TextId(2, 1, 3)
    selection.begin(Place(last, 4))
    selection.extend(Place(first, 2))
    assert selection.range_in(first, 10) == (2, 10)
    assert selection.range_in(middle, 7) == (0, 7)
    assert selection.range_in(last, 9) == (0, 4)
    assert selection.range_in(TextId(3, 1, 0), 5) == (0, 0)
    selection.select_all()
    assert selection.range_in(TextId(3, 1, 0), 5) == (0, 5)
    selection.clear()
    assert selection.is_empty


def test_typed_text_is_cut_without_losing_a_character() -> None:
    for text in ("short", "line\n" * 3_000, "word " * 3_000, "x" * 9_999, "a\n\n\n" * 2_000):
        blocks = plain_blocks(text)
        assert "".join(block.source for block in blocks) == text
        assert all(block.kind is BlockKind.PROSE for block in blocks)


def test_long_texts_are_folded() -> None:
    assert folded("a few words") is None
    assert folded("x" * (FOLD_CHARS + 1)) is not None
    shown = folded("line\n" * 400)
    assert shown is not None
    assert shown.count("\n") < 15


def test_figures_in_plain_words() -> None:
    usage = Usage(prompt_tokens=234, completion_tokens=56, generation_ms=7_000, first_token_ms=1_230)
    assert figures_line(usage, "Small 1B") == (
        "Small 1B · 8.0 tokens per second · 1.2 s to first token · 234 tokens in, 56 out"
    )
    assert figures_line(None, "Small 1B") == "Small 1B"
    assert figures_line(Usage(), None) == ""


def test_details_tell_how_many_guesses_were_right() -> None:
    plain = Usage(prompt_tokens=5, completion_tokens=9, generation_ms=100)
    assert "Guessed" not in figures_details(plain)
    drafted = replace(plain, drafted_tokens=12, accepted_tokens=7)
    assert figures_details(drafted).endswith("Guessed ahead: 12 tokens, of which 7 were right")


def test_remaining_time_as_one_says_it() -> None:
    assert remaining_time(200) == "about 1 s left"
    assert remaining_time(12_400) == "about 12 s left"
    assert remaining_time(240_000) == "about 4 min left"
