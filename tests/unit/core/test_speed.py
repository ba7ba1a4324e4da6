from pathlib import Path

import pytest

from app.core.events import HOST
from app.core.fit import GpuMemory, MachineMemory, judge
from app.core.model_shape import ModelShape
from app.core.past_runs import PastRun
from app.core.plan import Budget, EnginePlan, Machine, Wishes
from app.core.planner import fitting_plan
from app.core.speed import (
    CONVERSATION_TOKENS,
    SELF_TEST_BYTES,
    SpeedModel,
    token_bytes,
    words_per_second,
)
from app.engine.worker.inspection import tensors_of
from app.engine.worker.sample_model import LAYERS, WHOLE_LAYERS, write_sample_model
from tests.fixtures.planned_models import planned_model

GIB = 1 << 30
LLAMA = planned_model("Llama 3.1 8B").shape
MIXTURE = planned_model("Qwen3 30B-A3B").shape
TIED = planned_model("Llama 3.2 3B").shape


def plan_of(shape: ModelShape, *gpu_bytes: int, context: int = 4096) -> EnginePlan:
    gpus = tuple(Budget(f"CUDA{number}", size) for number, size in enumerate(gpu_bytes))
    plan = fitting_plan(shape, Machine(1 << 40, 4, gpus), Wishes(context_length=context, sequences=1))
    assert plan is not None
    return plan


def test_a_token_reads_all_weights_but_the_table_of_embeddings() -> None:
    read = token_bytes(LLAMA, plan_of(LLAMA))
    said = 2 * 2 * 8 * 128 * 32 * CONVERSATION_TOKENS
    assert read == {HOST: LLAMA.weights_bytes - LLAMA.embedding_bytes + said}
    # A tied table is read as the output.
    assert token_bytes(TIED, plan_of(TIED))[HOST] > TIED.weights_bytes


def test_of_a_mixture_the_used_experts_are_read() -> None:
    read = token_bytes(MIXTURE, plan_of(MIXTURE))[HOST]
    experts = sum(MIXTURE.expert_bytes)
    rest = MIXTURE.weights_bytes - MIXTURE.embedding_bytes - experts
    assert rest + experts * 8 // 128 < read < rest + experts * 8 // 128 + GIB // 8


def test_each_device_reads_what_lies_on_it() -> None:
    plan = plan_of(LLAMA, 2 * GIB, GIB)
    read = token_bytes(LLAMA, plan)
    assert set(read) == {HOST, "CUDA0", "CUDA1"}
    assert sum(read.values()) == token_bytes(LLAMA, plan_of(LLAMA))[HOST]
    kept = plan_of(MIXTURE, 8 * GIB)
    assert kept.placement.host_experts > 0
    shared = token_bytes(MIXTURE, kept)
    assert shared["CUDA0"] > shared[HOST] > 0


def test_the_time_is_the_sum_over_devices() -> None:
    plan = plan_of(LLAMA, 3 * GIB)
    read = token_bytes(LLAMA, plan)
    speed = SpeedModel({HOST: 4e10, "CUDA0": 4e11})
    seconds = read[HOST] / 4e10 + read["CUDA0"] / 4e11
    assert speed.tokens_per_second(LLAMA, plan) == pytest.approx(1 / seconds)
    assert SpeedModel({HOST: 4e10}).tokens_per_second(LLAMA, plan) is None


def test_a_card_that_gets_nothing_is_not_waited_for() -> None:
    """A weak second card, of whose speed nothing is known, must not hide that of the first."""
    plan = plan_of(LLAMA, 12 * GIB, GIB // 16)
    assert [share.layers for share in plan.shares] == [0, 32, 0]
    assert set(token_bytes(LLAMA, plan)) == {"CUDA0"}
    assert SpeedModel({HOST: 4e10, "CUDA0": 4e11}).tokens_per_second(LLAMA, plan) is not None


def run(model: str, quantization: str, factor: float, device: str = HOST) -> PastRun:
    """An answer that was so many times as fast as a bandwidth of 40 GB/s lets expect."""
    return PastRun(model, quantization, {device: 4_000_000_000}, 10.0 * factor)


def test_past_runs_correct_it_the_nearest_first() -> None:
    plan = plan_of(LLAMA)
    bare = SpeedModel({HOST: 4e10})
    expected = bare.tokens_per_second(LLAMA, plan)
    assert expected is not None
    runs = (
        run("other", "Q8_0", 1.2),
        run("third", "Q8_0", 1.4),
        run("fourth", "IQ2_XS", 0.4),
        run("fifth", "IQ2_XS", 0.6),
        run("same", "Q4_K_M", 0.7),
        run("same", "Q4_K_M", 0.9, device="CUDA0"),
    )
    speed = SpeedModel({HOST: 4e10}, runs)

    def factor(model: str, quantization: str) -> float:
        found = speed.tokens_per_second(LLAMA, plan, model, quantization)
        assert found is not None
        return round(found / expected, 3)

    assert factor("same", "Q4_K_M") == 0.7
    assert factor("new", "IQ2_XS") == 0.5
    assert factor("new", "Q8_0") == 1.3
    assert factor("new", "Q4_K_M") == 0.7  # one run of a quantization is not enough: the median of all
    assert SpeedModel({HOST: 4e10}, runs[:1]).tokens_per_second(LLAMA, plan, "new") == expected


def test_runs_hold_when_the_bandwidth_was_measured_wrong() -> None:
    """What a busy machine made of the bandwidth is made good by runs, and counts no more once it is measured anew."""
    plan = plan_of(LLAMA)
    runs = (run("same", "", 0.9), run("other", "", 0.9))
    right = SpeedModel({HOST: 4e10}).tokens_per_second(LLAMA, plan)
    assert right is not None
    for measured in (1e10, 4e10, 8e10):
        for model in ("same", "new"):
            found = SpeedModel({HOST: measured}, runs).tokens_per_second(LLAMA, plan, model)
            assert found == pytest.approx(0.9 * right)


def test_a_run_on_other_devices_says_nothing() -> None:
    """Where the processor computes the experts beside a card is not where the card computes all."""
    kept = plan_of(MIXTURE, 8 * GIB)
    bandwidths = {HOST: 4e10, "CUDA0": 4e11}
    runs = (PastRun("same", "", {"CUDA0": 4_000_000_000}, 50.0),)
    bare = SpeedModel(bandwidths).tokens_per_second(MIXTURE, kept)
    assert SpeedModel(bandwidths, runs).tokens_per_second(MIXTURE, kept, "same") == bare


def test_a_disturbed_run_does_not_turn_a_verdict_upside_down() -> None:
    plan = plan_of(LLAMA)
    speed = SpeedModel({HOST: 4e10}, (run("same", "", 1e-6),))
    bare = SpeedModel({HOST: 4e10}).tokens_per_second(LLAMA, plan)
    assert bare is not None
    assert speed.tokens_per_second(LLAMA, plan, "same") == pytest.approx(bare / 10)


def test_the_self_tests_model_is_as_large_as_is_said(tmp_path: Path) -> None:
    write_sample_model(tmp_path / "sample.gguf")
    tensors = tensors_of(tmp_path / "sample.gguf")
    read = sum(tensor.size_bytes for tensor in tensors if tensor.name != "token_embd.weight")
    assert read * WHOLE_LAYERS / LAYERS == pytest.approx(SELF_TEST_BYTES, rel=0.001)


def test_words_are_fewer_than_tokens() -> None:
    assert words_per_second(8.0) == 6.0


def test_a_verdict_tells_the_speed() -> None:
    machine = MachineMemory(32 * GIB, 32 * GIB, (GpuMemory("CUDA0", "Card", 12 * GIB, 12 * GIB),))
    fast = judge(LLAMA, 4096, machine, SpeedModel({HOST: 4e10, "CUDA0": 4e11}))
    assert fast.tokens_per_second == pytest.approx(90, rel=0.1)
    assert judge(LLAMA, 4096, machine, None).tokens_per_second is None
