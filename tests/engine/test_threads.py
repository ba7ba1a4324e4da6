"""The number of threads changes nothing but the speed; a prompt that waits for its turn can be stopped."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from app.engine.worker.binding import llama
from tests.engine.engine_child import user
from tests.engine.session_driver import SessionDriver

WORDS = "the cat sat on the world and told the story of the world to the cat " * 12


@pytest.fixture(scope="module")
def driver(models: Path) -> SessionDriver:
    """Several conversations with a tiny model."""
    return SessionDriver(models / "qwen2.gguf", sequences=3)


def test_the_text_does_not_depend_on_the_threads(driver: SessionDriver) -> None:
    texts = set()
    for number, threads in enumerate((1, 2, 3)):
        llama.llama_set_n_threads(driver.model.context, threads, threads)
        driver.forget()
        texts.add(driver.ask([user(WORDS)], f"same {number}").text)
    assert len(texts) == 1


def test_another_number_in_the_middle_of_an_answer_changes_nothing(driver: SessionDriver) -> None:
    expected = driver.ask([user(WORDS)], "steady").text
    driver.forget()
    answer = driver.begin([user(WORDS)], "changing")
    for threads in (2, 1, 3, 1):
        llama.llama_set_n_threads(driver.model.context, threads, threads)
        driver.steps(3)
    driver.finish(answer)
    assert answer.text == expected


@pytest.mark.parametrize("delay_s", [0.0, 0.0005, 0.001, 0.002, 0.005])
def test_stopping_one_prompt_leaves_the_other_as_it_is(driver: SessionDriver, delay_s: float) -> None:
    expected = driver.ask([user(WORDS)], "alone").text
    driver.forget()
    kept = driver.begin([user(WORDS)], "kept")
    stopped = driver.begin([user("a story: " + WORDS)], "stopped", max_tokens=0)
    timer = threading.Timer(delay_s, stopped.control.stop)  # in the middle of a computation, mostly
    timer.start()
    driver.finish(kept, stopped)
    timer.join()
    assert stopped.is_over
    assert kept.text == expected
