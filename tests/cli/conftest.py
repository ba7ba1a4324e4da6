"""The command line as a person has it: real processes, the real engine, small model files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.hearth import Hearth, files_under
from tests.fixtures import tiny_gguf as tiny

ENGINE_GRACE_S = 2.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.engine)


@pytest.fixture
def hearth(tmp_path: Path) -> Iterator[Hearth]:
    """A data folder and an empty home. Afterwards the home is empty still, and no engine is left."""
    home = tmp_path / "home"
    home.mkdir()
    yield Hearth(home, tmp_path / "data")
    assert files_under(home) == []
    deadline = time.monotonic() + ENGINE_GRACE_S
    while (left := _engines_with(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, f"engines left: {left}"


@pytest.fixture(scope="session")
def noise_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of random weights: any text, but always the same for one seed."""
    path = tmp_path_factory.mktemp("models") / "noise.gguf"
    return str(tiny.write_model(path, tiny.bpe_vocabulary(), template=tiny.CHATML, context_length=2048))


@pytest.fixture(scope="session")
def endless_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that says "a" until it is stopped."""
    vocabulary = tiny.bpe_vocabulary()
    path = tmp_path_factory.mktemp("models") / "endless.gguf"
    always_a = dict.fromkeys(vocabulary.tokens, "a")
    return str(tiny.write_model(path, vocabulary, template=tiny.CHATML, context_length=65536, successors=always_a))


@pytest.fixture(scope="session")
def emoji_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose answer is "é😀" followed by Hebrew."""
    vocabulary = tiny.bpe_vocabulary(pieces=("é😀שלום",))
    said = tiny.byte_token("é😀שלום")
    successors = {**dict.fromkeys(vocabulary.tokens, said), said: vocabulary.eos}
    path = tmp_path_factory.mktemp("models") / "emoji.gguf"
    return str(tiny.write_model(path, vocabulary, template=tiny.CHATML, successors=successors))


def _engines_with(home: Path) -> list[psutil.Process]:
    """Engine processes of this test, whoever is their parent now."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        environment = process.info["environ"] or {}
        if "--engine" in (process.info["cmdline"] or ()) and environment.get("HOME") == str(home):
            found.append(process)
    return found
