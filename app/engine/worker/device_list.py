"""The devices that ggml sees, and those that it should see but does not: with the reason."""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import psutil

from app.core.events import Device
from app.core.gpu_choice import GPU_KINDS
from app.engine.worker.binding import ggml_function, has_small_attention
from app.engine.worker.nvidia_driver import nvidia_driver
from app.engine.worker.vulkan_drivers import VulkanDrivers

_KINDS = ("cpu", "gpu", "igpu", "accel")  # ggml-backend.h: enum ggml_backend_dev_type
# What Device.problem may be; the words for it are in app.services.explain_devices.
CRASHED = "crashed"  # it ended the engine before: see app.engine.attempts
DRIVER_MISSING = "driver_missing"
DRIVER_TOO_OLD = "driver_too_old"
NO_CARD = "no_card"  # the driver is there and finds none
NOT_ENOUGH_MEMORY = "not_enough_memory"
LIBRARY_MISSING = "library_missing"  # one that Hearth brings
NOT_STARTED = "not_started"

_BACKEND_NAMES = {"cuda": "CUDA", "hip": "ROCm", "metal": "Metal", "vulkan": "Vulkan", "rpc": "RPC"}
# What ggml's backends say when something is wrong with their driver or, beside a driver, with their card.
_START_ERROR = re.compile(
    r"failed to initialize (?P<backend>CUDA|ROCm): (?P<reason>.+)|(?P<vulkan>Vulkan \S+ required)"
)
_VULKAN_DRIVER = re.compile(r"ggml_vulkan: (?P<index>\d+) = .* \((?P<driver>[^()]*)\) \| uma")
_WORDS = {
    NO_CARD: r"no \S+-capable device",
    DRIVER_TOO_OLD: r"driver version is insufficient|Vulkan \S+ required|undefined symbol: (?-i:(cu|vk)[A-Z])",
    DRIVER_MISSING: r"lib(cuda|vulkan)\.so\S*: cannot open|(nvcuda|vulkan-1)\.dll|is a stub library",
    NOT_ENOUGH_MEMORY: r"out of memory|cannot allocate|failed to allocate",
    LIBRARY_MISSING: r"cannot open shared object|no such file|image not found|not loaded|could not find module"
    r"|undefined symbol|invalid ELF header|file too short|not a valid Win32",
}
_KINDS_OF_PROBLEMS = {kind: re.compile(words, re.IGNORECASE) for kind, words in _WORDS.items()}  # the first that fits
_MAX_START_LINES = 200


class StartReport:
    """What the backends said while they started: the only place where some tell their driver, or why there is none."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self.is_over = False
        self.vulkan_drivers: VulkanDrivers = {}

    def add(self, text: str) -> None:
        """A line of llama.cpp's log."""
        if not self.is_over and len(self._lines) < _MAX_START_LINES:
            self._lines.append(text.strip())

    def driver_of(self, device: Device) -> str:
        """The driver of a Vulkan device with its version, as far as they are known; empty for other devices."""
        found = (_VULKAN_DRIVER.search(line) for line in self._lines)
        logged = {f"Vulkan{match['index']}": match["driver"] for match in found if match}.get(device.name, "")
        for (name, driver), version in self.vulkan_drivers.items():
            if device.name.startswith("Vulkan") and name == device.description and logged in ("", driver):
                return f"{driver} {version}".strip()
        return logged

    def errors_beside(self, seen: Sequence[Device]) -> dict[str, str]:
        """Why a backend that is loaded found nothing to use, by the backend's key; `seen` are the devices of all."""
        errors = {}
        for line in self._lines:
            if match := _START_ERROR.search(line):
                key = {"CUDA": "cuda", "ROCm": "hip"}.get(match["backend"] or "", "vulkan")
                errors[key] = match["reason"] or match["vulkan"]
        # A backend that found something works, whatever it said of the rest.
        return {
            key: reason
            for key, reason in errors.items()
            if not any(device.name.startswith(_BACKEND_NAMES[key]) for device in seen)
        }


def list_devices(report: StartReport | None = None, crashed: Collection[str] = ()) -> tuple[Device, ...]:
    """Every device of every registered backend, in ggml's order. See `gpu_choice.without_twins`.

    `crashed` are the names of devices that are not to be used.
    """
    count = ggml_function("ggml_backend_dev_count", ctypes.c_size_t)()
    get = ggml_function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    devices = []
    for index in range(count):
        device = _device(get(index))
        driver = (report.driver_of(device) if report is not None else "") or _driver_version(device)
        problem = CRASHED if device.name in crashed else ""
        devices.append(replace(device, driver=driver, problem=problem))
    return tuple(devices)


def missing_devices(problems: Mapping[str, str]) -> tuple[Device, ...]:
    """An entry for each backend that does not work, with the reason; by the backend's key, "vulkan"."""
    found = []
    for backend, reason in problems.items():
        name = _BACKEND_NAMES.get(backend, backend)
        driver = nvidia_driver() if backend == "cuda" else ""
        found.append(Device(name, name, "gpu", 0, 0, driver=driver, problem=kind_of_problem(reason), detail=reason))
    return tuple(found)


def kind_of_problem(reason: str) -> str:
    """The kind of a reason in the system's words."""
    if reason == CRASHED:
        return CRASHED
    return next((kind for kind, words in _KINDS_OF_PROBLEMS.items() if words.search(reason)), NOT_STARTED)


class _Properties(ctypes.Structure):
    """ggml-backend.h: struct ggml_backend_dev_props, as far as the bus address; room for what newer ones add."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("more", ctypes.c_ubyte * 64),
    )


def _bus_id(handle: int) -> str:
    """Where a device sits on the bus; empty if unknown."""
    properties = _Properties()
    ggml_function("ggml_backend_dev_get_props", None, ctypes.c_void_p, ctypes.c_void_p)(
        handle, ctypes.byref(properties)
    )
    return (properties.device_id or b"").decode("utf-8", "replace")


def _device(handle: int) -> Device:
    name = ggml_function("ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)(handle)
    description = ggml_function("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)(handle)
    number = ggml_function("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)(handle)
    size = ctypes.POINTER(ctypes.c_size_t)
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    memory = ggml_function("ggml_backend_dev_memory", None, ctypes.c_void_p, size, size)
    memory(handle, ctypes.byref(free), ctypes.byref(total))
    if number == 0:  # ggml calls all of the computer's memory free
        free.value = psutil.virtual_memory().available
    return Device(
        name=name.decode("utf-8", "replace"),
        description=description.decode("utf-8", "replace").strip(),
        kind=_KINDS[number] if number < len(_KINDS) else "accel",
        free_bytes=free.value,
        total_bytes=total.value,
        flash_attention=number == 0 and has_small_attention(),
        bus=_bus_id(handle),
    )


def _driver_version(device: Device) -> str:
    """The version of a device's driver, where somebody tells; on a Mac it is the system's."""
    if device.name.startswith("CUDA"):
        return nvidia_driver()
    if sys.platform == "darwin" and device.kind in GPU_KINDS:
        return f"macOS {platform.mac_ver()[0]}"
    return ""
