"""The memory formulas against what llama.cpp's own planner said of real shapes: tests/benchmarks/planner.py."""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.gguf import GgufHeader, read_header
from app.core.memory import ContextPlan, memory_need
from app.core.model_shape import ModelShape, shape_of
from app.core.tensor_types import TENSOR_TYPES
from tests.fixtures.gguf_bytes import I32, Array, Tensor, gguf

MIB = 1024 * 1024
RECORDS = sorted((Path(__file__).parents[2] / "fixtures" / "planner").glob("*.json"))
TYPE_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}
MEAN_PERCENT, WORST_PERCENT = 1.0, 3.0


def header_of(record: dict[str, Any]) -> GgufHeader:
    """The header that a record was made with, its tensors without data."""
    architecture = record["architecture"]
    keys = {
        f"{architecture}.{name}": Array(I32, value) if isinstance(value, list) else value
        for name, value in {**record["keys"], "vocab_size": record["vocabulary"]}.items()
    }
    tensors: list[Tensor] = []
    offset = 0
    for name, entry in _unpacked(record["tensors"]):
        number = TYPE_NUMBERS[entry["type"]]
        dimensions = tuple(entry["dimensions"])
        tensors.append(Tensor(name, dimensions, number, b"", offset))
        kind, elements = TENSOR_TYPES[number], 1
        for length in dimensions:
            elements *= length
        offset += -(-elements // kind.block_elements * kind.block_bytes // 32) * 32
    return read_header(gguf({"general.architecture": architecture, **keys}, tensors))


def _unpacked(tensors: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in tensors:
        if not entry["layers"]:
            yield entry["name"], entry
        for first, last in entry["layers"]:
            for layer in range(first, last + 1):
                yield entry["name"].replace("*", str(layer), 1), entry


def context_of(options: list[str]) -> ContextPlan:
    """What the planner was asked about, in our terms; it wants logits of a whole batch."""
    named = dict(zip(options[::2], options[1::2], strict=True))
    batch = int(named.get("-ub", 512))
    return ContextPlan(
        int(named["-c"]),
        batch_tokens=batch,
        output_tokens=batch,
        flash_attention=named["-fa"] == "on",
        whole_window_cache=False,
        cache_type=named.get("-ctk", "f16"),
    )


def error_percent(shape: ModelShape, case: dict[str, Any]) -> float:
    """How far our sum is from the planner's, both of whole MiB as it prints them."""
    need = memory_need(shape, context_of(case["options"]))
    planned = case["weights_mib"] + case["cache_mib"] + case["compute_mib"]
    ours = need.weights_bytes // MIB + need.cache_bytes // MIB + need.compute_bytes // MIB
    return 100 * (ours - planned) / planned


@pytest.fixture(scope="module")
def errors() -> dict[str, float]:
    """By model and options."""
    found = {}
    for path in RECORDS:
        record = json.loads(path.read_text("utf-8"))
        header = header_of(record)
        shape = shape_of(header, header.tensors)
        for case in record["cases"]:
            found[f"{record['name']} {' '.join(case['options'])}"] = error_percent(shape, case)
    return found


def test_there_are_enough_architectures() -> None:
    records = [json.loads(path.read_text("utf-8")) for path in RECORDS]
    assert len({record["architecture"] for record in records}) >= 12
    assert all(len(record["cases"]) >= 3 for record in records)


def test_the_formulas_agree_with_the_planner(errors: dict[str, float]) -> None:
    off = {name: f"{error:+.2f} %" for name, error in errors.items() if abs(error) > WORST_PERCENT}
    assert not off
    assert statistics.mean(map(abs, errors.values())) <= MEAN_PERCENT


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_weights_and_caches_are_exact(path: Path) -> None:
    """To the MiB that the planner prints, and one for what its buffers are rounded up to."""
    record = json.loads(path.read_text("utf-8"))
    header = header_of(record)
    shape = shape_of(header, header.tensors)
    for case in record["cases"]:
        need = memory_need(shape, context_of(case["options"]))
        assert abs(need.weights_bytes // MIB - case["weights_mib"]) <= 1
        assert abs(need.cache_bytes // MIB - case["cache_mib"]) <= 1
