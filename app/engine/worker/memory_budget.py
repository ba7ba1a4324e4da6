"""What this computer has for a model, now: free memory of each device, threads, and what earlier plans taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.core.events import Device
from app.core.gpu_choice import chosen_gpus, shares_memory
from app.core.memory import without_reserve
from app.core.plan import Budget, Machine
from app.engine.host_memory import host_memory

_SPARE_BYTES = 1024 * 1024 * 1024
_SPARE_SHARE = 8  # of all there is


def survey(
    devices: Sequence[Device], wanted_device: str, threads: int, compute_factors: Mapping[tuple[str, bool], float]
) -> Machine:
    """What there is to plan with; `wanted_device` as in Load: empty for the best there is."""
    free_bytes = usable_bytes()
    gpus = tuple(_budget(device, free_bytes) for device in chosen_gpus(devices, wanted_device))
    flash_attention = any(device.flash_attention for device in devices)
    return Machine(free_bytes, threads, gpus, flash_attention, compute_factors)


def usable_bytes() -> int:
    """Memory that a model may take without pushing out the rest: what is available, less a reserve."""
    return without_reserve(host_memory().free_bytes)


def has_room_to_spare() -> bool:
    """Whether a model that nobody uses now may stay."""
    memory = host_memory()
    return without_reserve(memory.free_bytes) > max(_SPARE_BYTES, memory.total_bytes // _SPARE_SHARE)


def _budget(device: Device, host_free_bytes: int) -> Budget:
    """What a model may take of a GPU; one that tells nothing has the computer's memory."""
    is_shared = shares_memory(device)
    free_bytes = without_reserve(device.free_bytes) if device.total_bytes else host_free_bytes
    return Budget(device.name, min(free_bytes, host_free_bytes) if is_shared else free_bytes, is_shared)
