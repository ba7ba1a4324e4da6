"""Devices of the real engine: listed with what is wrong, measured, and left alone after a crash.

With the release engine of the cache and Mesa's lavapipe (Debian: mesa-vulkan-drivers) a GPU is really tried.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.events import Device, DeviceTested, Event, Failed, LoadCancelled, Loaded
from app.engine.attempts import AttemptJournal, AttemptKind
from app.engine.protocol import Devices, Load
from app.engine.protocol import TestDevice as DeviceTest
from app.engine.worker import self_test
from app.engine.worker.backend import RequestControl
from app.engine.worker.llama_backend import LlamaBackend
from tests.engine.engine_child import EngineChild, user
from tests.engine.release_engine import release_libraries

pytestmark = pytest.mark.engine

STUB_LIBRARY = "libggml-vulkan.so"


def devices_of(child: EngineChild) -> dict[str, Device]:
    return {device.name: device for device in child.ask(Devices(0)).last.devices}


def test_the_processor_is_measured_with_a_file_and_without_one(child: EngineChild, models: Path) -> None:
    for path in ("", str(models / "qwen2.gguf")):
        tested = child.ask(DeviceTest(0, "CPU", path)).last
        assert isinstance(tested, DeviceTested)
        assert tested.prompt_tokens_per_second > 0
        assert tested.generation_tokens_per_second > 0


def test_a_self_test_leaves_the_loaded_model_alone(child: EngineChild, models: Path) -> None:
    assert isinstance(child.ask(Load(0, str(models / "qwen2.gguf"), threads=1)).last, Loaded)
    before = child.generate([user("hello world", "u1")], sampling={"temperature": 0}, max_tokens=12).text
    child.ask(DeviceTest(0, "CPU", ""))
    assert child.generate([user("hello world", "u1")], sampling={"temperature": 0}, max_tokens=12).text == before


def test_what_is_no_device_or_no_model_fails_with_words(child: EngineChild, models: Path) -> None:
    unknown = child.ask(DeviceTest(0, "Quantum7", "")).last
    assert isinstance(unknown, Failed)
    assert unknown.error.kind is ErrorKind.BAD_REQUEST
    missing = child.ask(DeviceTest(0, "CPU", str(models / "none.gguf"))).last
    assert isinstance(missing, Failed)


def test_a_self_test_can_be_stopped(child: EngineChild) -> None:
    request_id = child.send(DeviceTest(0, "CPU", ""))
    time.sleep(0.3)
    child.stop(request_id)
    assert isinstance(child.collect(request_id).last, LoadCancelled | DeviceTested)


@pytest.mark.logs_warnings  # llama.cpp's, about the sample's vocabulary
@pytest.mark.skipif(sys.platform == "win32", reason="a file that is mapped stays")
def test_a_self_test_that_ends_the_process_leaves_no_file(
    backend: LlamaBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it computes, it computes when the sample has gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[list[Path]] = []
    monkeypatch.setattr(self_test, "warm_up", lambda model: seen.append(list(tmp_path.iterdir())))
    events: list[Event] = []
    backend.test_device(DeviceTest(1, "CPU", ""), events.append, RequestControl())
    assert isinstance(events[-1], DeviceTested)
    assert seen == [[]]


def test_a_disk_without_room_for_the_sample_is_told(
    backend: LlamaBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(UserError) as caught:
        backend.test_device(DeviceTest(1, "CPU", ""), lambda event: None, RequestControl())
    assert caught.value.kind is ErrorKind.LOAD_FAILED
    assert caught.value.string("reason") == os.strerror(errno.ENOENT)


def test_no_journal_is_written_for_the_processor(tmp_path: Path, models: Path) -> None:
    journal = tmp_path / "attempts.json"
    child = EngineChild("--attempts", str(journal))
    try:
        child.ask(Load(0, str(models / "qwen2.gguf"), threads=1, device="CPU"))
        child.ask(DeviceTest(0, "CPU", str(models / "qwen2.gguf")))
    finally:
        child.close()
    assert not journal.exists()


# -- backends as libraries of their own


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The libraries of a release engine, which children use."""
    folder = release_libraries(tmp_path)
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(folder))
    monkeypatch.setenv("GGML_VK_VISIBLE_DEVICES", os.environ.get("GGML_VK_VISIBLE_DEVICES", "0"))
    return folder


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    children: list[EngineChild] = []

    def begin() -> EngineChild:
        child = EngineChild("--attempts", str(tmp_path / "attempts.json"), log_path=tmp_path / "engine.log")
        children.append(child)
        return child

    yield begin
    for child in children:
        child.close()


def test_a_backend_whose_library_is_no_library_is_listed(libraries: Path, start: Any) -> None:
    (libraries / STUB_LIBRARY).write_bytes(b"not a library")
    vulkan = devices_of(start())["Vulkan"]
    assert (vulkan.kind, vulkan.problem) == ("gpu", "library_missing")
    assert vulkan.detail


def test_a_backend_that_lacks_a_library_says_which(libraries: Path, start: Any) -> None:
    _rename_needed_library(libraries / STUB_LIBRARY, b"libvulkan.so.1", b"libnovulk.so.1")
    vulkan = devices_of(start())["Vulkan"]
    assert vulkan.problem == "library_missing"
    assert "libnovulk.so.1" in vulkan.detail


def test_a_backend_that_ended_an_engine_is_not_loaded(libraries: Path, start: Any, tmp_path: Path) -> None:
    _leave_behind(tmp_path / "attempts.json", AttemptKind.BACKEND, "vulkan")
    devices = devices_of(start())
    assert devices["Vulkan"].problem == "crashed"
    assert not any(name.startswith("Vulkan") and name != "Vulkan" for name in devices)
    AttemptJournal(tmp_path / "attempts.json").forget()
    assert "Vulkan" not in devices_of(start())


def test_a_gpus_driver_is_listed_with_its_version(libraries: Path, start: Any) -> None:
    gpus = [device for device in devices_of(start()).values() if device.name.startswith("Vulkan")]
    if not gpus:
        pytest.skip("the engine sees no GPU, not even one in software (Debian: mesa-vulkan-drivers)")
    for gpu in gpus:
        assert re.search(r"\d+\.\d+", gpu.driver), gpu.driver


def test_a_gpu_that_ended_an_engine_is_left_out_of_a_load(
    libraries: Path, start: Any, tmp_path: Path, models: Path
) -> None:
    child = start()
    gpu = next((device for device in devices_of(child).values() if device.kind in ("gpu", "igpu")), None)
    if gpu is None or gpu.problem:
        pytest.skip("the engine sees no GPU, not even one in software (Debian: mesa-vulkan-drivers)")
    journal = tmp_path / "attempts.json"
    path = str(models / "qwen2.gguf")
    loaded = child.ask(Load(0, path, threads=1)).last
    assert {share["name"] for share in loaded.model.plan["devices"] if share["layers"]} == {gpu.name}
    assert not devices_of(child)[gpu.name].problem
    assert not AttemptJournal(journal).is_open, "it worked"

    request_id = child.send(Load(0, path, threads=1))
    while not AttemptJournal(journal).is_open:
        assert child.process.poll() is None
        time.sleep(0.001)
    child.process.kill()
    child.process.wait()
    del request_id
    again = start()
    assert devices_of(again)[gpu.name].problem == "crashed"
    for wanted in ("", gpu.name):
        loaded = again.ask(Load(0, path, threads=1, device=wanted)).last
        assert {share["name"] for share in loaded.model.plan["devices"]} == {"CPU"}


def _rename_needed_library(library: Path, name: bytes, other: bytes) -> None:
    """Have a library need another one, of a name as long."""
    data = library.read_bytes()
    if name not in data:
        pytest.skip(f"{library.name} does not need {name.decode()}")
    changed = library.with_suffix(".changed")
    changed.write_bytes(data.replace(name, other))
    shutil.move(changed, library)


def _leave_behind(journal: Path, kind: AttemptKind, name: str) -> None:
    """An attempt of a process that is no more."""
    entry = {"kind": kind.value, "name": name, "path": "", "engine": "", "pid": 2**22 + 1, "process_started_at": 1.0}
    journal.write_text(json.dumps({"running": [entry], "failed": []}), "utf-8")
