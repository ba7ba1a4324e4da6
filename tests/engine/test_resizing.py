"""A context of another length for a loaded model, in this process: what was read stays read."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.events import Event
from app.core.plan import EnginePlan
from app.engine.protocol import Load
from app.engine.worker import binding
from app.engine.worker.backend import RequestControl
from app.engine.worker.binding import llama
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import LoadedModel
from app.engine.worker.model_loader import load_model
from app.engine.worker.rpc_servers import RpcServers
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.architectures import ARCHITECTURES, FURTHER, MIXTURES, write_architecture
from tests.fixtures.gguf_bytes import tiny_llama

pytestmark = pytest.mark.engine


class RecordingLog(EngineLog):
    """Keeps every line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def add(self, level: int, text: str) -> None:
        self.lines.append(text.strip())
        super().add(level, text)


@pytest.fixture(scope="module")
def engine_log() -> Iterator[RecordingLog]:
    log = RecordingLog()
    _kept.append(binding.initialize(log.add, log.abort))
    yield log
    _kept.append(binding.initialize(lambda level, text: None, lambda message: None))


_kept: list[Any] = []  # the library calls what is in them as long as it lives


def opened(path: Path, log: EngineLog, context_length: int = 0, **fields: Any) -> LoadedModel:
    events: list[Event] = []
    request = Load(1, str(path), context_length, threads=1, **fields)
    model, _ = load_model(request, events.append, RequestControl(), log, RpcServers(frozenset), {}, lambda: None)
    return model


def decode(model: LoadedModel, sequence: int, tokens: Sequence[int], first_position: int = 0) -> list[float]:
    """Read tokens into a sequence; returns the logits of the last."""
    batch = llama.llama_batch_init(len(tokens), 0, 1)
    try:
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = first_position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = index == len(tokens) - 1
        assert llama.llama_decode(model.context, batch) == 0
    finally:
        llama.llama_batch_free(batch)
    count = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model.handle))
    logits = ctypes.cast(llama.llama_get_logits_ith(model.context, -1), ctypes.POINTER(ctypes.c_float * count))
    return list(logits.contents)


def resized(model: LoadedModel, context_length: int, order: Sequence[int] = ()) -> dict[int, int]:
    """Where the sequences are afterwards."""
    return model.resize(model.planned_resize(context_length, order))


def go_on(model: LoadedModel, sequence: int, position: int) -> list[float]:
    return decode(model, sequence, [40, 41], position)


@pytest.mark.parametrize("name", ["llama-3", "gemma", "mamba"])
def test_all_conversations_go_on_as_before(engine_log: RecordingLog, models: Path, name: str) -> None:
    texts = {sequence: [30 + sequence + number % 50 for number in range(100)] for sequence in range(3)}
    expected = {}
    for resized_to in (0, 512):
        model = opened(models / f"{name}.gguf", engine_log, 256)
        assert model.sequences >= len(texts)
        for sequence, tokens in texts.items():
            decode(model, sequence, tokens)
        if resized_to:
            assert resized(model, resized_to) == {0: 0, 1: 1, 2: 2}
            assert model.context_length == resized_to
            assert model.plan_details["context_length"] == resized_to
        for sequence, tokens in texts.items():
            logits = go_on(model, sequence, len(tokens))
            if resized_to:
                assert logits == pytest.approx(expected[sequence], abs=1e-4)
            expected[sequence] = logits
        model.close()


@pytest.mark.parametrize("cache_type", ["q8_0", "q4_0"])
def test_quantized_caches_move_too(engine_log: RecordingLog, tmp_path: Path, cache_type: str) -> None:
    path = tiny.write_model(tmp_path / "wide.gguf", tiny.bpe_vocabulary(), head_size=64, context_length=1024)
    model = opened(path, engine_log, 256, cache_type=cache_type)
    decode(model, 1, range(30, 130))
    before = model.context
    assert resized(model, 1024) == {1: 1}
    assert model.context != before or model.context_length == 1024
    go_on(model, 1, 100)
    model.close()


def test_what_no_longer_fits_is_let_go(engine_log: RecordingLog, models: Path) -> None:
    model = opened(models / "llama-3.gguf", engine_log, 512)
    decode(model, 0, range(30, 130))
    decode(model, 1, [*range(30, 180), *range(30, 180)])
    assert resized(model, 256) == {0: 0}
    memory = llama.llama_get_memory(model.context)
    assert llama.llama_memory_seq_pos_max(memory, 1) == -1
    go_on(model, 0, 100)
    model.close()


CASES = {**ARCHITECTURES, **MIXTURES, "qwen4exp": FURTHER["qwen4exp"]}  # all ways in which states are written


@pytest.mark.logs_warnings  # llama.cpp's, about the widths of values and whole caches for windows
@pytest.mark.parametrize("name", [name for name, each in CASES.items() if each.side_by_side])
def test_the_most_important_go_to_the_first_places(engine_log: RecordingLog, tmp_path: Path, name: str) -> None:
    """Fewer conversations than before: llama.cpp alone would refuse their states."""
    path = write_architecture(tmp_path / "model.gguf", CASES[name])
    expected = {}
    for sequences in (4, 2):
        model = opened(path, engine_log, 256)
        for sequence in range(3):
            decode(model, sequence, range(30 + sequence, 80 + sequence))
        replan = model.replan
        assert replan is not None
        model.replan = lambda *wanted, replan=replan, count=sequences: replace_sequences(replan(*wanted), count)
        kept = resized(model, 512, [2, 0])
        assert kept == ({0: 0, 1: 1, 2: 2} if sequences == 4 else {2: 0, 0: 1})
        assert model.sequences == sequences
        for was, now in kept.items():
            logits = go_on(model, now, 50)
            expected.setdefault(was, logits)
            assert logits == pytest.approx(expected[was], abs=1e-4)
        model.close()


def test_a_length_that_does_not_fit_changes_nothing(engine_log: RecordingLog, tmp_path: Path) -> None:
    vocabulary = tiny.bpe_vocabulary()
    path = tiny.write_model(tmp_path / "long.gguf", vocabulary, context_length=2_000_000_000)
    model = opened(path, engine_log, 256)
    decode(model, 0, range(30, 80))
    with pytest.raises(UserError) as caught:
        resized(model, 1_900_000_000)
    assert caught.value.kind is ErrorKind.NOT_ENOUGH_MEMORY
    assert model.context_length == 256
    go_on(model, 0, 50)
    model.close()


def test_rope_is_scaled_as_the_file_says(engine_log: RecordingLog, tmp_path: Path) -> None:
    scaling = {
        "llama__rope__scaling__type": "yarn",
        "llama__rope__scaling__factor": 4.0,
        "llama__rope__scaling__original_context_length": 512,
        "llama__rope__freq_base": 500000.0,
    }
    path = tmp_path / "yarn.gguf"
    path.write_bytes(tiny_llama(llama__context_length=2048, **scaling))
    engine_log.lines.clear()
    model = opened(path, engine_log)
    assert model.context_length == 2048  # the whole of what the scaling allows
    text = "\n".join(engine_log.lines)
    assert "freq_scale            = 0.25" in text
    assert "freq_base             = 500000.0" in text
    model.close()


def replace_sequences(plan: EnginePlan, sequences: int) -> EnginePlan:
    return replace(plan, context=replace(plan.context, sequences=sequences))
