"""The processor cores that this process may use: which hardware threads share one, which are fast, what time it gets.

Each system tells it in another way. The functions that read an answer take it as a folder, bytes or numbers, so that
every system's answers can be tried on any.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable, Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_FAST_SHARE = 0.75
"""Cores that reach this share of the fastest count as fast: boosted cores differ by a few percent, the small ones of
processors with two kinds reach half."""

_WINDOWS_CORES = 0  # winnt.h: RelationProcessorCore
WINDOWS_GROUP_SIZE = 64


@dataclass(frozen=True, slots=True)
class Core:
    """A physical core."""

    processors: frozenset[int]  # the system's numbers of its hardware threads
    speed: int = 1  # compared with the others of the same computer


@dataclass(frozen=True, slots=True)
class Processors:
    """What this process may compute on."""

    cores: tuple[Core, ...]
    quota: float | None = None  # how many processors' time a container may take; None: no limit

    @property
    def threads(self) -> int:
        """Hardware threads of all cores; at least 1."""
        return max(1, sum(len(core.processors) for core in self.cores))

    @property
    def fast_cores(self) -> tuple[Core, ...]:
        """Those of the fast kind; all where there is but one kind.

        A single fast core beside two slower kinds, as ARM's processors have it, takes the next kind with it: one thread
        does not use what the memory can deliver.
        """
        kinds: list[list[Core]] = []
        for core in sorted(self.cores, key=lambda core: core.speed, reverse=True):
            if not kinds or core.speed < _FAST_SHARE * kinds[-1][0].speed:
                kinds.append([])
            kinds[-1].append(core)
        return tuple(core for kind in kinds[: 2 if len(kinds) > 2 and len(kinds[0]) == 1 else 1] for core in kind)


def find_processors() -> Processors:
    """Those of this process on this computer; asked anew each time, since both may change.

    The environment variable HEARTH_SYSFS names a folder to be read as Linux's /sys.
    """
    usable = _usable_processors()
    cores: list[Core] = []
    quota = None
    with suppress(OSError, ValueError, AttributeError, struct.error):  # a system that tells nothing
        if sys.platform == "win32":
            cores = windows_cores(_ask_windows(), usable)
        elif sys.platform == "darwin":
            total = _sysctl("hw.physicalcpu")
            cores = macos_cores(total, _sysctl("hw.perflevel0.physicalcpu") or total)
        else:
            system = Path(os.environ.get("HEARTH_SYSFS", "/sys"))
            cores = linux_cores(system / "devices", usable)
            quota = linux_quota(system / "fs" / "cgroup", Path("/proc/self/cgroup").read_text("utf-8"))
    if not cores:
        physical = min(psutil.cpu_count(logical=False) or len(usable), len(usable))
        cores = [Core(frozenset({number})) for number in sorted(usable)[:physical]]
    return Processors(tuple(cores), quota)


def linux_cores(devices: Path, usable: Set[int]) -> list[Core]:
    """The cores with a usable hardware thread. `devices`: what lies at /sys/devices.

    Of Intel's the fast ones have counters of their own (cpu_core; the others: cpu_atom, cpu_lowpower); ARM's, and newer
    kernels, give a capacity. The highest frequency is no sign: AMD's compact cores have a lower one, but a way to the
    memory of their own, and writing without them would be slower.
    """
    fast = _listed(devices / "cpu_core" / "cpus")
    cores: dict[frozenset[int], Core] = {}
    for number in sorted(usable):
        folder = devices / "system" / "cpu" / f"cpu{number}"
        siblings = _listed(folder / "topology" / "thread_siblings_list") or frozenset({number})
        if fast:
            speed = 2 if number in fast else 1
        else:
            speed = int(_text(folder / "cpu_capacity") or 1)
        cores[siblings] = Core(siblings & usable, speed)
    return list(cores.values())


def linux_quota(groups: Path, membership: str) -> float | None:
    """How many processors' time the control groups of this process allow; None: as much as there is.

    `groups`: what lies at /sys/fs/cgroup; `membership`: /proc/self/cgroup. The limit of every group above counts too.
    """
    limits: list[float] = []
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            limits += _group_limits(groups, path, _new_limit)
        elif "cpu" in controllers.split(","):
            limits += _group_limits(groups / controllers, path, _old_limit)
    return min(limits, default=None)


def macos_cores(total: int, fast: int) -> list[Core]:
    """From the counts that sysctl gives: all physical cores, and those of the first performance level."""
    return [Core(frozenset({number}), 2 if number < fast else 1) for number in range(total)]


def windows_cores(answer: bytes, usable: Set[int]) -> list[Core]:
    """From the answer of GetLogicalProcessorInformationEx for cores (winnt.h: PROCESSOR_RELATIONSHIP).

    A higher efficiency class means more speed for more power. Processor 3 of group 1 has the number 64 + 3.
    """
    cores = []
    at = 0
    while at + 8 <= len(answer):
        kind, size = struct.unpack_from("<II", answer, at)
        if kind == _WINDOWS_CORES:
            efficiency_class, groups = answer[at + 9], struct.unpack_from("<H", answer, at + 30)[0]
            masks = [struct.unpack_from("<QH", answer, at + 32 + 16 * index) for index in range(groups)]
            numbers = frozenset(
                group * WINDOWS_GROUP_SIZE + bit
                for mask, group in masks
                for bit in range(WINDOWS_GROUP_SIZE)
                if mask >> bit & 1
            )
            if numbers & usable:
                cores.append(Core(numbers & usable, 2**efficiency_class))
        at += max(size, 8)
    return cores


def _usable_processors() -> frozenset[int]:
    """The system's numbers of those that this process is allowed to run on."""
    with suppress(AttributeError, OSError):  # not on every system
        return frozenset(psutil.Process().cpu_affinity())
    return frozenset(range(os.cpu_count() or 1))


def _group_limits(groups: Path, path: str, limit_of: Callable[[Path], float | None]) -> Iterator[float]:
    folder = groups / path.strip("/")
    while folder.is_relative_to(groups):
        limit = limit_of(folder)
        if limit is not None:
            yield limit
        folder = folder.parent


def _new_limit(folder: Path) -> float | None:
    """Of control groups version 2: microseconds, or "max", in a period."""
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _old_limit(folder: Path) -> float | None:
    """Of version 1: microseconds, or -1, in a period."""
    quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _listed(path: Path) -> frozenset[int]:
    """The numbers in a list like "0-3,8"; none where there is no such file."""
    numbers: set[int] = set()
    for part in _text(path).split(","):
        first, _, last = part.partition("-")
        if first:
            numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text("utf-8").strip()
    return ""


def _sysctl(name: str) -> int:
    """A number that macOS knows under this name; 0 if it does not."""
    value, size = ctypes.c_int32(0), ctypes.c_size_t(4)
    failed = ctypes.CDLL(None).sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0)
    return 0 if failed else value.value


def _ask_windows() -> bytes:
    ask = ctypes.CDLL("kernel32").GetLogicalProcessorInformationEx
    size = ctypes.c_uint32(0)
    ask(_WINDOWS_CORES, None, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    return buffer.raw[: size.value] if ask(_WINDOWS_CORES, buffer, ctypes.byref(size)) else b""
