"""A long piece of a prompt that is being read gives way to an answer that is to begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.engine_child import user
from tests.engine.session_driver import Asked, SessionDriver

pytestmark = pytest.mark.engine

LONG, SHORT = [user("the cat sat on the world and " * 100)], [user("hello")]


@pytest.fixture
def driven(models: Path) -> Iterator[Callable[[str], SessionDriver]]:
    drivers: list[SessionDriver] = []

    def make(name: str) -> SessionDriver:
        drivers.append(SessionDriver(models / f"{name}.gguf", sequences=2, context_length=2048))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


def lengths_of_pieces(driver: SessionDriver, before_first: Callable[[], None]) -> list[int]:
    """Of all that is decoded from now on; something happens when llama.cpp is about to begin with the first."""
    scheduler: Any = driver.session._scheduler
    batch, lengths = scheduler._batch, []
    compute = batch.decode

    def noted(context: int) -> int:
        lengths.append(batch.length)
        if len(lengths) == 1:
            before_first()
        return int(compute(context))

    batch.decode = noted
    return lengths


def tokens_of(answer: Asked, driver: SessionDriver) -> int:
    """How many tokens of its prompt are read."""
    scheduler: Any = driver.session._scheduler
    (sequence,) = (each.sequence for each in scheduler._answers if each.control is answer.control)
    return len(sequence.tokens)


def test_the_piece_is_left_and_read_again_beside_the_new_answer(driven: Callable[[str], SessionDriver]) -> None:
    driver = driven("llama-3")
    wanted = [driver.ask(messages, speculate=False).text for messages in (LONG, SHORT)]
    driver.forget()
    long = driver.begin(LONG, "long", speculate=False)
    lengths = lengths_of_pieces(driver, driver.session.hurry)
    driver.steps(1)
    assert lengths == [512]
    assert tokens_of(long, driver) == 0
    short = driver.begin(SHORT, "short", speculate=False)
    driver.finish(long, short)
    assert lengths[1] == 16
    assert [long.text, short.text] == wanted


def test_nobody_comes_after_all_and_long_pieces_go_on(driven: Callable[[str], SessionDriver]) -> None:
    driver = driven("llama-3")
    long = driver.begin(LONG, "long")
    lengths = lengths_of_pieces(driver, driver.session.hurry)
    driver.steps(3)
    assert lengths == [512, 16, 512]
    assert tokens_of(long, driver) == 528


def test_who_answers_alone_reads_long_pieces_at_once(driven: Callable[[str], SessionDriver]) -> None:
    """The child is told of every request when it comes, whether anything is being read or not."""
    driver = driven("llama-3")
    driver.ask(SHORT, "before")
    driver.session.hurry()
    driver.begin(LONG, "long")
    lengths = lengths_of_pieces(driver, lambda: None)
    driver.steps(1)
    assert lengths == [512]


def test_a_recurrent_state_is_not_spoiled(driven: Callable[[str], SessionDriver]) -> None:
    driver = driven("mamba")
    long = driver.begin(LONG, "long")
    lengths = lengths_of_pieces(driver, driver.session.hurry)
    driver.steps(2)
    assert lengths == [512, 16]
    assert tokens_of(long, driver) == 528


def test_there_is_no_haste_without_room(driven: Callable[[str], SessionDriver]) -> None:
    driver = driven("llama-3")
    answers = [driver.begin(LONG, name) for name in "ab"]
    lengths = lengths_of_pieces(driver, driver.session.hurry)
    driver.steps(1)
    assert lengths == [512]
    assert sorted(tokens_of(answer, driver) for answer in answers) == [0, 512]


def test_a_stop_still_ends_a_long_piece(driven: Callable[[str], SessionDriver]) -> None:
    driver = driven("llama-3")
    long = driver.begin(LONG, "long")
    lengths = lengths_of_pieces(driver, long.control.stop)
    driver.finish(long)
    assert lengths == [512]
    assert long.last.usage.completion_tokens == 0


def test_a_short_rest_is_read_with_the_piece_before_it(driven: Callable[[str], SessionDriver]) -> None:
    """A short piece takes longer for its size."""
    driver = driven("llama-3")
    driver.ask(SHORT, "other")
    scheduler: Any = driver.session._scheduler
    scheduler._chunk_tokens = 100
    long = driver.begin(LONG, "long", max_tokens=1)
    lengths = lengths_of_pieces(driver, lambda: None)
    driver.finish(long)
    total = long.last.usage.prompt_tokens
    assert lengths[:-1] == [100] * (len(lengths) - 1)
    assert 50 < lengths[-1] <= 150
    assert sum(lengths) == total


def test_one_writes_while_the_long_prompt_of_another_is_read(driven: Callable[[str], SessionDriver]) -> None:
    """Piece by piece, with a word in between: neither waits until the other is done."""
    driver = driven("llama-3")
    writer = driver.begin(SHORT, "short", max_tokens=500, speculate=False)
    driver.steps(3)
    reader = driver.begin(LONG, "long", max_tokens=1, speculate=False)
    read, written = tokens_of(reader, driver), tokens_of(writer, driver)
    for _ in range(10):
        driver.steps(2)
        assert tokens_of(writer, driver) > written
        assert tokens_of(reader, driver) > read
        read, written = tokens_of(reader, driver), tokens_of(writer, driver)
    driver.finish(reader)
    assert not writer.is_over
    writer.control.stop()
    driver.finish(writer)
