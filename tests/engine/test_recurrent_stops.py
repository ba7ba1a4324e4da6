"""Where an aborted step would spoil the state of others, a stop neither aborts their step nor waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.events import Event, Finished, FinishReason
from app.engine.protocol import Generate
from app.engine.worker import binding
from app.engine.worker.backend import RequestControl
from app.engine.worker.channel import ChannelClosedError
from tests.engine.engine_child import assistant, user
from tests.engine.session_driver import Asked, SessionDriver
from tests.fixtures.architectures import ARCHITECTURES, write_architecture

pytestmark = pytest.mark.engine
ONE = [user("the cat sat on the world and " * 30, "u0")]
OTHER = [user("hello world", "u0")]
NEXT = [*OTHER, assistant("the cat", "a0"), user("and on", "u1")]
_library: list[object] = []  # what llama.cpp calls, as long as it lives


@pytest.fixture(params=["granitehybrid", "mamba"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SessionDriver]:
    _library.append(binding.initialize(lambda level, text: None, lambda message: None))
    running = SessionDriver(write_architecture(tmp_path / "model.gguf", ARCHITECTURES[request.param], 1024), 2)
    yield running
    running.close()


def stop_from_elsewhere(driver: SessionDriver, answer: Asked, is_wanted: Callable[[set[int]], bool]) -> list[bool]:
    """Stop an answer on another thread, in the first decode of sequences that are wanted.

    Returns a list that gets whether the answer was over before that decode was.
    """
    scheduler: Any = driver.session._scheduler
    batch, noted = scheduler._batch, []
    compute = batch.decode

    def stop_and_compute(context: int) -> int:
        if is_wanted({batch._sequences[place] for place in range(batch.length)}):
            batch.decode = compute
            thread = threading.Thread(target=answer.control.stop)
            thread.start()
            thread.join(5)
            noted.append(answer.is_over)
        return int(compute(context))

    batch.decode = stop_and_compute
    return noted


@pytest.mark.parametrize("moment", ["while the other is read", "while both are written"])
def test_a_stop_does_not_wait_for_the_step_of_another(driver: SessionDriver, moment: str) -> None:
    expected = {id(talk): driver.ask(talk).text for talk in (ONE, OTHER, NEXT) if not driver.forget()}
    stopped = driver.begin(OTHER, "stopped")
    if moment == "while the other is read":
        driver.steps(3)
        other = driver.begin(ONE, "other")
        noted = stop_from_elsewhere(driver, stopped, lambda sequences: len(sequences) == 1 and 0 not in sequences)
    else:
        other = driver.begin(ONE, "other")
        noted = stop_from_elsewhere(driver, stopped, lambda sequences: len(sequences) == 2)
    driver.finish(stopped, other)
    assert noted == [True]
    assert isinstance(stopped.last, Finished)
    assert stopped.last.reason is FinishReason.STOPPED
    assert [type(event) for event in stopped.events].count(Finished) == 1
    assert expected[id(OTHER)].startswith(stopped.text)
    assert other.text == expected[id(ONE)]
    for talk in (NEXT, OTHER):
        assert driver.ask(talk, "stopped").text == expected[id(talk)]


@pytest.mark.logs_warnings
def test_a_stop_harms_nothing_where_nobody_listens_any_more(driver: SessionDriver) -> None:
    """As at the end of the child after its parent has died: who stops the answers then has to leave in time."""
    control = RequestControl()

    def emit(event: Event) -> None:
        if isinstance(event, Finished):
            raise ChannelClosedError("broken pipe")

    driver.session.begin(Generate(1, tuple(OTHER), conversation_id="A"), emit, control)
    driver.steps(2)
    control.stop()
    driver.steps(1)
    assert not driver.session.is_answering


def test_a_stop_ends_the_reading_of_its_own_prompt(driver: SessionDriver) -> None:
    expected = driver.ask(OTHER).text
    driver.forget()
    other, stopped = driver.begin(OTHER, "other"), driver.begin(ONE, "stopped")
    results = []
    scheduler: Any = driver.session._scheduler
    batch = scheduler._batch
    compute = batch.decode

    def stop_and_compute(context: int) -> int:
        if batch.length > 1 and batch._sequences[0] == 1:
            stopped.control.stop()
            results.append(int(compute(context)))
            return results[-1]
        return int(compute(context))

    batch.decode = stop_and_compute
    driver.finish(other, stopped)
    assert results == [2]  # llama_decode: aborted
    assert stopped.last.reason is FinishReason.STOPPED
    assert other.text == expected
