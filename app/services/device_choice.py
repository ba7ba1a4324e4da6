"""Which device a model runs on: the person's choice, or the one that was fastest in the self-test."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.core.events import HOST, Device, DevicesListed, DeviceTested
from app.core.remote import REMOTE_KIND, read_servers, remote_device, server_of
from app.services.file_choices import FileChoices
from app.services.settings import SettingsService

log = logging.getLogger(__name__)

AUTOMATIC = ""  # Load.device and the setting model.device: chosen by Hearth
_TURN_PROMPT_TOKENS, _TURN_ANSWER_TOKENS = 300, 200  # of a usual question and its answer
_KEPT_SETUPS = 8
_DOUBT_PAUSE_S = 24 * 3600  # between two tests of a device that answers have called for


@dataclass(frozen=True, slots=True)
class DeviceSpeed:
    """What a self-test found: tokens per second."""

    prompt: float
    generation: float
    retested_s: float = 0.0  # when answers had called for another test, in seconds since 1970; 0: never

    @property
    def turn_s(self) -> float:
        """How long a usual question with its answer takes, in seconds."""
        return _TURN_PROMPT_TOKENS / max(self.prompt, 1e-6) + _TURN_ANSWER_TOKENS / max(self.generation, 1e-6)

    def best_of(self, earlier: DeviceSpeed) -> DeviceSpeed:
        """This with what an earlier test found to be faster: other programs only ever make it slower."""
        return DeviceSpeed(max(self.prompt, earlier.prompt), max(self.generation, earlier.generation), self.retested_s)


_NO_SPEED = DeviceSpeed(0.0, 0.0)  # the self-test ended the engine
_Speeds = dict[str, DeviceSpeed]


class DeviceChoice(QObject):
    """Knows devices, their speeds and what the person wants. Main thread only.

    Speeds belong to a set-up: the engine's version, the devices and their drivers. They are kept in a small file, so
    that a driver or an engine that changes is measured again and one that comes back is not. Losing the file costs some
    seconds.
    """

    changed = Signal()  # what a model should run on, or what is known of it
    servers_changed = Signal()  # which other computers may be used
    doubted = Signal()  # something is to be tested again

    def __init__(self, settings: SettingsService, speeds: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._files = FileChoices(settings, "model.file_devices")
        self._file = speeds
        self._setups = _read(speeds)
        self._setup = next(reversed(self._setups), "")  # until devices are listed: that of the last time
        self._doubted: set[str] = set()
        self.devices: tuple[Device, ...] = ()
        settings.changed.connect(self._on_setting_changed)

    @property
    def rpc_servers(self) -> tuple[str, ...]:
        """The other computers that may be used: those that the person named, unless Hearth is to stay offline."""
        return () if self._is_offline else self._named_servers

    @property
    def working(self) -> tuple[Device, ...]:
        """The devices that can be used."""
        return tuple(device for device in self.devices if not device.problem)

    @property
    def total_bytes(self) -> int:
        """The memory of all of them together, as far as they tell; 0 before they are listed."""
        return sum(device.total_bytes for device in self.working)

    @property
    def speeds(self) -> dict[str, DeviceSpeed]:
        """What is known of this set-up, by the name of the device."""
        return {name: speed for name, speed in self._tested.items() if speed != _NO_SPEED}

    @property
    def untested(self) -> tuple[str, ...]:
        """Working devices that no self-test was made of."""
        return tuple(device.name for device in self.working if device.name not in self._tested)

    @property
    def due(self) -> tuple[str, ...]:
        """Working devices to test: untested ones, and those that were busy when they were, as answers have shown."""
        again = (device.name for device in self.working if device.name in self._doubted)
        return (*self.untested, *again)

    @property
    def fastest(self) -> str:
        """The device that the self-test found fastest of those that can be used, empty before it."""
        usable = {device.name for device in self.working} if self.devices else self.speeds
        names = [name for name in self.speeds if name in usable and self._may_use(name)]
        return min(names, key=lambda name: self.speeds[name].turn_s, default="")

    def device_for(self, path: str) -> str:
        """What Load.device is to be for a model file."""
        wanted = self.choice_for(path) or self._settings.string("model.device")
        return wanted if wanted and self._may_use(wanted) else self._recommended()

    def choice_for(self, path: str) -> str:
        """What the person chose for this model file alone; empty: nothing."""
        return self._files.of(path)

    def choose_for(self, path: str, device: str) -> None:
        """Have a model file run on a device, whatever holds for others; empty: as others do."""
        self._files.choose(path, device)

    def follow(self, path: str, moved: str) -> None:
        """A model file lies elsewhere now."""
        self._files.follow(path, moved)

    def take(self, listed: DevicesListed) -> None:
        """The devices that there are now."""
        unasked = self._named_servers if self._is_offline else ()
        self.devices = (*listed.devices, *map(_offline_device, unasked))
        setup = _setup_of(listed)
        if setup != self._setup:
            self._setup = setup
            self._doubted.clear()
            self._setups[setup] = self._setups.pop(setup, {})  # the newest is the last
        self.changed.emit()

    def record(self, tested: DeviceTested) -> None:
        """Keep what a self-test found."""
        speeds = self._setups.setdefault(self._setup, {})
        found = DeviceSpeed(tested.prompt_tokens_per_second, tested.generation_tokens_per_second)
        if tested.device in self._doubted:
            self._doubted.remove(tested.device)
            found = replace(found, retested_s=time.time()).best_of(speeds[tested.device])
        speeds[tested.device] = found
        _write(self._file, dict(list(self._setups.items())[-_KEPT_SETUPS:]))
        self.changed.emit()

    def doubt(self, device: str) -> None:
        """An answer was faster than the self-test allows: test it again, once a day at most."""
        speed = self.speeds.get(device)
        if speed is not None and device not in self._doubted and time.time() - speed.retested_s > _DOUBT_PAUSE_S:
            self._doubted.add(device)
            self.doubted.emit()

    @property
    def _is_offline(self) -> bool:
        return self._settings.value("hub.offline") is True

    @property
    def _named_servers(self) -> tuple[str, ...]:
        return read_servers(self._settings.string("engine.rpc_servers"))

    def _may_use(self, device: str) -> bool:
        """Whether it is this computer's, or one of those that may be used: a chat must not go to any other."""
        server = server_of(device)
        return not server or server in self.rpc_servers

    def _on_setting_changed(self, key: str) -> None:
        if key in ("engine.rpc_servers", "hub.offline"):
            self.servers_changed.emit()

    def give_up(self, device: str) -> None:
        """Its self-test ended the engine: it is not tested again before something of the set-up is another.

        What an earlier test found stays.
        """
        self.record(DeviceTested(0, device, _NO_SPEED.prompt, _NO_SPEED.generation))

    @property
    def _tested(self) -> _Speeds:
        return self._setups.get(self._setup, {})

    def _recommended(self) -> str:
        """The fastest device; none by name while the engine's own choice, all graphics cards together, is right."""
        speeds, fastest = self.speeds, self.fastest
        if not fastest or self.untested:
            return AUTOMATIC
        if fastest == HOST or not self.devices:
            return fastest
        cards = [device.name for device in self.working if device.kind == "gpu"]
        are_all_faster = all(speeds[card].turn_s <= speeds[HOST].turn_s for card in cards if HOST in speeds)
        return AUTOMATIC if fastest in cards and are_all_faster else fastest


def _offline_device(server: str) -> Device:
    return Device(remote_device(server, 0), server, REMOTE_KIND, 0, 0, problem="offline")


def _setup_of(listed: DevicesListed) -> str:
    """A name for an engine with these devices and drivers. Other computers come and go: their devices' names tell."""
    here = [device for device in listed.devices if device.kind != REMOTE_KIND]
    parts = [sorted(listed.versions.items()), [(d.name, d.description, d.driver) for d in here]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, _Speeds]:
    """Set-ups with their speeds, the last used one last; a file that makes no sense is as good as none."""
    try:
        data: Any = json.loads(path.read_text("utf-8"))
        return {
            str(setup): {str(name): DeviceSpeed(*map(float, values)) for name, values in speeds.items()}
            for setup, speeds in data.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.info("the speeds of devices cannot be read: %s", error)
        return {}


def _write(path: Path, setups: dict[str, _Speeds]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        values = {setup: {name: astuple(speed) for name, speed in speeds.items()} for setup, speeds in setups.items()}
        new.write_text(json.dumps(values), "utf-8")
        new.replace(path)
    except OSError as error:
        log.info("the speeds of devices cannot be kept: %s", error)
