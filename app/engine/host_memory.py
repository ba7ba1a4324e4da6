"""The computer's own memory as a program may use it: a container's limit counts like memory that is not there."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUP_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Main memory, in bytes."""

    free_bytes: int  # what programs can have without pushing others out
    total_bytes: int


def host_memory() -> HostMemory:
    """What there is now; takes well under a millisecond."""
    memory = psutil.virtual_memory()
    limits = _cgroup_limits() if sys.platform == "linux" else None
    if limits is None:
        return HostMemory(memory.available, memory.total)
    return HostMemory(min(memory.available, limits.free_bytes), min(memory.total, limits.total_bytes))


def private_bytes(pid: int) -> int | None:
    """Memory of a process that is no file's and comes back when it ends; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _cgroup_limits() -> HostMemory | None:
    """What the control group (a container, a session with a limit) leaves to this process; None: no limit."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        number, controllers, name = line.split(":", 2)
        if number == "0" and not controllers:
            return _tightest(_CGROUP_ROOT, name, "memory.max", "memory.current", "inactive_file")
        if "memory" in controllers.split(","):
            root = _CGROUP_ROOT / "memory"
            usage = "memory.usage_in_bytes"
            return _tightest(root, name, "memory.limit_in_bytes", usage, "total_inactive_file")
    return None


def _tightest(root: Path, name: str, limit_file: str, usage_file: str, cache_key: str) -> HostMemory | None:
    """The tightest limits of a group and its parents: as they are, and less what is used and cannot be dropped."""
    folder = root / name.lstrip("/")
    least: HostMemory | None = None
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
            least = (
                HostMemory(min(least.free_bytes, free), min(least.total_bytes, limit))
                if least
                else HostMemory(free, limit)
            )
        if group == root:
            break
    return least
