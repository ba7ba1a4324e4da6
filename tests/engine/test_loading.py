"""Loading: progress, cancellation, and a former model that survives a failure."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from app.core.errors import ErrorKind, NoticeKind, UserError
from app.core.events import (
    HOST,
    Event,
    Failed,
    Finished,
    LoadCancelled,
    Loaded,
    Loading,
    ModelBesideClosed,
    ModelInfo,
    ModelLost,
    Notice,
    PromptStarted,
)
from app.core.plan import Machine
from app.engine.protocol import Load, Unload
from app.engine.worker import llama_backend, model_loader
from app.engine.worker.backend import RequestControl
from app.engine.worker.llama_backend import LlamaBackend
from app.engine.worker.loaded_model import LoadedModel
from tests.engine.engine_child import EngineChild, user
from tests.fixtures import tiny_gguf as tiny

pytestmark = pytest.mark.engine


def answers(child: EngineChild) -> bool:
    return isinstance(child.generate([user("Hi")], max_tokens=2).last, Finished)


def test_a_model_tells_what_it_is(child: EngineChild, models: Path) -> None:
    run = child.load(models / "llama-3.gguf")
    model = run.last.model
    assert (model.path, model.name) == (str(models / "llama-3.gguf"), "tiny")
    assert (model.architecture, model.context_length, model.context_length_trained) == ("llama", 512, 512)
    assert (model.template, model.recurrent) == ("file", False)
    assert model.parameters > 50_000
    assert model.size_bytes == (models / "llama-3.gguf").stat().st_size
    assert run.last.load_ms > 0


def test_progress_rises_to_one_and_is_not_chatty(child: EngineChild, tmp_path: Path) -> None:
    path = tiny.write_model(tmp_path / "deep.gguf", tiny.bpe_vocabulary(), layers=64, template=tiny.CHATML)
    run = child.load(path)
    fractions = [event.fraction for event in run.of(Loading)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(fractions) < run.last.load_ms / 1000 * 30 + 3


def test_a_cancelled_load_leaves_the_former_model(child: EngineChild, models: Path, tmp_path: Path) -> None:
    child.load(models / "qwen2.gguf")
    path = tiny.write_model(tmp_path / "deep.gguf", tiny.bpe_vocabulary(), layers=96, template=tiny.CHATML)
    number = child.send(Load(0, str(path), threads=1))
    child.stop(number)
    assert isinstance(child.collect(number).last, LoadCancelled)
    assert answers(child)


def test_a_failed_load_leaves_the_former_model_and_its_memory(child: EngineChild, models: Path, tmp_path: Path) -> None:
    child.load(models / "qwen2.gguf")
    first = child.generate([user("Hi")], max_tokens=2)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes((models / "llama-2.gguf").read_bytes()[:100_000])
    for path in (broken, tmp_path / "missing.gguf", tmp_path):
        assert isinstance(child.ask(Load(0, str(path))).last, Failed)
    again = child.generate([user("Hi")], max_tokens=2)
    assert again.last.usage.reused_tokens == first.last.usage.prompt_tokens - 1


def test_a_context_longer_than_memory_leaves_the_former_model(child: EngineChild, models: Path, tmp_path: Path) -> None:
    child.load(models / "qwen2.gguf")
    path = tiny.write_model(tmp_path / "long.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML, context_length=2**30)
    failed = child.ask(Load(0, str(path), context_length=2**30)).last
    assert failed.error.kind is ErrorKind.NOT_ENOUGH_MEMORY
    assert failed.error.integer("needed_bytes") > failed.error.integer("free_bytes") > 0
    suggested = failed.error.integer("suggested_context_length")
    assert 512 <= suggested < 2**30
    assert answers(child)


def test_a_wish_beyond_the_training_is_reduced_with_a_notice(child: EngineChild, models: Path) -> None:
    run = child.load(models / "qwen2.gguf", context_length=4096)
    (notice,) = run.of(Notice)
    assert (notice.kind, notice.details) == (NoticeKind.CONTEXT_REDUCED, {"wanted": 4096, "used": 512})
    assert run.last.model.context_length == 512


def test_the_wanted_context_length_is_used(child: EngineChild, tmp_path: Path) -> None:
    path = tiny.write_model(tmp_path / "m.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML, context_length=32768)
    assert child.load(path).last.model.context_length == 8192
    assert child.load(path, context_length=1024).last.model.context_length == 1024


def test_models_can_be_changed_many_times(child: EngineChild, models: Path) -> None:
    for name in ("qwen2", "mamba", "gemma", "llama-2") * 3:
        assert isinstance(child.load(models / f"{name}.gguf").last, Loaded)
        assert answers(child)
    child.ask(Unload(0))
    assert child.generate([user("Hi")]).last.error.kind is ErrorKind.NO_MODEL


def test_a_context_shorter_than_a_batch(child: EngineChild, models: Path) -> None:
    run = child.load(models / "qwen2.gguf", context_length=100)
    assert run.last.model.context_length < 512
    assert isinstance(child.generate([user("x" * 60)]).last, Finished)
    assert isinstance(child.generate([user("x" * 300)]).last, Failed)


@pytest.mark.parametrize("threads", [-5, 0, 1, 2, 100_000])
def test_any_number_of_threads(child: EngineChild, models: Path, threads: int) -> None:
    assert isinstance(child.ask(Load(0, str(models / "qwen2.gguf"), threads=threads)).last, Loaded)
    assert answers(child)


def test_the_model_before_is_back_at_once_with_what_it_had_read(child: EngineChild, models: Path) -> None:
    first = child.load(models / "qwen2.gguf")
    talk = [user("hello " * 40)]
    answer = child.generate(talk, sampling={"temperature": 0}, max_tokens=5)
    child.load(models / "gemma.gguf")
    again = child.load(models / "qwen2.gguf")
    assert not again.of(Loading)
    first.last.model.plan.pop("beside", None)  # of the test before
    beside = again.last.model.plan.pop("beside")
    assert beside["path"] == str(models / "gemma.gguf")
    assert again.last.model == first.last.model
    second = child.generate(talk, sampling={"temperature": 0}, max_tokens=5)
    assert second.text == answer.text
    assert second.of(PromptStarted)[0].reused_tokens == answer.of(PromptStarted)[0].prompt_tokens - 1


def test_a_file_that_was_replaced_is_loaded_anew(child: EngineChild, models: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes((models / "qwen2.gguf").read_bytes())
    child.load(file)
    child.load(models / "gemma.gguf")
    file.unlink()
    shutil.copy(models / "mamba.gguf", file)
    assert child.load(file).last.model.architecture == "mamba"


@pytest.mark.parametrize("has_room", [True, False])
def test_the_model_before_stays_as_long_as_memory_does(
    backend: LlamaBackend, models: Path, monkeypatch: pytest.MonkeyPatch, has_room: bool
) -> None:
    def load(name: str) -> ModelInfo:
        events: list[Event] = []
        backend.load(Load(1, str(models / f"{name}.gguf"), 512, threads=1), events.append, RequestControl())
        loaded = events[-1]
        assert isinstance(loaded, Loaded)
        return loaded.model

    announced: list[Event] = []
    monkeypatch.setattr(backend, "_announce", announced.append)
    first = load("gemma")
    assert "beside" not in first.plan
    monkeypatch.setattr(llama_backend, "has_room_to_spare", lambda: has_room)
    second = load("qwen2")
    assert len(backend._models()) == (2 if has_room else 1)
    taken_bytes = sum(device["used_bytes"] for device in first.plan["devices"])
    beside = {"path": first.path, "name": first.name, "used_bytes": taken_bytes} if has_room else None
    assert second.plan.get("beside") == beside
    announced.clear()
    monkeypatch.setattr(llama_backend, "has_room_to_spare", lambda: False)  # another program has taken it
    backend.rest()
    (left,) = backend._models()
    assert left.info.architecture == "qwen2"
    assert announced == ([ModelBesideClosed(0)] if has_room else [])


def test_what_the_model_before_gives_back_counts_as_free(
    backend: LlamaBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a computer that holds one of them and a half, the second gets as long a context as the first."""
    vocabulary = tiny.bpe_vocabulary()
    for name in "ab":
        tiny.write_model(tmp_path / f"{name}.gguf", vocabulary, head_size=64, context_length=8192)
    size_bytes = 1 << 34

    def survey(*_: object) -> Machine:
        held = 0
        for model in (loaded.session.model for loaded in backend._models()):
            if model.plan is not None and model.handle is not None:
                held += model.copied_weights_bytes
                held += 0 if model.context is None else model.plan.shares[0].context_bytes
        return Machine(size_bytes - held, threads=1)

    monkeypatch.setattr(model_loader, "survey", survey)
    for name in "ab":
        backend.load(Load(1, str(tmp_path / f"{name}.gguf"), threads=1), lambda event: None, RequestControl())
        loaded = backend._models()[0].session.model
        assert loaded.plan is not None
        assert loaded.context_length == 8192
        share = loaded.plan.shares[0]
        half = share.cache_bytes // loaded.plan.context.sequences // 2
        size_bytes = share.total_bytes + share.compute_bytes + half
    assert len(backend._models()) == 1


@pytest.mark.logs_warnings
@pytest.mark.parametrize("is_cancelled", [True, False])
def test_a_model_that_had_to_make_room_is_told_to_be_lost_when_the_new_one_does_not_come(
    backend: LlamaBackend, models: Path, monkeypatch: pytest.MonkeyPatch, is_cancelled: bool
) -> None:
    """Where memory holds one of them only, the former one's weights go before it is known whether the new one loads."""
    backend.load(Load(1, str(models / "gemma.gguf"), 512, threads=1), lambda event: None, RequestControl())
    (former,) = backend._models()

    def survey(*_: object) -> Machine:
        return Machine(0 if former.session.model.handle else 1 << 30, threads=1)

    def fail(*_: object) -> None:
        raise UserError(ErrorKind.LOAD_FAILED, reason="made up")

    monkeypatch.setattr(model_loader, "survey", survey)
    monkeypatch.setattr(model_loader, "_held_bytes", lambda model: {HOST: 1 << 30 if model is not None else 0})
    monkeypatch.setattr(LoadedModel, "open_context", fail)
    control = RequestControl()
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if is_cancelled:
            control.stop()

    with nullcontext() if is_cancelled else pytest.raises(UserError):
        backend.load(Load(2, str(models / "qwen2.gguf"), 512, threads=1), emit, control)
    told = [type(event) for event in events if not isinstance(event, Loading)]
    assert told == ([ModelLost, LoadCancelled] if is_cancelled else [ModelLost])
    assert not backend._models()
