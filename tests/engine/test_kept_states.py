"""What was read of a conversation outlives a switch to another one, a restart and nothing but its deletion."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.adapter import Adapter
from app.core.errors import ErrorKind, UserError
from app.core.events import Finished, Forgotten, Loaded, Loading, PromptStarted
from app.core.memory import ContextPlan
from app.core.plan import EnginePlan, Placement
from app.engine import host_memory
from app.engine.protocol import ChatMessage, Forget, Load
from app.engine.worker import binding, session
from app.engine.worker.batch import Batch
from app.engine.worker.conversation_memory import MIN_KEPT_TOKENS
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import ContextSettings, LoadedModel
from app.engine.worker.saved_sequence import SavedSequence
from app.engine.worker.sequence import ContextSequence
from app.engine.worker.state_store import StateStore
from tests.engine.engine_child import EngineChild, Run, assistant, user
from tests.engine.session_driver import SessionDriver
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.architectures import ARCHITECTURES, write_architecture
from tests.fixtures.tiny_adapter import pair, write_adapter

pytestmark = pytest.mark.engine
GREEDY = {"temperature": 0}
LIMIT_BYTES = 1 << 30
_library: list[object] = []  # what llama.cpp calls, as long as it lives


@pytest.fixture
def start(tmp_path: Path, models: Path) -> Iterator[Callable[[str], EngineChild]]:
    """Children with a model loaded, one after the other, on the same folder of states."""
    running: list[EngineChild] = []

    def start_one(model: str) -> EngineChild:
        for child in running:
            child.close()
        child = EngineChild(log_path=tmp_path / "engine.log")
        running.append(child)
        request = Load(
            0,
            str(models / f"{model}.gguf"),
            1024,
            threads=1,
            state_folder=str(tmp_path / "states"),
            state_limit_bytes=LIMIT_BYTES,
        )
        assert isinstance(child.ask(request).last, Loaded)
        return child

    yield start_one
    for child in running:
        child.close()


def long_talk(about: str) -> list[ChatMessage]:
    return [user(f"{about}{' cat' * MIN_KEPT_TOKENS}", "u0"), assistant("yes", "a0"), user("and now?", "u1")]


def ask(child: EngineChild, talk: list[ChatMessage], name: str, **fields: Any) -> Run:
    return child.generate(talk, sampling=GREEDY, max_tokens=8, conversation_id=name, **fields)


def reused(run: Run) -> int:
    return int(run.of(PromptStarted)[0].reused_tokens)


@pytest.mark.parametrize("model", ["qwen2", "mamba"])
def test_going_back_to_a_conversation_reads_nothing_twice(start: Callable[[str], EngineChild], model: str) -> None:
    child = start(model)
    cats, dogs = long_talk("cats"), long_talk("dogs")
    first = ask(child, cats, "cats")
    for other in ("dogs", "birds", "fish", "cows"):  # more than the context has sequences
        ask(child, dogs, other)
    again = ask(child, cats, "cats")
    assert reused(again) == first.of(PromptStarted)[0].prompt_tokens - 1
    assert again.text == first.text


@pytest.mark.parametrize("model", ["qwen2", "mamba"])
def test_a_conversation_goes_on_after_a_restart(
    start: Callable[[str], EngineChild], model: str, tmp_path: Path
) -> None:
    child = start(model)
    talk = long_talk("cats")
    first = ask(child, talk, "cats")
    more = [*talk, assistant(first.text, "a1"), user("more", "u2")]
    expected = ask(child, more, "cats")
    child = start(model)
    second = ask(child, more, "cats")
    assert reused(second) > MIN_KEPT_TOKENS
    assert second.text == expected.text


def test_a_deleted_conversation_leaves_no_file(start: Callable[[str], EngineChild], tmp_path: Path) -> None:
    child = start("qwen2")
    ask(child, long_talk("cats"), "cats")
    ask(child, long_talk("dogs"), "dogs")
    child = start("qwen2")
    states = tmp_path / "states"
    assert len(list(states.iterdir())) == 2
    assert isinstance(child.ask(Forget(0, ("cats",), str(states), LIMIT_BYTES)).last, Forgotten)
    assert len(list(states.iterdir())) == 1
    assert reused(ask(child, long_talk("cats"), "cats")) < MIN_KEPT_TOKENS
    child.close()
    bare = EngineChild(log_path=tmp_path / "bare.log")
    assert isinstance(bare.ask(Forget(0, ("dogs", "cats"), str(states), LIMIT_BYTES)).last, Forgotten)
    bare.close()
    assert not list(states.iterdir())


def test_who_wants_nothing_kept_has_nothing_kept_at_once(start: Callable[[str], EngineChild], tmp_path: Path) -> None:
    child = start("qwen2")
    ask(child, long_talk("cats"), "cats")
    child = start("qwen2")
    states = tmp_path / "states"
    assert list(states.iterdir())
    child.ask(Forget(0, (), str(states), 0))
    assert not list(states.iterdir())
    ask(child, long_talk("cats"), "cats")
    child.close()
    assert not list(states.iterdir())


def test_another_limit_for_states_loads_no_model_again(
    start: Callable[[str], EngineChild], models: Path, tmp_path: Path
) -> None:
    child = start("qwen2")
    states = str(tmp_path / "states")

    def load(model: str, limit_bytes: int) -> Run:
        path = str(models / f"{model}.gguf")
        return child.ask(Load(0, path, 1024, threads=1, state_folder=states, state_limit_bytes=limit_bytes))

    assert load("mamba", LIMIT_BYTES).of(Loading)
    child.ask(Forget(0, (), states, 2 * LIMIT_BYTES))
    back = load("qwen2", 2 * LIMIT_BYTES)
    assert isinstance(back.last, Loaded)
    assert not back.of(Loading)


def test_a_longer_context_keeps_what_was_read(
    start: Callable[[str], EngineChild], models: Path, tmp_path: Path
) -> None:
    child = start("qwen2")
    talk = [user("cat" * 40, "u0")]
    load = Load(
        0,
        str(models / "qwen2.gguf"),
        256,
        threads=1,
        state_folder=str(tmp_path / "states"),
        state_limit_bytes=LIMIT_BYTES,
    )
    child.ask(load)
    first = ask(child, talk, "cats")
    for length in (512, 256):
        run = child.ask(replace(load, context_length=length))
        assert not run.of(Loading)
        assert run.last.model.context_length == length
        again = ask(child, talk, "cats")
        assert reused(again) == first.of(PromptStarted)[0].prompt_tokens - 1
        assert again.text == first.text


def test_a_context_that_cannot_be_had_leaves_the_model_as_it_was(child: EngineChild, models: Path) -> None:
    child.load(models / "qwen2.gguf", 256)
    refused = child.ask(Load(0, str(models / "qwen2.gguf"), 1 << 40, threads=1))
    assert isinstance(refused.last, Loaded)  # never more than it was trained for
    assert refused.last.model.context_length == refused.last.model.context_length_trained


KINDS = pytest.mark.parametrize("architecture", ["llama", "gemma3", "granitehybrid", "mamba"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    opened = StateStore(tmp_path / "states", LIMIT_BYTES)
    yield opened
    assert opened.close(5)


@pytest.fixture
def drive(store: StateStore, tmp_path: Path) -> Iterator[Callable[..., SessionDriver]]:
    """Sessions with a model of an architecture."""
    _library.append(binding.initialize(lambda level, text: None, lambda message: None))
    running: list[SessionDriver] = []

    def drive_one(architecture: str, sequences: int, length: int = 1024, **fields: Any) -> SessionDriver:
        file = write_architecture(tmp_path / f"{len(running)}.gguf", ARCHITECTURES[architecture], 1024)
        running.append(SessionDriver(file, sequences, length, **{"store": store, **fields}))
        return running[-1]

    yield drive_one
    for driver in running:
        driver.close()


@KINDS
def test_what_was_taken_from_another_conversation_is_there_before_anything_is_read(
    drive: Callable[..., SessionDriver], store: StateStore, architecture: str
) -> None:
    driver = drive(architecture, 2)
    talk = long_talk("cats")
    first = driver.ask(talk, "one")
    stopped = driver.begin(talk, "two")
    stopped.control.stop()
    driver.finish(stopped)
    driver.rest()
    assert store.wait(5)
    driver.session.forget("one")
    store.forget("one")
    driver.forget()
    again = driver.ask(talk, "two")
    assert reused(again) == first.of(PromptStarted)[0].prompt_tokens - 1
    assert again.text == first.text


@KINDS
def test_what_was_taken_from_another_conversation_does_not_change_with_it(
    drive: Callable[..., SessionDriver], architecture: str
) -> None:
    driver = drive(architecture, 2)
    cats, dogs = long_talk("cats"), long_talk("dogs")
    expected = {}
    for name, talk in (("dogs", dogs), ("birds", long_talk("birds")), ("cats", cats)):
        expected[name] = driver.ask(talk, name).text
    cats_too = driver.begin(cats, "cats too")  # in the place of the birds, taken from the cats
    again = driver.begin(dogs, "dogs")  # in the place of the cats
    driver.finish(cats_too, again)
    assert reused(cats_too) > MIN_KEPT_TOKENS
    assert reused(again) > MIN_KEPT_TOKENS
    assert cats_too.text == expected["cats"]
    assert again.text == expected["dogs"]


@KINDS
def test_a_stop_ends_the_fetching_of_a_state(
    drive: Callable[..., SessionDriver], store: StateStore, architecture: str
) -> None:
    driver = drive(architecture, 2)
    talk = long_talk("cats")
    first = driver.ask(talk, "cats")
    driver.rest()
    assert store.wait(5)
    driver.forget()
    stopped = driver.begin(talk, "cats", is_stopped=True)
    driver.finish(stopped)
    assert reused(stopped) == 0
    again = driver.ask(talk, "cats")
    assert reused(again) == first.of(PromptStarted)[0].prompt_tokens - 1
    assert again.text == first.text


@KINDS
@pytest.mark.parametrize("is_refused", [True, False])
def test_a_context_that_is_refused_forgets_nothing(
    drive: Callable[..., SessionDriver], architecture: str, is_refused: bool
) -> None:
    """By the plan, before anything is touched, or by llama.cpp, when the old context is gone and made anew."""
    driver = drive(architecture, 2)
    talk = [user("the cat sat on the world", "u0")]  # too short for a file
    first = driver.ask(talk, "cats")
    error = UserError(ErrorKind.NOT_ENOUGH_MEMORY, context_length=2048)
    plan = ContextPlan(1024, cache_type="q4_0")  # which needs flash attention
    driver.model.replan = raises(error) if is_refused else gives(EnginePlan(plan, Placement(), 1, 2, ()))
    with pytest.raises(UserError):
        driver.session.resize(2048)
    again = driver.ask(talk, "cats")
    assert isinstance(again.last, Finished), again.last
    assert again.text == first.text
    assert reused(again) == first.of(PromptStarted)[0].prompt_tokens - 1


@KINDS
def test_after_another_length_of_the_context_another_answer_reads_nothing_again(
    drive: Callable[..., SessionDriver], store: StateStore, architecture: str
) -> None:
    driver = drive(architecture, 2)
    talk = long_talk("cats")
    first = driver.ask(talk, "cats")
    store.forget("cats")
    for length in (2048, 1024):
        driver.model.replan = gives(
            EnginePlan(ContextPlan(length, output_tokens=32, sequences=2), Placement(), 1, 2, ())
        )
        driver.session.resize(length)
        assert store.wait(5)
        store.forget("cats")
        again = driver.ask(talk, "cats")
        assert reused(again) == first.of(PromptStarted)[0].prompt_tokens - 1
        assert again.text == first.text


def test_what_was_read_in_a_short_context_is_read_again_where_positions_are_told_otherwise(
    drive: Callable[..., SessionDriver], store: StateStore
) -> None:
    """LongRoPE: a long context turns keys by other angles, so that those of a short one mean something else there."""
    talk, lengths = long_talk("cats"), (512, 1024)
    expected = {}
    for length in lengths:
        expected[length] = drive("phi3 for long texts", 2, length, store=None).ask(talk, "cats").text
    assert expected[512] != expected[1024]
    driver = drive("phi3 for long texts", 2, 512)
    for length in (512, 1024, 512):
        if length != driver.model.context_length:
            driver.model.replan = gives(
                EnginePlan(ContextPlan(length, output_tokens=32, sequences=2), Placement(), 1, 2, ())
            )
            driver.session.resize(length)
        assert driver.ask(talk, "cats").text == expected[length]
        driver.rest()
        assert store.wait(5)
    for length in lengths:
        again = drive("phi3 for long texts", 2, length).ask(talk, "cats")
        assert again.text == expected[length]
        assert reused(again) > MIN_KEPT_TOKENS


@pytest.mark.parametrize("differs_in", ["nothing", "weights", "engine", "adapters"])
def test_a_state_serves_only_what_it_was_made_by(
    store: StateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, differs_in: str
) -> None:
    """llama.cpp would take each of these states without a word."""
    _library.append(binding.initialize(lambda level, text: None, lambda message: None))
    talk = long_talk("cats")
    files = [tiny.write_model(tmp_path / f"{seed}.gguf", tiny.bpe_vocabulary(), seed=seed) for seed in (0, 1)]
    driver = SessionDriver(files[0], 1, 1024, store)
    length = driver.ask(talk, "cats").of(PromptStarted)[0].prompt_tokens
    driver.rest()
    assert store.wait(5)
    driver.close()
    if differs_in == "engine":
        monkeypatch.setattr(session, "engine_version", lambda: "another")
    driver = SessionDriver(files[1 if differs_in == "weights" else 0], 1, 1024, store)
    if differs_in == "adapters":
        adapter = write_adapter(tmp_path / "adapter.gguf", pair("blk.0.attn_q.weight", 64, 64))
        driver.session.adapt((Adapter(str(adapter), 1.0),))
    found = reused(driver.ask(talk, "cats"))
    driver.close()
    assert found == (length - 1 if differs_in == "nothing" else 0)


def raises(error: UserError) -> Callable[[int, int], EnginePlan]:
    def refuse(length: int, copies_bytes: int) -> EnginePlan:
        raise error

    return refuse


def gives(plan: EnginePlan) -> Callable[[int, int], EnginePlan]:
    return lambda length, copies_bytes: plan


@KINDS
def test_a_state_serves_contexts_with_other_numbers_of_conversations(tmp_path: Path, architecture: str) -> None:
    _library.append(binding.initialize(lambda level, text: None, lambda message: None))
    file = write_architecture(tmp_path / "model.gguf", ARCHITECTURES[architecture])
    model = LoadedModel(file, lambda fraction: True, EngineLog())
    tokens = list(range(10, 60))
    batch = Batch(64)
    saved = None
    for sequences in (3, 1, 4):
        model.open_context(ContextSettings(ContextPlan(256, batch_tokens=64, sequences=sequences), threads=1))
        assert model.context is not None
        sequence = ContextSequence(model.context, sequences - 1, model.is_recurrent)
        if saved is None:
            batch.clear()
            batch.add(tokens, 0, sequence.number, all_logits=False)
            assert batch.decode(model.context) == 0
            sequence.extend(tokens)
        else:
            assert sequence.restore(saved)
            assert sequence.tokens == tokens
        saved = sequence.save()
        assert saved is not None
        model.close_context()
    model.close()


def test_conversations_are_put_away_one_at_a_time(drive: Callable[..., SessionDriver], store: StateStore) -> None:
    """A copy of a long one takes half a second: whoever asks meanwhile waits for one of them, not for all."""
    driver = drive("llama", 3)
    names = ("cats", "dogs", "birds")
    for name in names:
        driver.ask(long_talk(name), name)
    assert driver.session.rest()
    assert isinstance(driver.ask(long_talk("dogs"), "dogs").last, Finished)
    assert driver.rest() == len(names) - 1
    assert not driver.session.rest()
    assert store.wait(5)
    driver.forget()
    assert all(reused(driver.ask(long_talk(name), name)) > MIN_KEPT_TOKENS for name in names)


@pytest.mark.skipif(sys.platform != "linux", reason="control groups")
@pytest.mark.parametrize("free_bytes", [1 << 30, 0], ids=["a container with room", "a full container"])
def test_copies_of_conversations_take_what_a_container_leaves(
    drive: Callable[..., SessionDriver], free_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_memory, "_cgroup_limits", lambda: host_memory.HostMemory(free_bytes, 4 << 30))
    driver = drive("llama", 1, store=None)
    for name in ("cats", "dogs"):
        driver.ask(long_talk(name), name)
    assert (reused(driver.ask(long_talk("cats"), "cats")) > MIN_KEPT_TOKENS) is (free_bytes > 0)


@pytest.mark.logs_warnings
def test_without_memory_to_write_a_conversation_the_others_go_on(
    drive: Callable[..., SessionDriver], store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(saved: SavedSequence) -> bytes:
        raise MemoryError

    driver = drive("llama", 2)
    driver.ask(long_talk("cats"), "cats")
    with monkeypatch.context() as patch:
        patch.setattr(SavedSequence, "to_bytes", fail)
        assert driver.rest() == 1
    driver.ask(long_talk("dogs"), "dogs")
    assert driver.rest() == 1
    assert store.wait(5)
    driver.forget()
    assert reused(driver.ask(long_talk("dogs"), "dogs")) > MIN_KEPT_TOKENS


def test_a_child_with_nothing_to_do_puts_all_conversations_away(
    start: Callable[[str], EngineChild], tmp_path: Path
) -> None:
    child = start("qwen2")
    for name in ("cats", "dogs", "birds"):
        ask(child, long_talk(name), name)
    states, end = tmp_path / "states", time.monotonic() + 20
    while len(list(states.glob("*.state"))) < 3:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert reused(ask(child, long_talk("cats"), "cats")) > MIN_KEPT_TOKENS
