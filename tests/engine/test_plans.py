"""Loading by a plan: what is told of it, wishes, what is learnt, and what happens when memory is less than told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.core.errors import ErrorKind, NoticeKind
from app.core.events import HOST, Failed, Finished, Loaded, Notice
from app.engine.protocol import Load
from app.engine.worker.binding import has_small_attention
from tests.engine.engine_child import EngineChild, Run, user
from tests.fixtures import tiny_gguf as tiny

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose heads can be stored in every cache type."""
    path = tmp_path_factory.mktemp("wide") / "wide.gguf"
    return tiny.write_model(path, tiny.bpe_vocabulary(), template=tiny.CHATML, head_size=64, context_length=4096)


def load(child: EngineChild, path: Path, **fields: Any) -> Run:
    return child.ask(Load(0, str(path), threads=1, **fields))


def plan_of(run: Run) -> dict[str, Any]:
    assert isinstance(run.last, Loaded), run.last
    plan: dict[str, Any] = run.last.model.plan
    return plan


def notices(run: Run) -> list[tuple[NoticeKind, dict[str, Any]]]:
    return [(notice.kind, notice.details) for notice in run.of(Notice)]


def test_a_loaded_model_tells_its_plan_and_what_it_took(child: EngineChild, wide: Path) -> None:
    plan = plan_of(load(child, wide))
    assert (plan["context_length"], plan["layers"], plan["cache_type"]) == (4096, 2, "f16")
    assert plan["sequences"] > 1
    assert plan["threads"] == 1
    host = plan["devices"][0]
    assert host["name"] == "CPU"
    assert host["cache_bytes"] == plan["sequences"] * 2 * 4096 * 2 * 2 * 64 * 2
    assert host["used_bytes"] >= host["cache_bytes"] + host["weights_bytes"]


@pytest.mark.parametrize("cache_type", ["f16", "q8_0", "q4_0"])
def test_every_cache_type_answers(child: EngineChild, wide: Path, cache_type: str) -> None:
    run = load(child, wide, cache_type=cache_type)
    plan = plan_of(run)
    assert plan["cache_type"] == cache_type
    assert plan["flash_attention"] == (cache_type != "f16" or has_small_attention())
    assert notices(run) == []
    finished = child.generate([user("hello world " * 20)], max_tokens=8).last
    assert isinstance(finished, Finished)


def test_heads_that_cannot_be_stored_so_are_stored_as_f16(child: EngineChild, tmp_path: Path) -> None:
    path = tiny.write_model(tmp_path / "odd.gguf", tiny.bpe_vocabulary(), template=tiny.CHATML, head_size=16)
    for cache_type in ("q8_0", "q4_0"):
        run = load(child, path, cache_type=cache_type)
        assert plan_of(run)["cache_type"] == "f16"
        assert notices(run) == [(NoticeKind.CACHE_TYPE_UNFIT, {"wanted": cache_type})]
    assert isinstance(child.generate([user("hello")], max_tokens=4).last, Finished)


def test_states_have_no_cache_type(child: EngineChild, models: Path) -> None:
    run = load(child, models / "mamba.gguf", cache_type="q4_0")
    assert plan_of(run)["cache_type"] == "f16"
    assert notices(run) == []


def test_an_unknown_cache_type_is_a_bad_request(child: EngineChild, wide: Path) -> None:
    failed = load(child, wide, cache_type="f64").last
    assert isinstance(failed, Failed)
    assert failed.error.kind is ErrorKind.BAD_REQUEST


def test_what_was_found_is_recorded_and_corrects_the_next_plan(child: EngineChild, wide: Path, tmp_path: Path) -> None:
    fields = {"state_folder": str(tmp_path / "states"), "state_limit_bytes": 1_000_000}
    first = plan_of(load(child, wide, **fields))
    (record,) = json.loads((tmp_path / "engine-plans.json").read_bytes())["records"]
    found = record["used"][0]["compute_bytes"]
    assert found != first["devices"][0]["compute_bytes"]
    second = plan_of(load(child, wide, **fields))
    assert second["devices"][0]["compute_bytes"] == pytest.approx(found, abs=2)
    assert len(json.loads((tmp_path / "engine-plans.json").read_bytes())["records"]) == 1


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b'{"version": 1, "records": [7, {"model": []}], "reductions": 7}', b"\xff{{{"]
)
def test_damaged_records_do_no_harm(child: EngineChild, wide: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "engine-plans.json").write_bytes(content)
    plan_of(load(child, wide, state_folder=str(tmp_path / "states"), state_limit_bytes=1_000_000))
    assert json.loads((tmp_path / "engine-plans.json").read_bytes())["records"]


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Callable[[int], EngineChild]]:
    """Children that may take so many MiB more than they have, although the system says that more is free."""
    if sys.platform != "linux":
        pytest.skip("a process cannot be given less memory than there is")
    import resource  # not everywhere

    running: list[EngineChild] = []

    def start(spare_mib: int) -> EngineChild:
        child = EngineChild(log_path=tmp_path / "engine.log")
        running.append(child)
        limit = psutil.Process(child.process.pid).memory_info().vms + spare_mib * 1024 * 1024
        resource.prlimit(child.process.pid, resource.RLIMIT_AS, (limit, limit))
        return child

    yield start
    for child in running:
        child.close()


def test_a_wished_length_stays_where_other_conversations_can_go(
    cramped: Callable[[int], EngineChild], tmp_path: Path
) -> None:
    path = tiny.write_endless_model(tmp_path / "long.gguf", context_length=262144)
    child = cramped(450)
    run = load(child, path, context_length=262144)
    assert (plan_of(run)["context_length"], plan_of(run)["sequences"]) == (262144, 1)
    ((kind, details),) = notices(run)
    assert kind is NoticeKind.PLAN_REDUCED
    assert details["used_context"] == details["wanted_context"] == 262144
    assert isinstance(child.generate([user("hello")], max_tokens=4).last, Finished)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose conversations of 8,192 tokens take 512 MiB each."""
    if psutil.virtual_memory().available < 8 * 1024**3:
        pytest.skip("with less than 8 GiB free the first plan is a smaller one")
    path = tmp_path_factory.mktemp("roomy") / "roomy.gguf"
    return tiny.write_model(
        path, tiny.bpe_vocabulary(), template=tiny.CHATML, layers=8, head_size=1024, context_length=8192
    )


@pytest.mark.parametrize(("spare_mib", "smaller_plans", "length"), [(900, 1, 8192), (420, 2, 4096), (240, 3, 2048)])
def test_up_to_three_smaller_plans_are_tried(
    cramped: Callable[[int], EngineChild], roomy: Path, tmp_path: Path, spare_mib: int, smaller_plans: int, length: int
) -> None:
    child = cramped(spare_mib)
    run = load(child, roomy)
    assert (plan_of(run)["context_length"], plan_of(run)["sequences"]) == (length, 1)
    ((kind, details),) = notices(run)
    assert (kind, details["wanted_context"], details["used_context"]) == (NoticeKind.PLAN_REDUCED, 8192, length)
    assert (tmp_path / "engine.log").read_text().count(" plan: ") == 1 + smaller_plans
    assert isinstance(child.generate([user("hello")], max_tokens=4).last, Finished)


def test_what_failed_is_not_tried_again_until_there_is_hope(
    cramped: Callable[[int], EngineChild], roomy: Path, tmp_path: Path
) -> None:
    """A day later, or with clearly more memory free; each time by a new child, as after a restart."""
    records, log = tmp_path / "engine-plans.json", tmp_path / "engine.log"

    def attempts() -> tuple[int, Run]:
        log.unlink(missing_ok=True)
        child = cramped(420)
        run = load(child, roomy, state_folder=str(tmp_path / "states"), state_limit_bytes=1_000_000)
        plan = plan_of(run)
        assert (plan["context_length"], plan["sequences"], plan["is_reduced"]) == (4096, 1, True)
        child.close()
        return log.read_text().count(" plan: "), run

    def change(**fields: Any) -> None:
        data = json.loads(records.read_bytes())
        (reduction,) = data["reductions"]
        data["reductions"] = [reduction | fields]
        records.write_text(json.dumps(data))

    assert attempts()[0] == 3
    count, run = attempts()
    assert count == 1
    assert notices(run) == [(NoticeKind.CONTEXT_REDUCED, {"wanted": 8192, "used": 4096, "failed": 8192})]
    change(failed_at_s=time.time() - 25 * 60 * 60)
    assert attempts()[0] == 3
    assert attempts()[0] == 1
    change(free_bytes={HOST: 1 << 30})
    assert attempts()[0] == 3


def test_after_three_smaller_plans_it_is_given_up_and_told(
    cramped: Callable[[int], EngineChild], roomy: Path, models: Path, tmp_path: Path
) -> None:
    child = cramped(100)
    failed = load(child, roomy).last
    assert isinstance(failed, Failed)
    assert (failed.error.kind, failed.error.integer("smaller_plans")) == (ErrorKind.LOAD_FAILED, 3)
    assert "memory" in failed.error.string("reason")
    assert (tmp_path / "engine.log").read_text().count(" plan: ") == 4
    assert isinstance(load(child, models / "qwen2.gguf", context_length=256).last, Loaded)
