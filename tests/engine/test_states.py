"""What was read outlives the engine process, and an answer is the same whether it was read or restored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from app.core.events import Loaded, PromptStarted
from app.engine.protocol import ChatMessage, Load
from tests.engine.engine_child import EngineChild, Run, assistant, user
from tests.fixtures.architectures import ARCHITECTURES, write_architecture

pytestmark = pytest.mark.engine

LIMIT_BYTES = 1 << 30
CONTEXT_TOKENS = 2048
STORY = "the cat sat on the world and " * 40  # more than is worth a file
# Layers that see everything; some with a sliding window; some with a recurrent state.
KINDS = ("llama", "gemma3", "gpt-oss", "granitehybrid", "mamba")
WINDOW_TOKENS = 64  # of gemma3 and gpt-oss


def write_model(folder: Path, kind: str) -> Path:
    return write_architecture(folder / f"{kind}.gguf", ARCHITECTURES[kind], CONTEXT_TOKENS)


class Runs:
    """Starts the engine for each question anew, with one folder for states."""

    def __init__(self, model: Path, folder: Path) -> None:
        self._model = model
        self.states = folder / "states"
        self.log_path = folder / "engine.log"

    def ask(self, *talks: Sequence[ChatMessage], keep: bool = True, max_tokens: int = 12) -> list[Run]:
        """The answers to some conversations, one after the other, in one run of the engine."""
        child = EngineChild(log_path=self.log_path)
        try:
            folder, limit = (str(self.states), LIMIT_BYTES) if keep else ("", 0)
            load = Load(0, str(self._model), CONTEXT_TOKENS, 1, state_folder=folder, state_limit_bytes=limit)
            assert isinstance(child.ask(load).last, Loaded)
            return [
                child.generate(talk, sampling={"temperature": 0.0}, max_tokens=max_tokens, conversation_id=talk[0].id)
                for talk in talks
            ]
        finally:
            child.close()


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models"), request.param)


@pytest.fixture
def runs(model: Path, tmp_path: Path) -> Runs:
    return Runs(model, tmp_path)


def started(run: Run) -> PromptStarted:
    (event,) = run.of(PromptStarted)
    return event


def test_the_next_turn_reads_only_what_is_new(runs: Runs) -> None:
    talk = [user(STORY, "talk")]
    (first,) = runs.ask(talk)
    talk += [assistant(first.text), user("and the cat?")]
    (second,) = runs.ask(talk)
    assert started(second).reused_tokens >= started(first).prompt_tokens
    (anew,) = runs.ask(talk, keep=False)
    assert started(anew).reused_tokens == 0
    assert second.text == anew.text


@pytest.mark.parametrize("answer_tokens", [12, WINDOW_TOKENS + 20])
def test_another_version_of_the_last_answer_reads_nothing_again(runs: Runs, answer_tokens: int) -> None:
    talk = [user(STORY, "talk")]
    (first,) = runs.ask(talk, max_tokens=answer_tokens)
    talk += [assistant(first.text), user("and the cat sat on the world")]
    (second,) = runs.ask(talk, max_tokens=answer_tokens)
    for _ in range(2):  # also where nothing was added since the state was read
        (again,) = runs.ask(talk, max_tokens=answer_tokens)
        assert started(again).reused_tokens == started(second).prompt_tokens - 1
        assert again.text == second.text
    (anew,) = runs.ask(talk, max_tokens=answer_tokens, keep=False)
    assert again.text == anew.text != ""


@pytest.mark.parametrize("is_restarted", [True, False])
def test_an_edited_question_is_answered_as_if_it_had_been_the_first(runs: Runs, is_restarted: bool) -> None:
    before = [user(STORY, "talk")]
    (first,) = runs.ask(before)
    asked = [*before, assistant(first.text), user("sat on the world")]
    edited = [*before, assistant(first.text), user("and the world")]
    answers = [*runs.ask(asked), *runs.ask(edited)] if is_restarted else runs.ask(asked, edited)
    assert started(answers[-1]).reused_tokens >= started(answers[0]).reused_tokens > started(first).prompt_tokens
    (anew,) = runs.ask(edited, keep=False)
    assert answers[-1].text == anew.text != ""


def test_several_conversations_come_back(runs: Runs) -> None:
    talks = [[user(f"{name}: {STORY}", name)] for name in ("one", "two", "three")]
    firsts = runs.ask(*talks)
    longer = [[*talk, assistant(run.text), user("and?")] for talk, run in zip(talks, firsts, strict=True)]
    for first, second in zip(firsts, runs.ask(*longer), strict=True):
        assert started(second).reused_tokens >= started(first).prompt_tokens


@pytest.mark.parametrize("damage", ["bit", "end", "empty"])
def test_damaged_files_do_not_count(tmp_path: Path, damage: str) -> None:
    runs = Runs(write_model(tmp_path, "llama"), tmp_path)
    talk = [user(STORY, "talk")]
    (first,) = runs.ask(talk)
    for path in runs.states.iterdir():
        content = bytearray(path.read_bytes())
        content[-1000] ^= 1
        path.write_bytes({"bit": content, "end": content[:-1], "empty": b""}[damage])
    talk += [assistant(first.text), user("and the cat?")]
    (second,) = runs.ask(talk)
    assert started(second).reused_tokens == 0
    assert "saved state" in runs.log_path.read_text()
    assert "cat sat" not in runs.log_path.read_text()


def test_without_an_id_nothing_is_kept(tmp_path: Path) -> None:
    runs = Runs(write_model(tmp_path, "llama"), tmp_path)
    runs.ask([user(STORY, "")])
    assert not runs.states.exists() or not list(runs.states.iterdir())
