"""The real engine: children that live for a module, and the tiny models they load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engine.attempts import AttemptJournal
from app.engine.worker import binding
from app.engine.worker.llama_backend import LlamaBackend
from tests.engine.engine_child import EngineChild
from tests.fixtures import tiny_gguf as tiny


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny models: qwen2, llama-2, llama-3, gemma and mamba."""
    folder = tmp_path_factory.mktemp("models")
    tiny.write_model(folder / "qwen2.gguf", tiny.bpe_vocabulary(), architecture="qwen2", template=tiny.CHATML)
    tiny.write_model(folder / "llama-2.gguf", tiny.spm_vocabulary(), template=tiny.LLAMA_2)
    llama_3 = tiny.bpe_vocabulary(
        controls=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        pre="llama-bpe",
    )
    tiny.write_model(folder / "llama-3.gguf", llama_3, template=tiny.LLAMA_3)
    gemma = tiny.spm_vocabulary(controls=("<start_of_turn>", "<end_of_turn>"))
    tiny.write_model(folder / "gemma.gguf", gemma, architecture="gemma", template=tiny.GEMMA)
    tiny.write_mamba(folder / "mamba.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML)
    return folder


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineChild]:
    """A running child without a model, shared by the tests of a module."""
    running = EngineChild(log_path=tmp_path_factory.mktemp("engine") / "engine.log")
    yield running
    running.close()


@pytest.fixture
def backend() -> Iterator[LlamaBackend]:
    """The backend in this process. What the library logs after the test is logged nowhere, as before it."""
    running = LlamaBackend(AttemptJournal(None), lambda event: None)
    yield running
    running.close()
    _silent.append(binding.initialize(lambda level, text: None, lambda message: None))


_silent: list[binding.Initialized] = []  # the library calls what is in them as long as it lives
