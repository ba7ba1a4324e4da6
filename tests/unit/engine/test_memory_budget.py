import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from app.core.events import Device
from app.core.gpu_choice import chosen_gpus, without_twins
from app.engine import host_memory as engine_memory
from app.engine.host_memory import HostMemory, host_memory
from app.engine.worker import memory_budget
from app.engine.worker.memory_budget import has_room_to_spare, survey, usable_bytes

GIB = 1 << 30
CPU = Device("CPU", "some processor", "cpu", 16 * GIB, 32 * GIB)
CARD = Device("Vulkan0", "some card", "gpu", 6 * GIB, 8 * GIB)
SECOND_CARD = Device("Vulkan1", "another card", "gpu", 12 * GIB, 12 * GIB)
INTEGRATED = Device("Vulkan2", "inside the processor", "igpu", 16 * GIB, 16 * GIB)
BROKEN = Device("CUDA0", "some card", "gpu", 0, 8 * GIB, problem="driver_too_old")


def test_all_cards_with_memory_of_their_own_take_part_unless_one_is_wanted() -> None:
    devices = (CPU, INTEGRATED, CARD, SECOND_CARD, BROKEN)
    assert chosen_gpus(devices, "") == (CARD, SECOND_CARD)
    assert chosen_gpus(devices, "Vulkan1") == (SECOND_CARD,)
    assert chosen_gpus(devices, "CPU") == ()
    assert chosen_gpus(devices, "gone since then") == (CARD, SECOND_CARD)
    assert chosen_gpus((CPU, INTEGRATED), "") == (INTEGRATED,)
    assert chosen_gpus((CPU,), "") == ()


def test_a_card_that_two_backends_offer_takes_part_once_by_the_first_that_can_use_it() -> None:
    by_cuda = Device("CUDA0", "one card", "gpu", 6 * GIB, 8 * GIB, bus="0000:01:00.0")
    by_vulkan = Device("Vulkan0", "one card", "gpu", 6 * GIB, 8 * GIB, bus="0000:01:00.0")
    other = Device("Vulkan1", "another card", "gpu", 6 * GIB, 8 * GIB, bus="0000:02:00.0")
    devices = (by_cuda, by_vulkan, other, CPU)
    assert without_twins(devices) == (by_cuda, other, CPU)
    assert chosen_gpus(devices, "") == (by_cuda, other)
    assert chosen_gpus(devices, "Vulkan0") == (by_vulkan,), "who wants that gets it"
    crashed = replace(by_cuda, problem="crashed")
    assert without_twins((crashed, by_vulkan, CPU)) == (crashed, by_vulkan, CPU)
    assert chosen_gpus((crashed, by_vulkan, CPU), "") == (by_vulkan,)


def test_memory_that_is_the_computers_own_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_budget, "usable_bytes", lambda: 8 * GIB)
    software = Device("Vulkan0", "llvmpipe (LLVM 15.0.6, 256 bits)", "gpu", 20 * GIB, 20 * GIB)
    for device in (software, INTEGRATED):
        (gpu,) = survey((CPU, device), "", 2, {}).gpus
        assert gpu.is_shared
        assert gpu.free_bytes == 8 * GIB
    machine = survey((CPU, CARD), "", 2, {("CPU", False): 1.1})
    assert (machine.free_bytes, machine.threads) == (8 * GIB, 2)
    assert machine.gpus[0].free_bytes == 6 * GIB - GIB // 2
    assert not machine.gpus[0].is_shared
    assert machine.compute_factors == {("CPU", False): 1.1}


def test_a_reserve_is_kept_but_a_full_computer_still_runs_the_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    for available, usable in ((16 * GIB, 16 * GIB - GIB // 2), (GIB // 2, GIB // 2 - GIB // 16)):
        found = HostMemory(available, 32 * GIB)
        monkeypatch.setattr(memory_budget, "host_memory", lambda found=found: found)
        assert usable_bytes() == usable


@pytest.mark.skipif(sys.platform != "linux", reason="control groups")
def test_a_containers_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(available=16 * GIB, total=32 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(engine_memory, "_cgroup_limits", lambda: HostMemory(2 * GIB, 4 * GIB))
    assert host_memory() == HostMemory(2 * GIB, 4 * GIB)
    monkeypatch.setattr(engine_memory, "_cgroup_limits", lambda: None)
    assert host_memory() == HostMemory(16 * GIB, 32 * GIB)


@pytest.mark.skipif(sys.platform != "linux", reason="control groups")
def test_what_may_stay_of_a_container_is_a_share_of_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=200 * GIB, total=256 * GIB))
    for limits, is_enough in ((None, True), (HostMemory(3 * GIB, 4 * GIB), True), (HostMemory(GIB, 4 * GIB), False)):
        monkeypatch.setattr(engine_memory, "_cgroup_limits", lambda limits=limits: limits)
        assert has_room_to_spare() is is_enough


def test_the_tightest_group_decides(tmp_path: Path) -> None:
    inner = tmp_path / "user.slice" / "session.scope"
    inner.mkdir(parents=True)
    for folder, limit, used, cached in ((tmp_path / "user.slice", 8 * GIB, 6 * GIB, GIB), (inner, "max", GIB, 0)):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\nactive_file 7\n")
    names = ("memory.max", "memory.current", "inactive_file")
    limits = engine_memory._tightest(tmp_path, "/user.slice/session.scope", *names)
    assert limits == HostMemory(3 * GIB, 8 * GIB)
    assert engine_memory._tightest(tmp_path, "/elsewhere", *names) is None


def test_this_computer_has_some_memory() -> None:
    assert 0 < usable_bytes() < psutil.virtual_memory().total
