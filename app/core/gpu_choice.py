"""Which graphics devices take part in running a model, and whose memory they have."""

from __future__ import annotations

from collections.abc import Sequence

from app.core.events import Device
from app.core.remote import REMOTE_KIND

GPU_KINDS = frozenset({"gpu", "igpu"})
OFFLOAD_KINDS = GPU_KINDS | {REMOTE_KIND}
"""Devices that get layers of a model instead of the processor. Another computer's only if it was named."""
_SOFTWARE_GPU = "llvmpipe"  # Mesa's processor that plays a GPU


def chosen_gpus(devices: Sequence[Device], wanted: str) -> tuple[Device, ...]:
    """The GPUs that take part: the wanted one; without a wish all that have memory of their own, else the others."""
    named = [device for device in devices if device.name == wanted]
    if named:
        return tuple(device for device in named if device.kind in OFFLOAD_KINDS and not device.problem)
    working = [device for device in without_twins(devices) if not device.problem]
    own_memory = tuple(device for device in working if device.kind == "gpu" and device.total_bytes > 0)
    return own_memory or tuple(device for device in working if device.kind == "igpu")[:1]


def without_twins(devices: Sequence[Device]) -> tuple[Device, ...]:
    """A card that several backends offer once, by the first that can use it; those before that cannot stay."""
    taken: set[str] = set()
    kept = []
    for device in devices:
        if device.bus in taken:
            continue
        kept.append(device)
        if device.bus and not device.problem:
            taken.add(device.bus)
    return tuple(kept)


def shares_memory(device: Device) -> bool:
    """Whether a GPU's memory is the computer's."""
    return device.kind == "igpu" or _SOFTWARE_GPU in device.description.lower()
