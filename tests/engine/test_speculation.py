"""Guesses with real models: the text is the same, only its making is faster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.core.adapter import Adapter
from app.core.events import FinishReason, Loaded, TokenScored
from app.core.memory import ContextPlan
from app.engine.protocol import Generate, Load
from app.engine.worker.backend import StopFlag
from app.engine.worker.batch import Batch
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import ContextSettings, LoadedModel
from app.engine.worker.sequence import ContextSequence
from app.engine.worker.speculation.exact_width import ExactWidth
from tests.engine.engine_child import EngineChild, Run, user
from tests.engine.session_driver import Asked, SessionDriver
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.tiny_adapter import redirection, write_adapter

GREEDY = {"temperature": 0.0}
REPEATING = "the cat sat on the cat and the cat sat on the cat and the cat sat on"


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_endless_model(tmp_path_factory.mktemp("endless") / "endless.gguf", context_length=2048)


def pair(child: EngineChild, text: str, **fields: object) -> tuple[Run, Run]:
    """The same question without and with guesses."""
    without = child.generate([user(text)], speculate=False, **fields)
    return without, child.generate([user(text)], speculate=True, **fields)


def test_guesses_are_right_where_the_text_repeats_itself(child: EngineChild, endless: Path) -> None:
    child.load(endless)
    without, guessed = pair(child, "hello", max_tokens=600, sampling={"temperature": 0.7, "seed": 1})
    assert guessed.text == without.text
    assert without.last.usage.drafted_tokens == 0
    assert guessed.last.usage.completion_tokens == 600
    assert guessed.last.context_tokens == without.last.context_tokens
    usage = guessed.last.usage
    assert usage.accepted_tokens == usage.drafted_tokens > 100


@pytest.mark.parametrize("name", ["qwen2", "llama-2", "gemma", "mamba"])
def test_greedy_text_is_the_same(child: EngineChild, models: Path, name: str) -> None:
    child.load(models / f"{name}.gguf")
    for text in (REPEATING, "hello world", "one two one two one two one two"):
        without, guessed = pair(child, text, max_tokens=200, sampling={"temperature": 0.0})
        assert guessed.text == without.text


@pytest.fixture
def wavering(child: EngineChild, endless: Path, tmp_path: Path) -> EngineChild:
    """A model that after " on" goes on with " and" as a rule, but now and then with " cat": guesses are often wrong."""
    change = redirection(tiny.bpe_vocabulary(), after=tiny.byte_token(" on"), say=tiny.byte_token(" cat"))
    adapter = Adapter(str(write_adapter(tmp_path / "wavering.gguf", change)), 0.31)
    loaded = child.ask(Load(0, str(endless), 2048, threads=1, adapters=(adapter,)))
    assert isinstance(loaded.last, Loaded)
    return child


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_wrong_guesses_leave_no_trace_in_text_with_a_seed(wavering: EngineChild, seed: int) -> None:
    """Sampling takes one random number for each token, guessed or not; penalties see the same tokens."""
    sampling = {"temperature": 1.0, "seed": seed, "repeat_penalty": 1.05}
    without, guessed = pair(wavering, "hello", max_tokens=600, sampling=sampling)
    assert guessed.text == without.text
    assert " on cat" in without.text
    usage = guessed.last.usage
    assert 100 < usage.accepted_tokens < usage.drafted_tokens


def test_guesses_do_not_change_how_likely_words_are(wavering: EngineChild) -> None:
    """Of some 1,400 choices as many are the rare one as the model's own probabilities want, within 3 deviations."""
    *_, on, after = wavering.generate([user("hello")], max_tokens=5, alternatives=1, sampling=GREEDY).of(TokenScored)
    assert [each.text for each in (on.chosen, after.chosen, *after.others)] == [" on", " and", " cat"]
    probability = math.exp(after.others[0].log_probability)
    runs = [
        wavering.generate([user("hello")], max_tokens=1900, sampling={"temperature": 1.0, "seed": seed})
        for seed in range(3)
    ]
    assert all(run.last.usage.accepted_tokens > 500 for run in runs)
    rare, usual = (sum(run.text.count(f" on {word}") for run in runs) for word in ("cat", "and"))
    choices = rare + usual
    assert choices > 1000, (rare, usual, probability)
    assert abs(rare - choices * probability) < 3 * math.sqrt(choices * probability * (1 - probability))


def test_an_answer_ends_where_it_should_amid_guesses(child: EngineChild, endless: Path) -> None:
    child.load(endless)
    warm = {"max_tokens": 300, "sampling": {"temperature": 0.7, "seed": 1}}
    pair(child, "hello", **warm)
    for most in (1, 2, 37, 101):
        without, guessed = pair(child, "hello", max_tokens=most, sampling={"temperature": 0.7, "seed": 1})
        assert guessed.text == without.text
        assert guessed.last.usage.completion_tokens == most
    without, guessed = pair(child, "hello", sampling={"temperature": 0.7, "seed": 1})
    assert guessed.last.reason == without.last.reason
    assert guessed.last.context_tokens == without.last.context_tokens
    assert guessed.text == without.text


def test_the_next_turn_reads_nothing_again_after_guesses(child: EngineChild, endless: Path) -> None:
    child.load(endless)
    child.generate([user("hello")], max_tokens=300, sampling={"temperature": 0.7}, conversation_id="c")
    again = child.generate([user("hello")], max_tokens=5, sampling={"temperature": 0.7}, conversation_id="c")
    assert again.last.usage.reused_tokens == again.last.usage.prompt_tokens - 1


def test_several_answers_with_guesses_do_not_disturb_each_other(child: EngineChild, endless: Path) -> None:
    child.load(endless, 1024)
    fields: dict[str, Any] = {"max_tokens": 300, "sampling": {"temperature": 0.7, "seed": 1}}
    wanted = child.generate([user("hello")], speculate=False, **fields)
    asked = [child.send(Generate(0, (user("hello"),), conversation_id=name, **fields)) for name in "bcd"]
    for run in map(child.collect, asked):
        assert run.text == wanted.text
        assert run.last.usage.accepted_tokens > 50


def test_measuring_what_is_exact_leaves_nothing_behind(models: Path) -> None:
    driver = SessionDriver(models / "llama-2.gguf")
    try:
        first = driver.ask([user(REPEATING)], "a", max_tokens=100, speculate=False)
        driver.forget()
        second = driver.ask([user(REPEATING)], "a", max_tokens=100, speculate=True)
        third = driver.ask([user(REPEATING)], "a", max_tokens=100, speculate=True)
        assert first.text == second.text == third.text
    finally:
        driver.session.close()


def test_the_exact_width_is_measured_once(models: Path) -> None:
    model = LoadedModel(models / "qwen2.gguf", lambda fraction: True, EngineLog())
    model.open_context(ContextSettings(ContextPlan(512, batch_tokens=64, output_tokens=16), threads=1))
    assert model.context is not None
    try:
        driver_sequence = ContextSequence(model.context, 0, is_recurrent=False)
        width = ExactWidth()
        prompt: Sequence[int] = model.vocabulary.tokenize(b"hello world", False)
        first = width.of(model, driver_sequence, prompt, StopFlag())
        assert 1 <= first <= 8
        model_context, model.context = model.context, None
        assert (
            width.of(model, driver_sequence, prompt, StopFlag()) == first
        )  # without a context nothing can be measured
        model.context = model_context
    finally:
        model.close()


def test_a_stop_ends_the_measuring_of_the_exact_width(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It decodes up to twenty times before an answer begins, seconds with a large model."""
    driver = SessionDriver(models / "qwen2.gguf")
    asked = Asked()
    decodes = 0
    decode = Batch.decode

    def stop_in_the_second(batch: Batch, context: int) -> int:
        nonlocal decodes
        decodes += 1
        if decodes == 2:
            asked.control.stop()
        return decode(batch, context)

    monkeypatch.setattr(Batch, "decode", stop_in_the_second)
    try:
        request = Generate(1, (user("hello"),), {"temperature": 0.0}, max_tokens=5)
        driver.session.begin(request, asked.events.append, asked.control)
        driver.finish(asked)
        assert decodes == 2
        assert asked.last.reason is FinishReason.STOPPED
        assert driver.ask([user("hello")], max_tokens=5).text
        assert decodes > 12
    finally:
        driver.close()
