"""Architectures whose graphs in llama.cpp do something that those of all others do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.core.errors import NoticeKind
from app.core.events import Finished, Loaded, Notice
from app.engine.protocol import Load
from app.engine.worker import binding
from tests.engine.engine_child import EngineChild, user
from tests.fixtures.architectures import FURTHER, Architecture, write_architecture

pytestmark = pytest.mark.engine
_library: list[object] = []  # what llama.cpp calls back as long as this process lives


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    _library.append(binding.initialize(lambda level, text: None, lambda message: None))


WIDE_HEADS = {"attention.key_length": 64, "attention.value_length": 32, "rope.dimension_count": 32}


@pytest.mark.parametrize("name", ["plm", "grok"])
def test_quantized_values_are_not_asked_of_those_without_flash_attention(
    child: EngineChild, tmp_path: Path, name: str
) -> None:
    """llama.cpp ended the process, or refused."""
    described: Architecture = FURTHER[name]
    wide = WIDE_HEADS if name == "plm" else {"embedding_length": 128, "rope.dimension_count": 32}
    path = write_architecture(tmp_path / "model.gguf", replace(described, keys={**described.keys, **wide}))
    run = child.ask(Load(0, str(path), threads=1, cache_type="q8_0"))
    assert isinstance(run.last, Loaded), run.last
    assert [notice.kind for notice in run.of(Notice)] == [NoticeKind.CACHE_TYPE_UNFIT]
    assert not run.last.model.plan["flash_attention"]
    assert isinstance(child.generate([user("hello world " * 20)], max_tokens=8).last, Finished)
