"""How a model is loaded, as values: what there is to plan with, what a person decides, and the plan.

`app.core.planner` makes plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.core.events import HOST
from app.core.memory import ContextPlan

MAX_SEQUENCES = 4  # conversations kept in the context


@dataclass(frozen=True, slots=True)
class Budget:
    """What a model may take of a GPU's memory, in bytes."""

    device: str
    free_bytes: int
    is_shared: bool = False  # it is the computer's own memory, as with GPUs inside processors


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to plan with."""

    free_bytes: int  # of main memory
    threads: int
    gpus: tuple[Budget, ...] = ()
    # Whether it is faster on this processor. With ggml's own, AVX2 and AVX-512 read 7 to 20 % faster but write 10 to
    # 50 % slower after 2,000 tokens; with packaging/engine/small_attention.h they write faster as well.
    cpu_flash_attention: bool = False
    # By device and whether with flash attention: how large compute buffers were found, against the formula.
    compute_factors: Mapping[tuple[str, bool], float] = field(default_factory=dict)

    def with_free(self, more: Mapping[str, int]) -> Machine:
        """The same machine with so many more bytes free, by device."""
        gpus = tuple(replace(gpu, free_bytes=gpu.free_bytes + more.get(gpu.device, 0)) for gpu in self.gpus)
        shared = sum(more.get(gpu.device, 0) for gpu in self.gpus if gpu.is_shared)
        return replace(self, free_bytes=self.free_bytes + more.get(HOST, 0) + shared, gpus=gpus)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person decides instead of the plan."""

    context_length: int = 0  # 0: as long as the model was trained for, at most 8,192 tokens
    gpu_layers: int = -1  # as llama.cpp counts them; -1: as many as fit
    cache_type: str = "f16"
    sequences: int = MAX_SEQUENCES  # at most


@dataclass(frozen=True, slots=True)
class DeviceShare:
    """What a device gets of a model, in bytes."""

    device: str
    layers: int
    weights_bytes: int
    cache_bytes: int
    compute_bytes: int
    surrounding_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.context_bytes + self.surrounding_bytes

    @property
    def context_bytes(self) -> int:
        """What comes and goes with the context."""
        return self.cache_bytes + self.compute_bytes

    def to_json(self) -> dict[str, Any]:
        """The names and figures that a person or a record may want."""
        return {
            "name": self.device,
            "layers": self.layers,
            "weights_bytes": self.weights_bytes,
            "cache_bytes": self.cache_bytes,
            "compute_bytes": self.compute_bytes,
            "planned_bytes": self.total_bytes,
        }


@dataclass(frozen=True, slots=True)
class Placement:
    """Which layers lie where."""

    gpu_layers: int = 0  # n_gpu_layers: the output, then the last layers
    tensor_split: tuple[int, ...] = ()  # how many of these each GPU gets
    host_experts: int = 0  # so many of the first layers leave their experts in main memory


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """How a model is loaded and its context made; `shares` begin with the computer's own memory."""

    context: ContextPlan
    placement: Placement
    threads: int
    layers: int
    shares: tuple[DeviceShare, ...]
    is_reduced: bool = False  # a larger one that should have fit did not load, now or before

    @property
    def uses_gpu(self) -> bool:
        """Whether anything lies on a GPU."""
        return self.placement.gpu_layers > 0

    @property
    def total_bytes(self) -> int:
        """On all devices together."""
        return sum(share.total_bytes for share in self.shares)

    def is_as_good_as(self, other: EnginePlan) -> bool:
        """Whether nothing but the number of conversations is less than in the other plan."""
        return (self.placement, self.context) == (
            other.placement,
            replace(other.context, sequences=self.context.sequences),
        )

    def to_json(self) -> dict[str, Any]:
        """The names and figures that a person or a record may want."""
        return {
            **self.context.to_json(),
            "threads": self.threads,
            "layers": self.layers,
            "gpu_layers": self.placement.gpu_layers,
            "host_experts": self.placement.host_experts,
            "is_reduced": self.is_reduced,
            "devices": [share.to_json() for share in self.shares],
        }
