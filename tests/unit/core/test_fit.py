from dataclasses import replace

import pytest

from app.core.fit import FitKind, GpuMemory, MachineMemory, judge, need_of, usual_context
from app.core.memory import ContextPlan, memory_need
from tests.fixtures.planned_models import planned_model

GIB = 1 << 30
LLAMA = planned_model("Llama 3.1 8B").shape  # 4.5 GB of weights
MIXTURE = planned_model("Mixtral 8x7B").shape  # 26 GB


def card(free: float, total: float, number: int = 0, is_shared: bool = False) -> GpuMemory:
    return GpuMemory(f"CUDA{number}", f"Card {number}", int(free * GIB), int(total * GIB), is_shared)


def machine(free: float, total: float, *gpus: GpuMemory) -> MachineMemory:
    return MachineMemory(int(free * GIB), int(total * GIB), gpus, 8)


@pytest.mark.parametrize(
    ("here", "kind"),
    [
        (machine(12, 16, card(11, 12)), FitKind.ON_GPU),
        (machine(12, 16, card(3, 4)), FitKind.PARTLY_ON_GPU),
        (machine(12, 16, card(0.2, 4)), FitKind.ON_CPU),
        (machine(12, 16), FitKind.ON_CPU),
        (machine(4, 16), FitKind.TIGHT),
        (machine(3, 4), FitKind.TOO_LARGE),
        (machine(3, 4, card(11, 12)), FitKind.ON_GPU),
        (machine(1, 8, card(1, 12)), FitKind.TIGHT),
        (machine(12, 16, card(12, 16, is_shared=True)), FitKind.ON_GPU),
        (machine(4, 16, card(4, 16, is_shared=True)), FitKind.TIGHT),
    ],
)
def test_the_kinds_of_verdicts(here: MachineMemory, kind: FitKind) -> None:
    verdict = judge(LLAMA, 4096, here, None)
    assert verdict.kind is kind
    assert verdict.kind.runs_now is (kind not in (FitKind.TIGHT, FitKind.TOO_LARGE))


def test_the_figures_of_a_verdict() -> None:
    both = judge(LLAMA, 4096, machine(12, 16, card(5, 6, 0), card(3, 4, 1)), None)
    assert (both.gpu_name, both.gpu_layers, both.layers) == ("Card 0, Card 1", 32, 32)
    assert (both.free_bytes, both.total_bytes) == (20 * GIB, 26 * GIB)
    partly = judge(LLAMA, 4096, machine(12, 16, card(3, 4)), None)
    assert 0 < partly.gpu_layers < 32
    built_in = judge(LLAMA, 4096, machine(12, 16, card(12, 16, is_shared=True)), None)
    assert (built_in.free_bytes, built_in.total_bytes) == (12 * GIB, 16 * GIB)
    none = judge(MIXTURE, 4096, machine(12, 16, card(11, 12)), None)
    assert (none.kind, none.gpu_name, none.gpu_layers) == (FitKind.TOO_LARGE, "", 0)
    assert none.need.total_bytes > 26e9


def test_experts_may_stay_in_main_memory() -> None:
    verdict = judge(MIXTURE, 4096, machine(40, 64, card(11, 12)), None)
    assert (verdict.kind, verdict.gpu_layers) == (FitKind.PARTLY_ON_GPU, 32)


def test_the_need_is_that_of_the_memory_formula() -> None:
    need = need_of(LLAMA, 8192)
    assert need == memory_need(LLAMA, ContextPlan(8192, output_tokens=32))
    quantized = need_of(LLAMA, 8192, "q8_0")
    assert quantized.cache_bytes * 64 == need.cache_bytes * 34
    assert need_of(planned_model("Phi 2").shape, 8192, "q8_0") == need_of(planned_model("Phi 2").shape, 8192)


def test_the_need_is_that_of_the_attention_by_which_it_will_run() -> None:
    plain = need_of(LLAMA, 8192)
    odd = replace(LLAMA, key_length=100, value_length=100)  # not for the flash attention of processors
    quick = replace(machine(12, 16), cpu_flash_attention=True)
    assert judge(LLAMA, 8192, machine(12, 16), None).need == plain
    assert judge(LLAMA, 8192, quick, None).need.compute_bytes < plain.compute_bytes
    assert judge(odd, 8192, quick, None).need == need_of(odd, 8192)
    on_card = judge(LLAMA, 8192, machine(12, 16, card(11, 12)), None)
    assert on_card.kind is FitKind.ON_GPU
    assert on_card.need.compute_bytes < plain.compute_bytes


def test_a_longer_context_needs_more_and_turns_the_verdict() -> None:
    here = machine(8, 8)
    kinds = [judge(LLAMA, length, here, None).kind for length in (4096, 16_384, 131_072)]
    assert kinds[0] is FitKind.ON_CPU
    assert kinds[-1] is FitKind.TOO_LARGE
    needs = [need_of(LLAMA, length).total_bytes for length in range(512, 32_768, 512)]
    assert needs == sorted(needs)


def test_the_context_that_is_judged_when_nobody_chooses_one() -> None:
    assert usual_context(131_072) == usual_context(0) == 8192
    assert usual_context(2048) == 2048
    assert usual_context(100) == 512
