"""The drivers behind Vulkan's devices with their versions, which ggml does not tell.

Asked of the Vulkan library that ggml has loaded into this process already: nothing is loaded for the question, but the
drivers run. Ask where a crash is noted (`app.engine.attempts`).
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from typing import Any

_MAX_DEVICES = 64
_VERSION_1_1 = 1 << 22 | 1 << 12  # VK_MAKE_VERSION: the first with vkGetPhysicalDeviceProperties2
_SUCCESS, _INCOMPLETE = 0, 5  # VkResult

# vulkan_core.h: VkStructureType
_APPLICATION_INFO, _INSTANCE_CREATE_INFO = 0, 1
_DEVICE_PROPERTIES_2, _DRIVER_PROPERTIES = 1000059001, 1000196000


class _ApplicationInfo(ctypes.Structure):
    """VkApplicationInfo."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("application_name", ctypes.c_char_p),
        ("application_version", ctypes.c_uint32),
        ("engine_name", ctypes.c_char_p),
        ("engine_version", ctypes.c_uint32),
        ("api_version", ctypes.c_uint32),
    )


class _InstanceCreateInfo(ctypes.Structure):
    """VkInstanceCreateInfo."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application_info", ctypes.c_void_p),
        ("layer_count", ctypes.c_uint32),
        ("layer_names", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extension_names", ctypes.c_void_p),
    )


class _DriverProperties(ctypes.Structure):
    """VkPhysicalDeviceDriverProperties."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("driver_id", ctypes.c_uint32),
        ("driver_name", ctypes.c_char * 256),
        ("driver_info", ctypes.c_char * 256),
        ("conformance_version", ctypes.c_uint8 * 4),
    )


class _DeviceProperties(ctypes.Structure):
    """VkPhysicalDeviceProperties2, as far as it is read; room for its limits and what newer ones add."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("api_version", ctypes.c_uint32),
        ("driver_version", ctypes.c_uint32),
        ("vendor_id", ctypes.c_uint32),
        ("device_id", ctypes.c_uint32),
        ("device_type", ctypes.c_uint32),
        ("device_name", ctypes.c_char * 256),
        ("more", ctypes.c_uint64 * 256),
    )


VulkanDrivers = dict[tuple[str, str], str]
"""By name of the device and name of the driver ("radv"): what the driver says of its version ("Mesa 22.3.6")."""


def vulkan_drivers() -> VulkanDrivers:
    """Those of all devices; none where ggml has not loaded Vulkan or Vulkan does not start."""
    library = _loaded_library()
    if library is None:
        return {}
    application = _ApplicationInfo(type=_APPLICATION_INFO, api_version=_VERSION_1_1)
    wanted = _InstanceCreateInfo(
        type=_INSTANCE_CREATE_INFO,
        application_info=ctypes.cast(ctypes.byref(application), ctypes.c_void_p),
    )
    instance = ctypes.c_void_p()
    if library.vkCreateInstance(ctypes.byref(wanted), None, ctypes.byref(instance)) != _SUCCESS:
        return {}
    try:
        return dict(_driver_of(library, device) for device in _devices_of(library, instance))
    finally:
        library.vkDestroyInstance(instance, None)


def _loaded_library() -> Any:
    """Vulkan's library if this process has it, else None."""
    if sys.platform == "win32":
        find = ctypes.WinDLL("kernel32").GetModuleHandleW
        find.restype, find.argtypes = ctypes.c_void_p, [ctypes.c_wchar_p]
        handle = find("vulkan-1.dll")
        return ctypes.WinDLL("vulkan-1.dll", handle=handle) if handle else None
    with suppress(OSError):
        return ctypes.CDLL("libvulkan.so.1", mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    return None


def _devices_of(library: Any, instance: ctypes.c_void_p) -> list[ctypes.c_void_p]:
    count = ctypes.c_uint32(_MAX_DEVICES)
    handles = (ctypes.c_void_p * _MAX_DEVICES)()
    result = library.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
    found = min(count.value, _MAX_DEVICES) if result in (_SUCCESS, _INCOMPLETE) else 0
    return [ctypes.c_void_p(handle) for handle in handles[:found]]


def _driver_of(library: Any, device: ctypes.c_void_p) -> tuple[tuple[str, str], str]:
    driver = _DriverProperties(type=_DRIVER_PROPERTIES)
    properties = _DeviceProperties(type=_DEVICE_PROPERTIES_2, next=ctypes.cast(ctypes.byref(driver), ctypes.c_void_p))
    library.vkGetPhysicalDeviceProperties2(device, ctypes.byref(properties))
    number = properties.driver_version  # in the way of VK_MAKE_VERSION with most makers
    version = _text(driver.driver_info) or f"{number >> 22}.{number >> 12 & 0x3FF}.{number & 0xFFF}"
    return (_text(properties.device_name), _text(driver.driver_name)), version


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace").strip()
