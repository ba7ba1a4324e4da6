"""Devices: chosen by their speed or by the person, left alone after a crash. A real child plays made-up GPUs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.events import ModelInfo
from app.services import hardware
from app.services.profile import Profile
from tests.services.conftest import WAIT_MS, StartProfile

GPU = {"name": "Vulkan0", "description": "Shiny card"}
SLOW_GPU = {**GPU, "prompt_tokens_per_second": 20.0, "generation_tokens_per_second": 2.0}
DEADLY_LOAD = {"path": "big", "device": "Vulkan", "crash": {"exit_code": 3}}
BIG, BUILTIN = {"path": "big", "name": "Big"}, {"name": "Built in"}


def device_of(profile: Profile) -> str:
    info = profile.models.info
    assert info is not None
    return str(info.plan["devices"][0]["name"])


def problems_of(profile: Profile) -> dict[str, str]:
    return {device.name: device.problem for device in profile.hardware.choice.devices}


def load(qtbot: QtBot, profile: Profile, path: str) -> None:
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.models.load(path)


def test_a_graphics_card_is_used_by_itself(start_profile: StartProfile) -> None:
    assert device_of(start_profile(gpus=[GPU])) == "Vulkan0"


def test_a_card_that_ends_the_engine_is_not_tried_again(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    script: dict[str, Any] = {"gpus": [GPU], "loads": [DEADLY_LOAD, BIG, BUILTIN]}
    profile = start_profile(**script)
    qtbot.waitUntil(lambda: bool(profile.hardware.choice.devices), timeout=WAIT_MS)
    failures: list[UserError] = []
    profile.models.load_failed.connect(failures.append)
    load(qtbot, profile, "/big.gguf")
    (error,) = failures
    assert error.kind is ErrorKind.DEVICE_CRASHED
    assert (error.string("device"), error.string("path")) == ("Shiny card", "/big.gguf")
    assert profile.models.is_builtin
    assert device_of(profile) == "CPU"
    qtbot.waitUntil(lambda: problems_of(profile) == {"Vulkan0": "crashed", "CPU": ""}, timeout=WAIT_MS)
    load(qtbot, profile, "/big.gguf")  # Use the processor
    assert device_of(profile) == "CPU"
    end_profile(profile)
    again = start_profile(**script)
    assert (again.models.current_path, device_of(again)) == ("/big.gguf", "CPU")


def test_the_person_can_try_a_card_again(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(gpus=[GPU], loads=[DEADLY_LOAD, BUILTIN])
    with qtbot.waitSignals([profile.models.load_failed, profile.models.loaded], timeout=WAIT_MS):
        profile.models.load("/big.gguf")
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.models.retry_device()
    assert device_of(profile) == "Vulkan0"


def test_the_built_in_model_goes_on_without_the_card_that_it_ended_on(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    failures: list[UserError] = []
    profile = start_profile(gpus=[GPU], loads=[{**DEADLY_LOAD, "path": ""}, BUILTIN], wait=False)
    profile.models.load_failed.connect(failures.append)
    qtbot.waitUntil(lambda: profile.models.info is not None, timeout=WAIT_MS)
    assert [error.kind for error in failures] == [ErrorKind.DEVICE_CRASHED]
    assert device_of(profile) == "CPU"


def journal_of_a_dead_process(folder: Path, path: str) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    entry = {"kind": "device", "name": "Vulkan0", "path": path, "engine": "scripted", "pid": dead.pid}
    (folder / "cache").mkdir(parents=True)
    running = {"running": [{**entry, "process_started_at": 1.0}], "failed": []}
    (folder / "cache" / "attempts.json").write_text(json.dumps(running), "utf-8")


def test_an_attempt_that_took_the_computer_down_is_told_and_not_repeated(
    qtbot: QtBot, start_profile: StartProfile, tmp_path: Path
) -> None:
    journal_of_a_dead_process(tmp_path / "data", "/big.gguf")
    failures: list[UserError] = []
    profile = start_profile(gpus=[GPU], loads=[BIG, BUILTIN], wait=False)
    profile.models.load_failed.connect(failures.append)
    qtbot.waitUntil(lambda: bool(failures), timeout=WAIT_MS)
    assert failures[0].kind is ErrorKind.DEVICE_CRASHED
    assert failures[0].string("path") == "/big.gguf"
    assert (failures[0].string("device"), failures[0].string("name")) == ("", "Vulkan0")  # nobody knows it yet
    assert profile.models.is_builtin
    assert device_of(profile) == "CPU"


def test_closing_the_window_during_a_load_blames_no_card(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    script: dict[str, Any] = {"gpus": [GPU], "loads": [{"path": "big", "duration_ms": 60_000}, BUILTIN]}
    profile = start_profile(**script)
    with qtbot.waitSignal(profile.models.load_progressed, timeout=WAIT_MS):
        profile.models.load("/big.gguf")
    end_profile(profile)
    assert device_of(start_profile(**script)) == "Vulkan0"


def test_a_file_that_fails_on_the_processor_too_exonerates_the_card(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(gpus=[GPU], loads=[{"path": "big", "crash": {"exit_code": 3}}, BUILTIN])
    for _ in range(2):
        with qtbot.waitSignals([profile.models.load_failed, profile.models.loaded], timeout=WAIT_MS):
            profile.models.load("/big.gguf")
    assert device_of(profile) == "Vulkan0"


# -- the fastest


@pytest.fixture
def tests_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "SELF_TEST_DELAY_MS", 50)


@pytest.mark.usefixtures("tests_at_once")
def test_the_fastest_device_is_used_not_the_first(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    profile = start_profile(gpus=[SLOW_GPU])
    qtbot.waitUntil(lambda: profile.models.info is not None and device_of(profile) == "CPU", timeout=WAIT_MS)
    assert profile.hardware.choice.fastest == "CPU"
    end_profile(profile)
    loads: list[ModelInfo] = []
    again = start_profile(gpus=[SLOW_GPU], wait=False)
    again.models.loaded.connect(loads.append)
    qtbot.waitUntil(lambda: bool(again.hardware.choice.devices), timeout=WAIT_MS)
    qtbot.wait(1_200)  # longer than settings take to be applied
    assert [info.plan["devices"][0]["name"] for info in loads] == ["CPU"], "the result is kept"


@pytest.mark.usefixtures("tests_at_once")
def test_a_card_with_another_driver_is_measured_again(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    new_gpu = {**SLOW_GPU, "driver": "radv Mesa 25.3.0"}
    old_gpu = {**GPU, "driver": "radv Mesa 25.2.1"}
    for gpu, fastest in ((old_gpu, "Vulkan0"), (new_gpu, "CPU")):
        profile = start_profile(gpus=[gpu])
        choice = profile.hardware.choice
        qtbot.waitUntil(lambda: bool(choice.devices) and not choice.untested, timeout=WAIT_MS)  # noqa: B023 - used at once
        assert choice.fastest == fastest
        end_profile(profile)
    profile = start_profile(gpus=[{**old_gpu, "generation_tokens_per_second": 1.0}])
    qtbot.waitUntil(lambda: bool(profile.hardware.choice.devices), timeout=WAIT_MS)
    assert profile.hardware.choice.untested == (), "what was found with the old driver was kept"
    assert profile.hardware.choice.fastest == "Vulkan0"


@pytest.mark.usefixtures("tests_at_once")
def test_another_engine_measures_again(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    for version, gpu, fastest in (("1", SLOW_GPU, "CPU"), ("2", GPU, "Vulkan0")):
        profile = start_profile(gpus=[gpu], version=version)
        choice = profile.hardware.choice
        qtbot.waitUntil(lambda: bool(choice.devices) and not choice.untested, timeout=WAIT_MS)  # noqa: B023 - used at once
        assert choice.fastest == fastest
        end_profile(profile)


@pytest.mark.usefixtures("tests_at_once")
def test_a_fast_card_stays(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(gpus=[GPU])
    qtbot.waitUntil(lambda: set(profile.hardware.choice.speeds) == {"Vulkan0", "CPU"}, timeout=WAIT_MS)
    qtbot.wait(1_200)
    assert device_of(profile) == "Vulkan0"


@pytest.mark.usefixtures("tests_at_once")
def test_a_card_that_ends_the_engine_in_its_test_is_out(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(gpus=[{**GPU, "crash": {"exit_code": 3}}])
    notices: list[str] = []
    profile.hardware.noticed.connect(notices.append)
    qtbot.waitUntil(lambda: problems_of(profile).get("Vulkan0") == "crashed", timeout=WAIT_MS)
    assert device_of(profile) == "CPU"
    assert "Shiny card" in notices[0]
    assert len(notices) == 1


@pytest.mark.logs_warnings
@pytest.mark.usefixtures("tests_at_once")
def test_a_processor_that_ends_the_engine_in_its_test_is_not_tested_at_the_next_start(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    for expected in (["The processor stopped the engine in its self-test. Its speed is not known."], []):
        profile = start_profile(processor_crash={"exit_code": 3})
        notices: list[str] = []
        profile.hardware.noticed.connect(notices.append)
        choice = profile.hardware.choice
        qtbot.waitUntil(lambda: bool(choice.devices) and not choice.untested, timeout=WAIT_MS)  # noqa: B023 - used at once
        qtbot.waitUntil(lambda: profile.models.info is not None, timeout=WAIT_MS)  # noqa: B023 - used at once
        qtbot.wait(300)
        assert (notices, choice.speeds) == (expected, {})
        assert device_of(profile) == "CPU"
        end_profile(profile)


@pytest.mark.usefixtures("tests_at_once")
def test_a_device_with_a_problem_is_not_tested(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(gpus=[{**GPU, "problem": "driver_too_old"}])
    qtbot.waitUntil(lambda: set(profile.hardware.choice.speeds) == {"CPU"}, timeout=WAIT_MS)
    assert device_of(profile) == "CPU"


# -- the person's choice


def test_the_person_chooses_otherwise_and_per_model_too(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    profile = start_profile(gpus=[GPU], loads=[BIG, BUILTIN])
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.settings.set_value("model.device", "CPU")
    assert device_of(profile) == "CPU"
    load(qtbot, profile, "/big.gguf")
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.hardware.choice.choose_for("/big.gguf", "Vulkan0")
    assert device_of(profile) == "Vulkan0"
    end_profile(profile)
    again = start_profile(gpus=[GPU], loads=[BIG, BUILTIN])
    assert device_of(again) == "Vulkan0"
    load(qtbot, again, "/other.gguf")
    assert device_of(again) == "CPU"
    again.hardware.choice.choose_for("/big.gguf", "")
    assert again.hardware.choice.device_for("/big.gguf") == "CPU"
