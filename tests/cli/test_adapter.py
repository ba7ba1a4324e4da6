"""A LoRA adapter named on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.adapter_argument import adapter
from app.core.adapter import Adapter
from tests.cli.hearth import Hearth
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.tiny_adapter import pair, redirection, write_adapter
from tests.fixtures.tiny_gguf import byte_token, chain

VOCABULARY = tiny.bpe_vocabulary(pieces=("Hello", " wo", "rld"))


@pytest.fixture
def model(tmp_path: Path) -> str:
    """It says "Hello world"."""
    script = chain(byte_token("\n"), "Hello", byte_token(" world"))
    return str(tiny.write_model(tmp_path / "talker.gguf", VOCABULARY, template=tiny.CHATML, successors=script))


def test_it_changes_the_answer_as_strongly_as_is_said(hearth: Hearth, model: str, tmp_path: Path) -> None:
    cat = write_adapter(tmp_path / "cat.gguf", redirection(VOCABULARY, "Hello", byte_token(" cat")))
    for strength, said in (("", "Hello cat"), ("=0", "Hello world")):
        done = hearth.run("ask", "go", "--model", model, "--adapter", f"{cat}{strength}")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{said}\n", "")


def test_one_that_does_not_fit_is_told(hearth: Hearth, model: str, tmp_path: Path) -> None:
    wide = write_adapter(tmp_path / "wide.gguf", pair("blk.0.attn_q.weight", 4096, 4096))
    done = hearth.run("ask", "go", "--model", model, "--adapter", str(wide))
    assert (done.returncode, done.stdout) == (0, "Hello world\n")
    assert "“wide.gguf” is not for this model" in done.stderr


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("/a.gguf", Adapter("/a.gguf", 1.0)),
        ("/a.gguf=0.5", Adapter("/a.gguf", 0.5)),
        ("/a=b.gguf", Adapter("/a=b.gguf", 1.0)),
        ("/a=b.gguf=-1", Adapter("/a=b.gguf", -1.0)),
    ],
)
def test_how_it_is_named(text: str, read: Adapter) -> None:
    assert adapter(text) == read
