"""What this computer has for a model, now: free memory of each device, threads, and what earlier plans taught."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from app.core.events import Device
from app.core.plan import Budget, Machine

_RESERVE_BYTES = 512 * 1024 * 1024  # for the window and everything else the person does
_CGROUP_ROOT = Path("/sys/fs/cgroup")
_SOFTWARE_GPU = "llvmpipe"  # Mesa's processor that plays a GPU


def survey(
    devices: Sequence[Device], wanted_device: str, threads: int, compute_factors: Mapping[tuple[str, bool], float]
) -> Machine:
    """What there is to plan with; `wanted_device` as in Load: empty for the best there is."""
    free_bytes = usable_bytes()
    gpus = tuple(_budget(device, free_bytes) for device in chosen_gpus(devices, wanted_device))
    return Machine(free_bytes, threads, gpus, compute_factors=compute_factors)


def chosen_gpus(devices: Sequence[Device], wanted: str) -> tuple[Device, ...]:
    """The GPUs that take part: the wanted one; without a wish all that have memory of their own, else the others."""
    named = [device for device in devices if device.name == wanted]
    if named:
        return tuple(device for device in named if device.kind in ("gpu", "igpu"))
    working = [device for device in devices if not device.problem]
    own_memory = tuple(device for device in working if device.kind == "gpu" and device.total_bytes > 0)
    return own_memory or tuple(device for device in working if device.kind == "igpu")[:1]


def usable_bytes() -> int:
    """Memory that a model may take without pushing out the rest: what is available, less a reserve."""
    available = psutil.virtual_memory().available
    limited = _cgroup_free_bytes() if sys.platform == "linux" else None
    if limited is not None:
        available = min(available, limited)
    return _less_reserve(available)


def _less_reserve(free_bytes: int) -> int:
    """A device that is nearly full must still run the smallest model."""
    return int(free_bytes - min(_RESERVE_BYTES, free_bytes // 8))


def _budget(device: Device, host_free_bytes: int) -> Budget:
    """What a model may take of a GPU; one that tells nothing has the computer's memory."""
    is_shared = device.kind == "igpu" or _SOFTWARE_GPU in device.description.lower()
    free_bytes = _less_reserve(device.free_bytes) if device.total_bytes else host_free_bytes
    return Budget(device.name, min(free_bytes, host_free_bytes) if is_shared else free_bytes, is_shared)


def _cgroup_free_bytes() -> int | None:
    """What the control group (a container, a session with a limit) leaves to this process; None: no limit."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        number, controllers, name = line.split(":", 2)
        if number == "0" and not controllers:
            return _least_free(_CGROUP_ROOT, name, "memory.max", "memory.current", "inactive_file")
        if "memory" in controllers.split(","):
            root = _CGROUP_ROOT / "memory"
            usage = "memory.usage_in_bytes"
            return _least_free(root, name, "memory.limit_in_bytes", usage, "total_inactive_file")
    return None


def _least_free(root: Path, name: str, limit_file: str, usage_file: str, cache_key: str) -> int | None:
    """The tightest of the limits of a group and its parents, less what is used and cannot be dropped."""
    folder = root / name.lstrip("/")
    least: int | None = None
    for group in (folder, *folder.parents):
        try:
            limit = int((group / limit_file).read_text())  # "max" where there is none
            used = int((group / usage_file).read_text())
            statistics = (group / "memory.stat").read_text().split()
            cached = int(statistics[statistics.index(cache_key) + 1])
        except (OSError, ValueError, IndexError):
            pass
        else:
            free = max(0, limit - max(0, used - cached))
            least = free if least is None else min(least, free)
        if group == root:
            break
    return least
