"""What every architecture must do: stream, stop, begin anew with the same text, and never read twice.

The measure is always the same: at temperature 0, whatever was reused, the text is that of a fresh reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.core.architectures import CHAT_ARCHITECTURES
from app.core.catalog import ModelKind
from app.core.estimated_shape import described_shape
from app.core.events import Finished, FinishReason, Loaded, PromptStarted, TextDelta
from app.core.gguf_reader import read_header, read_prefix
from app.engine.protocol import ChatMessage, Generate, Load
from app.engine.worker import binding
from app.engine.worker.conversation_memory import MIN_KEPT_TOKENS
from app.hub.catalog_file import load_catalog
from app.paths import shipped_catalog
from tests.engine.engine_child import EngineChild, Run, assistant, system, user
from tests.engine.session_driver import SessionDriver
from tests.fixtures.architectures import ARCHITECTURES, FURTHER, MIXTURES, write_architecture

pytestmark = pytest.mark.engine
EMBEDDINGS = (ModelKind.EMBEDDING, ModelKind.RERANKER)
EVERY = {**ARCHITECTURES, **FURTHER, **MIXTURES}
ALL = pytest.mark.parametrize("name", EVERY)
GREEDY = {"temperature": 0.0}
ANSWER_TOKENS = 16
_library: list[object] = []  # what llama.cpp calls back as long as this process lives
SYSTEM = system("You are the cat on the world.")
LONG = [SYSTEM, user("the cat sat on the world and " * 40, "u0")]
SHORT = [SYSTEM, user("hello world", "u0")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of every architecture."""
    folder = tmp_path_factory.mktemp("architectures")
    _library.append(binding.initialize(lambda level, text: None, lambda message: None))
    for name, architecture in EVERY.items():
        write_architecture(folder / f"{name}.gguf", architecture, context_length=1024)
    return folder


@dataclass(frozen=True)
class Told:
    """What a child said to a conversation."""

    first: Run
    second: Run
    turns: list[ChatMessage]  # with the first answer and the next question


class Children:
    """One child after the other, as between two starts of the application."""

    def __init__(self, files: Path, folder: Path) -> None:
        self.files = files
        self._folder = folder
        self.child = EngineChild(log_path=folder / "engine.log")
        self.told: dict[str, Told] = {}

    def restart(self) -> None:
        self.child.close()
        self.child = EngineChild(log_path=self._folder / "engine.log")

    def load(self, name: str) -> Loaded:
        path = self.files / f"{name}.gguf"
        states = str(self._folder / "states")
        run = self.child.ask(Load(0, str(path), threads=1, state_folder=states, state_limit_bytes=1 << 28))
        assert isinstance(run.last, Loaded), run.last
        return run.last

    def ask(self, messages: list[ChatMessage], conversation_id: str = "") -> Run:
        return self.child.generate(messages, sampling=GREEDY, max_tokens=ANSWER_TOKENS, conversation_id=conversation_id)


@pytest.fixture(scope="module")
def children(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    running = Children(files, tmp_path_factory.mktemp("children"))
    yield running
    running.child.close()


def reused(run: Run) -> int:
    (started,) = run.of(PromptStarted)
    return int(started.reused_tokens)


def test_whatever_one_can_chat_with_is_tried_here() -> None:
    models = load_catalog(shipped_catalog()).models
    offered = {model.architecture for model in models if model.runs and model.kind not in EMBEDDINGS}
    tried = {architecture.name for architecture in EVERY.values()}
    assert offered <= CHAT_ARCHITECTURES == tried


def test_the_beginning_of_a_file_tells_who_has_a_gate(files: Path) -> None:
    """Of a model that is not here yet only part of the header is read; the names of tensors are at its end."""
    for name in EVERY:
        data = (files / f"{name}.gguf").read_bytes()
        header = read_header(data)
        part = read_prefix(data[: header.data_offset - 32], len(data))
        assert not part.is_complete
        guessed, known = described_shape(part, len(data)), described_shape(header, len(data))
        assert guessed.is_gated == known.is_gated, name


@ALL
def test_it_streams_stops_and_answers_again(children: Children, name: str) -> None:
    model = children.load(name).model
    assert model.recurrent == (EVERY[name].memory != "attention")
    assert (model.plan["sequences"] > 1) == EVERY[name].side_by_side
    long = children.ask(LONG, "long")
    assert long.last.reason is FinishReason.LENGTH, long.last
    assert long.last.usage.completion_tokens == ANSWER_TOKENS
    assert reused(long) == 0

    again = children.ask(LONG, "long")
    assert again.text == long.text
    assert reused(again) == long.last.usage.prompt_tokens - 1 > MIN_KEPT_TOKENS

    stopped = children.child.send(Generate(0, tuple(SHORT), dict(GREEDY), conversation_id="short"))
    children.child.wait_for(TextDelta)
    children.child.stop(stopped)
    assert children.child.collect(stopped).last.reason is FinishReason.STOPPED
    short = children.ask(SHORT, "short")

    turns = [*LONG, assistant(long.text, "a0"), user("and the cat", "u1")]
    both = [
        children.child.send(Generate(0, tuple(messages), dict(GREEDY), ANSWER_TOKENS, conversation_id=conversation))
        for messages, conversation in ((turns, "long"), (SHORT, "short"))
    ]
    second, short_again = (children.child.collect(request_id) for request_id in both)
    assert short_again.text == short.text
    children.told[name] = Told(long, second, turns)


@pytest.fixture(scope="module")
def restarted(children: Children) -> Children:
    """A new process, which has the states of the former one."""
    children.restart()
    return children


@ALL
def test_it_goes_on_after_a_restart(restarted: Children, name: str) -> None:
    told = restarted.told.get(name)
    if told is None:
        pytest.skip("the test before did not run")
    restarted.load(name)
    fresh = restarted.ask(told.turns, "")
    assert fresh.text == told.second.text
    restarted.load(name)
    last = [*told.turns, assistant(told.second.text, "a1"), user("sat on", "u2")]
    third = restarted.ask(last, "long")
    assert reused(third) > told.first.last.usage.prompt_tokens


TURNS = [*SHORT, assistant("the cat sat", "a0"), user("on the world and on", "u1")]
EDITED = [*TURNS[:-1], user("on it", "u1")]
OTHER = [SYSTEM, user("the other and one more world " * 8, "u0")]
SHARED = [SYSTEM, user("hello cat", "u0")]


@ALL
def test_what_is_reused_does_not_change_the_text(files: Path, name: str) -> None:
    """Three conversations in one context: switched, edited, stopped, cut off inside a decode, side by side."""
    side_by_side = EVERY[name].side_by_side
    driver = SessionDriver(files / f"{name}.gguf", sequences=3 if side_by_side else 1)
    try:
        expected = {}
        for messages in (SHORT, TURNS, EDITED, OTHER, SHARED):
            expected[id(messages)] = driver.ask(messages).text
            driver.forget()

        def check(conversation_id: str, messages: list[ChatMessage]) -> None:
            answer = driver.ask(messages, conversation_id)
            assert isinstance(answer.last, Finished), answer.last
            assert answer.text == expected[id(messages)]

        for conversation_id, messages in (
            ("A", SHORT), ("A", TURNS), ("A", TURNS), ("A", EDITED), ("B", OTHER), ("A", TURNS),
            ("C", SHARED), ("D", SHORT), ("E", EDITED), ("", SHORT), ("B", OTHER), ("A", TURNS),
        ):  # fmt: skip
            check(conversation_id, messages)

        for steps in (1, 4):
            cut_off = driver.begin(EDITED, "A")
            driver.steps(steps)
            cut_off.control.stop()
            driver.finish(cut_off)
            check("A", TURNS)
        for decode in (1, 2, 5):
            cut_off = driver.begin(OTHER if decode == 1 else EDITED, "A")
            driver.stop_inside(cut_off, decode)
            driver.finish(cut_off)
            assert cut_off.last.reason is FinishReason.STOPPED
            check("A", TURNS)

        if not side_by_side:
            return
        first, second = driver.begin(TURNS, "A"), driver.begin(OTHER, "B")
        driver.steps(3)
        third = driver.begin(SHARED, "C")
        driver.finish(first, second, third)
        assert [answer.text for answer in (first, second, third)] == [
            expected[id(messages)] for messages in (TURNS, OTHER, SHARED)
        ]
        first, second = driver.begin(TURNS, "A"), driver.begin(OTHER, "B")
        driver.stop_inside(first, 2, conversations=2)
        driver.finish(first, second)
        assert first.last.reason is FinishReason.STOPPED
        assert second.text == expected[id(OTHER)]
        check("A", TURNS)
    finally:
        driver.close()


@ALL
def test_a_stopped_answer_is_continued_as_if_there_had_been_no_stop(files: Path, name: str) -> None:
    driver = SessionDriver(files / f"{name}.gguf")
    try:
        whole = driver.ask(SHORT, "A")
        stopped = driver.begin(SHORT, "A")
        driver.steps(7)
        stopped.control.stop()
        driver.finish(stopped)
        left = 16 - stopped.last.usage.completion_tokens
        rest = driver.ask([*SHORT, assistant(stopped.text)], "A", continue_last=True, max_tokens=left)
        assert stopped.text + rest.text == whole.text
        assert reused(rest) >= stopped.last.context_tokens
    finally:
        driver.close()
