"""Heads of the model's own that guess ahead: found, used, and the text stays the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from app.core.events import HOST, Loaded
from app.core.memory import heads_bytes
from app.core.plan import DeviceShare
from app.engine.attempts import AttemptJournal, AttemptKind
from app.engine.protocol import Generate, Load
from app.engine.worker import binding, session
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.inspection import inspect_model_file
from app.engine.worker.nextn_functions import has_heads, nextn_functions
from app.engine.worker.speculation import PromptLookup
from app.engine.worker.speculation.nextn import HeadsPlace, PredictionHeads
from tests.engine.engine_child import EngineChild, Run, assistant, user
from tests.engine.session_driver import SessionDriver
from tests.engine.test_draft_model import Eager
from tests.fixtures.architectures import ARCHITECTURES, write_architecture

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(nextn_functions() is None, reason="this engine does not export the functions for heads"),
]
NAMES = ("glm4moe", "deepseek2")
_library: list[object] = []  # what llama.cpp calls back as long as this process lives


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models with heads: of noise, and with heads that know what the model will say ("knowing")."""
    folder = tmp_path_factory.mktemp("heads")
    _library.append(binding.initialize(lambda level, text: None, lambda message: None))
    for name in NAMES:
        noise = write_architecture(folder / f"{name}.gguf", ARCHITECTURES[name], 4096, with_heads=True)
        make_knowing(shutil.copy(noise, folder / f"{name}-knowing.gguf"))
    write_architecture(folder / "without.gguf", ARCHITECTURES["glm4moe"], 4096)
    return folder


def make_knowing(path: Path, sees: str = "token") -> None:
    """Let all layers say nothing: then model and head both answer to the last token alone, with the same output."""
    reader = gguf.GGUFReader(path, "r+")
    weights = {tensor.name: tensor.data.view(np.float32) for tensor in reader.tensors}
    for name, values in weights.items():
        if "embed_tokens" in name or "shared_head_head" in name:
            values[:] = weights["token_embd.weight" if "embed" in name else "output.weight"]
        elif "norm" in name:
            values[:] = 1.0
        elif "attn_output" in name or "ffn_down" in name:
            values[:] = 0.0
        elif "eh_proj" in name:  # it sees the token or the state alone
            values[:] = np.eye(*values.shape, k=0 if sees == "token" else len(values))
    reader.data.flush()


class NoLookup(PromptLookup):
    """The conversation gives no guess."""

    def propose(self, tokens: Sequence[int], last: int, limit: int) -> list[int]:
        return []


@pytest.fixture
def guessing(files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a session whose model's heads always guess so much."""
    monkeypatch.setattr(session, "PromptLookup", NoLookup)
    drivers: list[SessionDriver] = []

    def make(name: str, count: int = 4, sequences: int = 1, **fields: Any) -> SessionDriver:
        driver = SessionDriver(files / f"{name}.gguf", sequences=sequences, with_heads=True, **fields)
        drivers.append(driver)
        driver.session.use_draft(PredictionHeads(driver.model))
        driver.session._draft_control = Eager(count)  # type: ignore[assignment]  # guesses so many, whether that pays or not
        return driver

    yield make
    for driver in drivers:
        driver.close()


def test_files_with_heads_are_told_from_others(files: Path, models: Path, tmp_path: Path) -> None:
    for name in NAMES:
        assert has_heads(inspect_model_file(files / f"{name}.gguf"))
    assert not has_heads(inspect_model_file(files / "without.gguf"))
    assert not has_heads(inspect_model_file(models / "qwen2.gguf"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("knowing", [True, False], ids=["right guesses", "wrong guesses"])
def test_greedy_text_is_the_same(guessing: Any, name: str, knowing: bool) -> None:
    driver = guessing(f"{name}-knowing" if knowing else name)
    without = driver.ask([user("hello")], max_tokens=150, speculate=False)
    guessed = driver.ask([user("hello")], max_tokens=150)
    assert guessed.text == without.text
    usage = guessed.last.usage
    assert usage.completion_tokens == 150
    assert usage.drafted_tokens > 100
    if knowing:
        assert usage.accepted_tokens > 0.95 * usage.drafted_tokens


@pytest.mark.parametrize("name", NAMES)
def test_a_token_is_read_with_the_state_of_the_one_before_it(
    guessing: Any, files: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A head that sees the state alone repeats what the model made of it: the token that it is asked to go on from."""
    make_knowing(files / f"{name}-knowing.gguf", sees="state")
    asked: list[tuple[int, list[int]]] = []
    propose = HeadsPlace.propose

    def note(place: HeadsPlace, tokens: Sequence[int], last: int, limit: int) -> list[int]:
        guesses = propose(place, tokens, last, limit)
        asked.append((last, guesses))
        return guesses

    monkeypatch.setattr(HeadsPlace, "propose", note)
    try:
        guessing(f"{name}-knowing").ask([user("hello")], max_tokens=50)
    finally:
        make_knowing(files / f"{name}-knowing.gguf")
    assert len(asked) > 20
    assert all(guesses[0] == last for last, guesses in asked)


@pytest.mark.parametrize("seed", [1, 2])
def test_text_with_a_seed_is_the_same(guessing: Any, seed: int) -> None:
    driver = guessing("glm4moe-knowing")
    sampling = {"temperature": 0.5, "seed": seed, "repeat_penalty": 1.1}
    texts = [driver.ask([user("a")], max_tokens=150, speculate=each, sampling=sampling) for each in (False, True)]
    assert texts[0].text == texts[1].text
    assert 0 < texts[1].last.usage.accepted_tokens < texts[1].last.usage.drafted_tokens


def test_turns_and_texts_longer_than_the_heads_context(guessing: Any) -> None:
    driver = guessing("glm4moe-knowing", context_length=4096)
    talks = [[user("hello")], [user("hello"), assistant("X" * 500), user("and on")], [user("hello")]]
    for messages in talks:
        without = driver.ask(messages, "c", max_tokens=30, speculate=False)
        guessed = driver.ask(messages, "c", max_tokens=30)
        assert guessed.text == without.text
        assert guessed.last.usage.accepted_tokens > 15
    long = driver.ask([user("hello")], "d", max_tokens=2600)
    assert long.last.usage.accepted_tokens > 0.7 * 2600 * 4 / 5


def test_several_answers_do_not_disturb_each_other(guessing: Any) -> None:
    driver = guessing("glm4moe-knowing", sequences=3, context_length=512)
    without = driver.ask([user("hello")], "z", max_tokens=60, speculate=False)
    answers = [driver.begin([user("hello")], name, max_tokens=60) for name in "abc"]
    driver.finish(*answers)
    for answer in answers:
        assert answer.text == without.text
        assert answer.last.usage.accepted_tokens > 20


@pytest.mark.parametrize("name", NAMES)
def test_what_they_take_is_planned(files: Path, guessing: Any, name: str) -> None:
    driver = guessing(name, sequences=4, context_length=4096)
    engine_log = EngineLog()
    _library.append(binding.initialize(engine_log.add, lambda message: None))
    PredictionHeads(driver.model).close()
    host = DeviceShare(HOST, 0, 0, 0, 0)
    (used,) = engine_log.buffers.used_shares((host,))
    shape = inspect_model_file(files / f"{name}.gguf").shape
    planned_bytes = heads_bytes(shape, 4096, 4)
    states_bytes = 320 * 4 * shape.embedding * 4
    assert used.cache_bytes > 0
    assert abs(planned_bytes - states_bytes - used.context_bytes) < 1 << 20


# -- through the child


def load(child: EngineChild, path: Path, **fields: Any) -> Run:
    run = child.ask(Load(0, str(path), threads=1, **fields))
    assert isinstance(run.last, Loaded), run.last
    return run


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_heads_guess_without_being_asked_for(child: EngineChild, files: Path, temperature: float) -> None:
    assert load(child, files / "glm4moe.gguf").last.model.plan["heads"]["used_bytes"] > 0
    asked = {"max_tokens": 200, "sampling": {"temperature": temperature, "seed": 1}}
    without = child.generate([user("hello")], speculate=False, **asked)
    guessed = child.generate([user("hello")], **asked)
    assert guessed.text == without.text
    assert guessed.last.usage.drafted_tokens > 0


def test_answers_at_once_and_another_context_length(child: EngineChild, files: Path) -> None:
    for length in (512, 2048, 256):
        load(child, files / "deepseek2-knowing.gguf", context_length=length)
        asked: dict[str, Any] = {"max_tokens": 100, "sampling": {"temperature": 0.0}}
        wanted = child.generate([user("hello")], speculate=False, **asked)
        numbers = [child.send(Generate(0, (user("hello"),), conversation_id=name, **asked)) for name in "bcd"]
        assert {child.collect(number).text for number in numbers} == {wanted.text}


def test_heads_that_ended_the_engine_are_left_alone(files: Path, tmp_path: Path) -> None:
    path = files / "glm4moe.gguf"
    journal = AttemptJournal(tmp_path / "attempts.json")
    with journal.attempt(AttemptKind.DRAFT, str(path), str(path)):
        journal._change(lambda running, failed: ([], running))  # as `settle` does for a process that died
    other = EngineChild("--attempts", str(tmp_path / "attempts.json"), log_path=tmp_path / "engine.log")
    try:
        assert "heads" not in load(other, path).last.model.plan
        assert other.generate([user("hello")], max_tokens=5).text
    finally:
        other.close()
