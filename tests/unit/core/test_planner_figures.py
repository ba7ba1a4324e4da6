"""The memory formulas against what llama.cpp's own planner said of real shapes: tests/benchmarks/planner.py."""

import statistics
from typing import Any

import pytest

from app.core.memory import ContextPlan, memory_need
from app.core.model_shape import ModelShape
from tests.fixtures.planned_models import PLANNED_MODELS, PlannedModel

MIB = 1024 * 1024
MEAN_PERCENT, WORST_PERCENT = 1.0, 3.0


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
    return {
        f"{model.name} {' '.join(case['options'])}": error_percent(model.shape, case)
        for model in PLANNED_MODELS
        for case in model.cases
    }


def test_there_are_enough_architectures() -> None:
    assert len({model.architecture for model in PLANNED_MODELS}) >= 12
    assert all(len(model.cases) >= 3 for model in PLANNED_MODELS)


def test_the_formulas_agree_with_the_planner(errors: dict[str, float]) -> None:
    off = {name: f"{error:+.2f} %" for name, error in errors.items() if abs(error) > WORST_PERCENT}
    assert not off
    assert statistics.mean(map(abs, errors.values())) <= MEAN_PERCENT


@pytest.mark.parametrize("model", PLANNED_MODELS, ids=lambda model: model.name)
def test_weights_and_caches_are_exact(model: PlannedModel) -> None:
    """To the MiB that the planner prints, and one for what its buffers are rounded up to."""
    for case in model.cases:
        need = memory_need(model.shape, context_of(case["options"]))
        assert abs(need.weights_bytes // MIB - case["weights_mib"]) <= 1
        assert abs(need.cache_bytes // MIB - case["cache_mib"]) <= 1
