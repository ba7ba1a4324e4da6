"""Tells llama.cpp which weights go to which device."""

from __future__ import annotations

import ctypes
from typing import Any

from app.core.plan import Placement
from app.engine.worker.binding import ggml_function, llama
from app.engine.worker.rpc_devices import device_handle


class _BufferOverride(ctypes.Structure):
    """llama.h: struct llama_model_tensor_buft_override."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


def place_weights(parameters: Any, placement: Placement, gpus: tuple[str, ...]) -> list[Any]:
    """Tell llama.cpp what lies where; returns what must live until the model is loaded."""
    devices = (ctypes.c_void_p * (len(gpus) + 1))(*map(device_handle, gpus), None)
    split = (ctypes.c_float * llama.llama_max_devices())(*map(float, placement.tensor_split))
    parameters.devices = ctypes.cast(devices, ctypes.c_void_p)
    parameters.n_gpu_layers = placement.gpu_layers
    parameters.tensor_split = split
    if not placement.host_experts or not gpus:
        return [devices, split]
    layers = "|".join(map(str, range(placement.host_experts)))
    pattern = rf"^blk\.({layers})\.ffn_(up|down|gate|gate_up)_(ch)?exps\.".encode()
    host_buffers = ggml_function("ggml_backend_cpu_buffer_type", ctypes.c_void_p)()
    overrides = (_BufferOverride * 2)(_BufferOverride(pattern, host_buffers), _BufferOverride(None, None))
    parameters.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)
    return [devices, split, overrides]
