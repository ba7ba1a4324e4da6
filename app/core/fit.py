"""Will it run here? What a model needs, held against what this computer has.

The verdict is that of the plan which the engine would make (`app.core.planner`), on the memory that is free now and,
where that is too little, on all there is. It is advice: nothing is forbidden because of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from app.core.events import HOST
from app.core.memory import (
    ContextPlan,
    MemoryNeed,
    memory_need,
    prefers_flash_attention,
    usable_cache_type,
    without_reserve,
)
from app.core.model_shape import ModelShape
from app.core.plan import Budget, EnginePlan, Machine, Wishes
from app.core.planner import DEFAULT_CONTEXT_LENGTH, MIN_CONTEXT_LENGTH, OUTPUT_TOKENS, fitting_plan
from app.core.speed import SpeedModel

_SYSTEM_SHARE, _SYSTEM_MOST_BYTES = 8, 2 * 1024**3  # what the system keeps even if everything else is closed


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """A graphics device that models may use."""

    device: str  # ggml's name
    name: str  # a person's
    free_bytes: int
    total_bytes: int
    is_shared: bool = False  # its memory is the computer's


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """What this computer has for a model, in bytes; `free_bytes` count what the loaded model would give back."""

    free_bytes: int
    total_bytes: int
    gpus: tuple[GpuMemory, ...] = ()
    threads: int = 1
    cpu_flash_attention: bool = False  # as in `app.core.plan.Machine`

    @property
    def all_free_bytes(self) -> int:
        """With graphics cards that have memory of their own."""
        return self.free_bytes + sum(gpu.free_bytes for gpu in self.gpus if not gpu.is_shared)

    @property
    def all_bytes(self) -> int:
        """In total, with graphics cards that have memory of their own."""
        return self.total_bytes + sum(gpu.total_bytes for gpu in self.gpus if not gpu.is_shared)


class FitKind(StrEnum):
    """How a model would run, from best to not at all."""

    ON_GPU = "on_gpu"
    PARTLY_ON_GPU = "partly_on_gpu"
    ON_CPU = "on_cpu"
    TIGHT = "tight"  # there is enough memory, but other programs use it now
    TOO_LARGE = "too_large"

    @property
    def runs_now(self) -> bool:
        """Whether there is memory for it as things are."""
        return self not in (FitKind.TIGHT, FitKind.TOO_LARGE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a model would run with a context of some length."""

    kind: FitKind
    need: MemoryNeed
    free_bytes: int  # of all memory that models may use
    total_bytes: int
    gpu_name: str  # of those that take part, joined by commas; empty without
    gpu_layers: int
    layers: int
    tokens_per_second: float | None  # None: not known, or it does not run
    context_length: int


def need_of(
    shape: ModelShape,
    context_length: int,
    cache_type: str = "f16",
    *,
    cpu_flash_attention: bool = False,
    on_gpu: bool = False,
) -> MemoryNeed:
    """What a model takes with one conversation of this length, all on one device. Quick: a slider may ask.

    `cpu_flash_attention` as in `app.core.plan.Machine`; on GPUs plans have it wherever llama.cpp has.
    """
    usable = usable_cache_type(shape, cache_type)
    flash = (on_gpu and shape.flash_attention) or prefers_flash_attention(shape, usable, cpu_flash_attention)
    context = ContextPlan(
        context_length,
        output_tokens=OUTPUT_TOKENS,
        flash_attention=flash,
        whole_window_cache=shape.keeps_whole_windows,
        cache_type=usable,
    )
    return memory_need(shape, context)


def usual_context(trained_length: int) -> int:
    """The context that the engine chooses when nobody does, in tokens; `trained_length` 0: not known."""
    return min(max(trained_length or DEFAULT_CONTEXT_LENGTH, MIN_CONTEXT_LENGTH), DEFAULT_CONTEXT_LENGTH)


def judge(
    shape: ModelShape,
    context_length: int,
    machine: MachineMemory,
    speed: SpeedModel | None,
    *,
    cache_type: str = "f16",
    model: str = "",
    quantization: str = "",
) -> Verdict:
    """How a model would run here; `model` and `quantization` find its own past runs (`app.core.speed`)."""
    wishes = Wishes(context_length=context_length, cache_type=cache_type, sequences=1)
    plan = fitting_plan(shape, _machine(machine), wishes)
    if plan is not None:
        kind = _kind(plan)
    else:
        plan = fitting_plan(shape, _machine(_emptied(machine)), wishes)
        kind = FitKind.TOO_LARGE if plan is None else FitKind.TIGHT
    need = need_of(
        shape,
        context_length,
        cache_type,
        cpu_flash_attention=machine.cpu_flash_attention,
        on_gpu=plan is not None and plan.uses_gpu,
    )
    on_gpus = [share for share in plan.shares if share.device != HOST and share.layers] if plan is not None else []
    names = {gpu.device: gpu.name for gpu in machine.gpus}
    return Verdict(
        kind=kind,
        need=need,
        free_bytes=machine.all_free_bytes,
        total_bytes=machine.all_bytes,
        gpu_name=", ".join(names[share.device] for share in on_gpus),
        gpu_layers=sum(share.layers for share in on_gpus),
        layers=shape.layers,
        tokens_per_second=(
            speed.tokens_per_second(shape, plan, model, quantization)
            if plan is not None and speed is not None
            else None
        ),
        context_length=context_length,
    )


def _kind(plan: EnginePlan) -> FitKind:
    if not plan.uses_gpu:
        return FitKind.ON_CPU
    is_whole = plan.placement.gpu_layers > plan.layers and not plan.placement.host_experts
    return FitKind.ON_GPU if is_whole else FitKind.PARTLY_ON_GPU


def _machine(memory: MachineMemory) -> Machine:
    """The machine as the engine's planner sees it: everywhere a reserve is left."""
    host = without_reserve(memory.free_bytes)
    gpus = []
    for gpu in memory.gpus:
        free = without_reserve(gpu.free_bytes)
        gpus.append(Budget(gpu.device, min(free, host) if gpu.is_shared else free, gpu.is_shared))
    return Machine(host, memory.threads, tuple(gpus), memory.cpu_flash_attention)


def _emptied(memory: MachineMemory) -> MachineMemory:
    """The machine with every other program closed."""
    free = memory.total_bytes - min(memory.total_bytes // _SYSTEM_SHARE, _SYSTEM_MOST_BYTES)
    gpus = tuple(replace(gpu, free_bytes=max(gpu.free_bytes, gpu.total_bytes * 15 // 16)) for gpu in memory.gpus)
    return replace(memory, free_bytes=max(free, memory.free_bytes), gpus=gpus)
