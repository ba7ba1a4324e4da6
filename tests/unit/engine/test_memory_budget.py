import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from app.core.errors import ErrorKind, UserError
from app.core.memory import ContextPlan, memory_need
from app.engine.worker import memory_budget
from app.engine.worker.inspection import ModelFacts, inspect_model_file
from app.engine.worker.memory_budget import choose_context_length, usable_bytes
from tests.fixtures.gguf_bytes import tiny_llama

GIB = 1 << 30
PLAN = ContextPlan(0, output_tokens=1)


@pytest.fixture
def facts(tmp_path: Path) -> ModelFacts:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_llama(llama__context_length=4_000_000))
    return inspect_model_file(path)


def have(monkeypatch: pytest.MonkeyPatch, free_bytes: int) -> None:
    monkeypatch.setattr(memory_budget, "usable_bytes", lambda: free_bytes)


def test_by_default_as_long_as_trained_and_at_most_8192(
    monkeypatch: pytest.MonkeyPatch, facts: ModelFacts, tmp_path: Path
) -> None:
    have(monkeypatch, GIB)
    assert choose_context_length(facts, 0, PLAN) == 8192
    path = tmp_path / "short.gguf"
    path.write_bytes(tiny_llama(llama__context_length=2048))
    assert choose_context_length(inspect_model_file(path), 0, PLAN) == 2048


def test_by_default_reduced_to_what_fits(monkeypatch: pytest.MonkeyPatch, facts: ModelFacts) -> None:
    enough_for_3000 = memory_need(facts.shape, PLAN.with_length(3000)).total_bytes
    have(monkeypatch, enough_for_3000)
    assert choose_context_length(facts, 0, PLAN) == 3072


def test_a_wish_that_fits_is_granted_exactly(monkeypatch: pytest.MonkeyPatch, facts: ModelFacts) -> None:
    have(monkeypatch, GIB)
    assert choose_context_length(facts, 1000, PLAN) == 1000
    assert choose_context_length(facts, 20_000, PLAN) == 20_000


def test_a_wish_that_does_not_fit_is_refused_with_figures(monkeypatch: pytest.MonkeyPatch, facts: ModelFacts) -> None:
    have(monkeypatch, GIB)
    with pytest.raises(UserError) as caught:
        choose_context_length(facts, 2_000_000, PLAN)
    error = caught.value
    assert error.kind is ErrorKind.NOT_ENOUGH_MEMORY
    assert error.integer("free_bytes") == GIB < error.integer("needed_bytes")
    assert error.integer("context_length") == 2_000_000
    suggested = error.integer("suggested_context_length")
    assert 0 < suggested < 2_000_000
    assert choose_context_length(facts, suggested, PLAN) == suggested


def test_weights_that_do_not_fit_leave_nothing_to_suggest(monkeypatch: pytest.MonkeyPatch, facts: ModelFacts) -> None:
    have(monkeypatch, 10_000)
    for wanted in (0, 4096):
        with pytest.raises(UserError) as caught:
            choose_context_length(facts, wanted, PLAN)
        assert caught.value.integer("suggested_context_length") == 0


def test_a_suggestion_never_exceeds_what_the_model_was_trained_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_llama(llama__context_length=512))
    have(monkeypatch, GIB)
    with pytest.raises(UserError) as caught:
        choose_context_length(inspect_model_file(path), 5_000_000, PLAN)
    assert caught.value.integer("suggested_context_length") == 512


def test_a_reserve_is_kept_but_a_full_computer_still_runs_the_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "_cgroup_free_bytes", lambda: None)
    for available, usable in ((16 * GIB, 16 * GIB - GIB // 2), (GIB // 2, GIB // 2 - GIB // 16)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda available=available: SimpleNamespace(available=available))
        assert usable_bytes() == usable


@pytest.mark.skipif(sys.platform != "linux", reason="control groups")
def test_a_containers_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=16 * GIB))
    monkeypatch.setattr(memory_budget, "_cgroup_free_bytes", lambda: 2 * GIB)
    assert usable_bytes() == 2 * GIB - GIB // 4


def test_the_tightest_group_decides(tmp_path: Path) -> None:
    inner = tmp_path / "user.slice" / "session.scope"
    inner.mkdir(parents=True)
    for folder, limit, used, cached in ((tmp_path / "user.slice", 8 * GIB, 6 * GIB, GIB), (inner, "max", GIB, 0)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\nactive_file 7\n")
    names = ("memory.max", "memory.current", "inactive_file")
    assert memory_budget._least_free(tmp_path, "/user.slice/session.scope", *names) == 3 * GIB
    assert memory_budget._least_free(tmp_path, "/elsewhere", *names) is None


def test_this_computer_has_some_memory() -> None:
    assert 0 < usable_bytes() < psutil.virtual_memory().total
