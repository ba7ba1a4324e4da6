"""What a header tells the list of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.core.library import FoundFile, Owner
from app.hub.model_facts import read_facts
from tests.fixtures.gguf_bytes import U64, Tensor, Typed, gguf, llama_keys, tiny_llama


@pytest.mark.parametrize(
    ("name", "keys", "quantization"),
    [
        ("tern-7b.gguf", {}, ""),
        ("tern-7b.gguf", {"general__file_type": 0}, "F32"),
        ("tern-7b.gguf", {"general__file_type": 15}, "Q4_K_M"),
        ("tern-7b.gguf", {"general__file_type": 1024}, ""),
        ("tern-7b.Q8_0.gguf", {"general__file_type": 15}, "Q8_0"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_the_quantization_is_that_of_the_name_or_else_of_the_header(
    tmp_path: Path, name: str, keys: dict[str, Any], quantization: str, whole: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(tiny_llama(**keys))
    found = FoundFile(Owner.HEARTH, (str(path),), path.stat().st_size)
    model, _ = read_facts(found, whole=whole)
    assert model.quantization == quantization


def hostile() -> bytes:
    """A header that means no good to lists, terminals and databases."""
    keys = llama_keys(
        general__name="Evil\n\x1b[2J\u202e" + "x" * 1_000_000,
        general__license="\x00mit\r",
        llama__context_length=Typed(U64, 2**64 - 1),
    )
    return gguf(keys, [Tensor("a", (2**61,), data=b""), Tensor("b", (2**61,), data=b"", offset=2**63)])


def test_what_a_header_says_fits_a_list_and_the_database(tmp_path: Path) -> None:
    path = tmp_path / "evil.gguf"
    path.write_bytes(hostile())
    model, _ = read_facts(FoundFile(Owner.HEARTH, (str(path),), path.stat().st_size), whole=True)
    assert model.name.startswith("Evil [2J xxx")
    assert len(model.name) <= 300
    assert (model.licence, model.context_length, model.parameters) == ("mit", 0, 0)
