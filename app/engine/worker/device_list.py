"""The devices that ggml sees."""

from __future__ import annotations

import ctypes

import psutil

from app.core.events import Device
from app.engine.worker.binding import ggml_function

_KINDS = ("cpu", "gpu", "igpu", "accel")  # ggml-backend.h: enum ggml_backend_dev_type
GPU_KINDS = frozenset({"gpu", "igpu"})


def list_devices() -> tuple[Device, ...]:
    """Every device of every registered backend, in ggml's order."""
    count = ggml_function("ggml_backend_dev_count", ctypes.c_size_t)()
    get = ggml_function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    name = ggml_function("ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)
    description = ggml_function("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)
    kind = ggml_function("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    size = ctypes.POINTER(ctypes.c_size_t)
    memory = ggml_function("ggml_backend_dev_memory", None, ctypes.c_void_p, size, size)
    devices = []
    for index in range(count):
        handle = get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        memory(handle, ctypes.byref(free), ctypes.byref(total))
        number = kind(handle)
        if number == 0:  # ggml calls all of the computer's memory free
            free.value = psutil.virtual_memory().available
        devices.append(
            Device(
                name=name(handle).decode("utf-8", "replace"),
                description=description(handle).decode("utf-8", "replace").strip(),
                kind=_KINDS[number] if number < len(_KINDS) else "accel",
                free_bytes=free.value,
                total_bytes=total.value,
            )
        )
    return tuple(devices)
