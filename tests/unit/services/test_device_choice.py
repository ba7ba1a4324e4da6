"""What a model runs on where other computers are among the devices."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.core.events import Device, DevicesListed, DeviceTested
from app.core.remote import REMOTE_KIND, remote_device
from app.services.device_choice import AUTOMATIC, DeviceChoice
from app.services.settings import SettingsService

SERVER = "tower:50052"
REMOTE = Device(remote_device(SERVER, 0), SERVER, REMOTE_KIND, 8, 8)
AWAY = Device(REMOTE.name, SERVER, REMOTE_KIND, 0, 0, problem="unreachable")
CPU = Device("CPU", "Some processor", "cpu", 4, 4)
FILE = "/models/a.gguf"


@pytest.fixture
def settings(qtbot: QtBot, tmp_path: Path) -> Iterator[SettingsService]:
    owner = QObject()
    settings = SettingsService(tmp_path / "settings.json", owner)
    settings.set_value("engine.rpc_servers", SERVER)
    yield settings
    settings.close()
    shiboken6.delete(owner)


@pytest.fixture
def choice(settings: SettingsService, tmp_path: Path) -> DeviceChoice:
    choice = DeviceChoice(settings, tmp_path / "speeds.json", settings)
    choice.take(listed(CPU, REMOTE))
    return choice


def listed(*devices: Device) -> DevicesListed:
    return DevicesListed(1, devices, "", {"ggml": "1"})


def test_it_is_not_used_before_it_was_measured(choice: DeviceChoice) -> None:
    assert choice.untested == ("CPU", REMOTE.name)
    choice.record(DeviceTested(1, "CPU", 100.0, 10.0))
    assert choice.device_for(FILE) == AUTOMATIC
    choice.record(DeviceTested(2, REMOTE.name, 90.0, 9.0))
    assert choice.device_for(FILE) == "CPU"


def test_it_is_used_where_it_is_faster_and_there(choice: DeviceChoice) -> None:
    choice.record(DeviceTested(1, "CPU", 100.0, 10.0))
    choice.record(DeviceTested(2, REMOTE.name, 1000.0, 100.0))
    assert choice.device_for(FILE) == REMOTE.name
    choice.take(listed(CPU, AWAY))
    assert choice.device_for(FILE) == "CPU"
    assert not choice.untested  # what this computer can do was not forgotten
    choice.take(listed(CPU, REMOTE))
    assert choice.device_for(FILE) == REMOTE.name


def test_nothing_goes_to_a_computer_that_is_not_named_any_more(choice: DeviceChoice, settings: SettingsService) -> None:
    choice.record(DeviceTested(1, "CPU", 100.0, 10.0))
    choice.record(DeviceTested(2, REMOTE.name, 1000.0, 100.0))
    choice.choose_for(FILE, REMOTE.name)
    settings.set_value("model.device", REMOTE.name)
    assert choice.device_for(FILE) == REMOTE.name
    settings.set_value("engine.rpc_servers", "laptop:50052")
    assert choice.device_for(FILE) == "CPU"
    settings.set_value("engine.rpc_servers", SERVER)
    assert choice.device_for(FILE) == REMOTE.name


def test_offline_nobody_is_asked_and_each_is_listed(
    choice: DeviceChoice, settings: SettingsService, qtbot: QtBot
) -> None:
    settings.set_value("model.device", REMOTE.name)
    with qtbot.waitSignal(choice.servers_changed):
        settings.set_value("hub.offline", True)
    assert choice.rpc_servers == ()
    assert choice.device_for(FILE) == AUTOMATIC
    choice.take(listed(CPU))
    assert [(device.name, device.problem) for device in choice.devices] == [("CPU", ""), (REMOTE.name, "offline")]


def test_what_answers_have_shown_to_be_faster_is_measured_again_once_a_day_and_the_best_counts(
    choice: DeviceChoice, settings: SettingsService, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now_s)
    choice.doubt("CPU")
    assert choice.due == ("CPU", REMOTE.name), "neither was measured at all"
    choice.record(DeviceTested(1, REMOTE.name, 90.0, 9.0))
    choice.record(DeviceTested(2, "CPU", 100.0, 10.0))
    assert choice.due == ()
    with qtbot.waitSignal(choice.doubted):
        choice.doubt("CPU")
    assert (choice.due, choice.untested, choice.device_for(FILE)) == (("CPU",), (), "CPU")
    choice.record(DeviceTested(3, "CPU", 80.0, 15.0))
    assert (choice.speeds["CPU"].prompt, choice.speeds["CPU"].generation) == (100.0, 15.0)
    for known in (choice, DeviceChoice(settings, tmp_path / "speeds.json", settings)):
        known.take(listed(CPU, REMOTE))
        known.doubt("CPU")
        assert known.due == ()
    now_s += 25 * 3600
    choice.doubt("CPU")
    assert choice.due == ("CPU",)
    choice.give_up("CPU")
    assert choice.due == ()
    assert choice.speeds["CPU"].generation == 15.0


def test_another_server_has_to_be_measured_itself(choice: DeviceChoice, settings: SettingsService) -> None:
    choice.record(DeviceTested(1, "CPU", 100.0, 10.0))
    choice.record(DeviceTested(2, REMOTE.name, 1000.0, 100.0))
    settings.set_value("engine.rpc_servers", "laptop:50052")
    other = Device(remote_device("laptop:50052", 0), "laptop:50052", REMOTE_KIND, 8, 8)
    choice.take(listed(CPU, other))
    assert choice.untested == (other.name,)
    assert choice.fastest == "CPU"
