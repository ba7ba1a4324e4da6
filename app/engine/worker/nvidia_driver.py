"""The version of NVIDIA's driver, which CUDA does not tell."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from functools import cache

_VERSION_BYTES = 96  # nvml.h: NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE is 80


@cache  # it cannot change under a process that uses it
def nvidia_driver() -> str:
    """What NVIDIA's management library says, which comes with the driver; else the CUDA that the driver is for.

    Empty where there is no driver.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        version = ctypes.create_string_buffer(_VERSION_BYTES)
        if library.nvmlInit_v2() == 0:
            is_told = library.nvmlSystemGetDriverVersion(version, _VERSION_BYTES) == 0
            library.nvmlShutdown()
            if is_told:
                return version.value.decode("utf-8", "replace")
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        number = ctypes.c_int()
        if library.cuDriverGetVersion(ctypes.byref(number)) == 0:
            return f"CUDA {number.value // 1000}.{number.value % 1000 // 10}"
    return ""
