"""llama.cpp's handles of devices, those of other computers among them.

Ask `rpc_probe` before: here the process ends where a server is not there.
"""

from __future__ import annotations

import ctypes
from typing import Any

from app.core.errors import ErrorKind, UserError
from app.core.remote import index_of, server_of
from app.engine.worker import binding
from app.engine.worker.backend_libraries import RPC_BACKEND, library_path
from app.engine.worker.rpc_probe import RemoteMemory


def device_handle(name: str) -> int:
    """The handle of a device, of this computer or another. Raises UserError(LOAD_FAILED)."""
    server = server_of(name)
    if not server:
        by_name = binding.ggml_function("ggml_backend_dev_by_name", ctypes.c_void_p, ctypes.c_char_p)
        return int(by_name(name.encode()) or 0)
    handles = _handles(server)
    if index_of(name) >= len(handles):
        raise UserError(ErrorKind.LOAD_FAILED, reason=f"{server} has no device {index_of(name)}")
    return handles[index_of(name)]


def _handles(server: str) -> list[int]:
    """The handles of a server's devices, in order; it is added if it was not yet."""
    pointer, name = ctypes.c_void_p, ctypes.c_char_p
    by_name = binding.ggml_function("ggml_backend_reg_by_name", pointer, name)
    registry = by_name(b"RPC")
    if not registry:
        if not binding.load_library(library_path(binding.LIBRARY_FOLDER, RPC_BACKEND)):
            raise UserError(ErrorKind.LOAD_FAILED, reason="RPC: the library cannot be loaded")
        registry = by_name(b"RPC")
    address = binding.ggml_function("ggml_backend_reg_get_proc_address", pointer, pointer, name)(
        registry, b"ggml_backend_rpc_add_server"
    )
    added = ctypes.CFUNCTYPE(pointer, name)(address)(server.encode())
    if not added:
        return []
    count = binding.ggml_function("ggml_backend_reg_dev_count", ctypes.c_size_t, pointer)(added)
    get: Any = binding.ggml_function("ggml_backend_reg_dev_get", pointer, pointer, ctypes.c_size_t)
    return [int(get(added, index)) for index in range(count)]


def registered_memory(server: str) -> tuple[RemoteMemory, ...]:
    """The memory of a server's devices, asked by llama.cpp: over its connection, where a model has one."""
    size = ctypes.POINTER(ctypes.c_size_t)
    ask = binding.ggml_function("ggml_backend_dev_memory", None, ctypes.c_void_p, size, size)
    memories = []
    for handle in _handles(server):
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        ask(handle, ctypes.byref(free), ctypes.byref(total))
        memories.append(RemoteMemory(free.value, total.value))
    return tuple(memories)
