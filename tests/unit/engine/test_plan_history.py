import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.events import HOST
from app.core.gguf_reader import read_header
from app.core.model_shape import ModelShape, shape_of
from app.core.plan import Budget, EnginePlan, Machine, Wishes
from app.core.planner import make_plan
from app.engine.worker.plan_history import PlanHistory, case_of
from tests.fixtures.gguf_bytes import tiny_llama

FILE = "engine-plans.json"


@pytest.fixture
def shape() -> ModelShape:
    header = read_header(tiny_llama())
    return shape_of(header, header.tensors)


def plan(shape: ModelShape, length: int = 512, **wishes: object) -> EnginePlan:
    return make_plan(shape, length, Machine(1 << 34, 1), Wishes(**wishes))


def note(history: PlanHistory, shape: ModelShape, made: EnginePlan, ratio: float) -> None:
    used = tuple(replace(share, compute_bytes=int(share.compute_bytes * ratio)) for share in made.shares)
    history.record(shape, made, used, {})


def test_a_record_is_kept_for_all_models_of_this_shape(tmp_path: Path, shape: ModelShape) -> None:
    note(PlanHistory(tmp_path, "1"), shape, plan(shape), 1.25)
    again = PlanHistory(tmp_path, "1")
    assert again.compute_factors(shape) == {(HOST, False): pytest.approx(1.25, rel=0.001)}
    other_file = replace(shape, weights_bytes=shape.weights_bytes * 2)
    assert again.compute_factors(other_file) == again.compute_factors(shape)
    assert again.compute_factors(replace(shape, embedding=64)) == {}
    assert PlanHistory(tmp_path, "2").compute_factors(shape) == {}


def test_attentions_are_told_apart_and_the_median_counts(tmp_path: Path, shape: ModelShape) -> None:
    history = PlanHistory(tmp_path, "1")
    for length, ratio in ((512, 1.1), (768, 1.2), (1024, 1.9)):
        note(history, shape, plan(shape, length), ratio)
    without = plan(shape, 512)
    with_flash = replace(without, context=replace(without.context, flash_attention=True))
    note(history, shape, with_flash, 0.8)
    factors = history.compute_factors(shape)
    assert factors[HOST, False] == pytest.approx(1.2, rel=0.001)
    assert factors[HOST, True] == pytest.approx(0.8, rel=0.001)


def test_a_plan_made_with_corrections_is_compared_with_the_formula_alone(tmp_path: Path, shape: ModelShape) -> None:
    history = PlanHistory(tmp_path, "1")
    factors = {(HOST, False): 1.5}
    made = make_plan(shape, 512, Machine(1 << 34, 1, compute_factors=factors), Wishes())
    history.record(shape, made, made.shares, factors)
    assert history.compute_factors(shape)[HOST, False] == pytest.approx(1.5, rel=0.001)


def test_the_latest_about_the_same_plan_replaces_the_former(tmp_path: Path, shape: ModelShape) -> None:
    history = PlanHistory(tmp_path, "1")
    for ratio in (1.9, 1.1):
        note(history, shape, plan(shape), ratio)
    assert history.compute_factors(shape)[HOST, False] == pytest.approx(1.1, rel=0.001)
    assert len(json.loads((tmp_path / FILE).read_bytes())["records"]) == 1


def test_what_makes_no_sense_is_not_used(tmp_path: Path, shape: ModelShape) -> None:
    history = PlanHistory(tmp_path, "1")
    note(history, shape, plan(shape), 40.0)
    assert history.compute_factors(shape) == {}


def test_without_a_folder_nothing_is_kept(tmp_path: Path, shape: ModelShape) -> None:
    history = PlanHistory(None, "1")
    note(history, shape, plan(shape), 1.5)
    assert history.compute_factors(shape) == {}
    assert not list(tmp_path.iterdir())


@pytest.mark.logs_warnings  # a folder that cannot be written is told in the log
def test_a_folder_that_cannot_be_is_no_trouble(tmp_path: Path, shape: ModelShape) -> None:
    (tmp_path / "file").write_text("no folder")
    history = PlanHistory(tmp_path / "file", "1")
    note(history, shape, plan(shape), 1.5)
    assert history.compute_factors(shape) == {}


def test_only_the_latest_records_are_kept(tmp_path: Path, shape: ModelShape) -> None:
    history = PlanHistory(tmp_path, "1")
    for number in range(205):
        note(history, replace(shape, embedding=number), plan(shape), 1.5)
    records = json.loads((tmp_path / FILE).read_bytes())["records"]
    assert len(records) == 200
    assert history.compute_factors(replace(shape, embedding=0)) == {}
    assert history.compute_factors(replace(shape, embedding=204)) != {}


CARD = Machine(1 << 34, 1, (Budget("Vulkan0", 1 << 33),))


def case(shape: ModelShape, machine: Machine = CARD, driver: str = "1.0", **wishes: object) -> str:
    return case_of(shape, machine, {"Vulkan0": driver}, Wishes(**wishes))


def test_a_failure_counts_for_one_file_on_one_set_of_devices_with_the_same_wishes(shape: ModelShape) -> None:
    assert case(shape) == case(replace(shape), CARD.with_free({"Vulkan0": 7}))
    others = {
        case(replace(shape, weights_bytes=1)),
        case(shape, replace(CARD, gpus=())),
        case(shape, driver="1.1"),
        case(shape, gpu_layers=1),
        case(shape, context_length=512),
    }
    assert len(others | {case(shape)}) == 6


def test_what_was_loaded_instead_holds_until_clearly_more_is_free(tmp_path: Path, shape: ModelShape) -> None:
    best, smaller = (make_plan(shape, 512, CARD, Wishes(gpu_layers=layers)) for layers in (-1, 1))
    note(PlanHistory(tmp_path, "1"), shape, best, 1.25)
    PlanHistory(tmp_path, "1").record_reduction("a", CARD, best, smaller)
    history = PlanHistory(tmp_path, "1")
    assert history.compute_factors(shape)
    known = history.reduced_plan("a", CARD)
    assert known is not None
    assert (known.placement.gpu_layers, known.context.context_length) == (1, 512)
    sixteenth = CARD.gpus[0].free_bytes // 16
    assert history.reduced_plan("a", CARD.with_free({HOST: 1 << 34, "Vulkan0": sixteenth})) == known
    assert history.reduced_plan("a", CARD.with_free({"Vulkan0": 3 * sixteenth})) is None
    assert history.reduced_plan("b", CARD) is None
    assert PlanHistory(tmp_path, "2").reduced_plan("a", CARD) is None


def test_what_failed_is_tried_again_after_a_day(
    tmp_path: Path, shape: ModelShape, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, now = PlanHistory(tmp_path, "1"), time.time()
    history.record_reduction("a", CARD, plan(shape), plan(shape))
    for hours, is_known in ((23, True), (25, False), (-1, False)):  # a clock that was set back says nothing
        monkeypatch.setattr(time, "time", lambda hours=hours: now + hours * 3600)
        assert (history.reduced_plan("a", CARD) is not None) == is_known


@pytest.mark.parametrize("value", [None, 7, [], {"CPU": "x"}, {"CPU": float("inf")}])
@pytest.mark.parametrize("field", ["failed_at_s", "free_bytes", "plan"])
def test_a_damaged_reduction_is_none(tmp_path: Path, shape: ModelShape, field: str, value: object) -> None:
    history = PlanHistory(tmp_path, "1")
    history.record_reduction("a", CARD, plan(shape), plan(shape))
    data = json.loads((tmp_path / FILE).read_bytes())
    data["reductions"][0][field] = value
    (tmp_path / FILE).write_text(json.dumps(data))
    assert history.reduced_plan("a", CARD) is None
    history.record_reduction("a", CARD, plan(shape), plan(shape))
    assert history.reduced_plan("a", CARD) is not None
