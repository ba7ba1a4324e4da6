"""llama.cpp's own RPC server on a free port of this computer, in a process that a test can kill.

Run as a program it serves until it is killed: `python -m tests.engine.rpc_server PORT`, with the release engine's
libraries in LLAMA_CPP_LIB_PATH. Its device is the processor.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from app.engine.command import engine_environment
from app.engine.worker.backend_libraries import library_path

_START_LIMIT_S = 30.0
_THREADS = 1


class RpcServer:
    """A running server; `address` is what a person would type."""

    def __init__(self, libraries: Path, log_path: Path) -> None:
        """Returns when it listens."""
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._libraries, self._log_path = libraries, log_path
        self.start()

    def start(self) -> None:
        """Start it, also again after `kill`."""
        environment = {**os.environ, **engine_environment(), "LLAMA_CPP_LIB_PATH": str(self._libraries)}
        command = [sys.executable, "-m", "tests.engine.rpc_server", str(self.port)]
        with self._log_path.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        end = time.monotonic() + _START_LIMIT_S
        while not self._listens():
            assert self.process.poll() is None, self._log_path.read_text("utf-8")
            assert time.monotonic() < end, "the RPC server does not listen"
            time.sleep(0.05)

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def _listens(self) -> bool:
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", self.port)) == 0


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _serve(port: int) -> None:
    from app.engine.worker import binding

    callbacks = binding.initialize(lambda level, text: None, lambda reason: None, ())
    assert binding.load_library(library_path(binding.LIBRARY_FOLDER, "rpc"))
    name = ctypes.c_char_p
    registry = binding.ggml_function("ggml_backend_reg_by_name", ctypes.c_void_p, name)(b"RPC")
    find = binding.ggml_function("ggml_backend_reg_get_proc_address", ctypes.c_void_p, ctypes.c_void_p, name)
    device = binding.ggml_function("ggml_backend_dev_by_name", ctypes.c_void_p, name)(b"CPU")
    kinds = (None, name, name, ctypes.c_size_t, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p))
    start_server = ctypes.CFUNCTYPE(*kinds)(find(registry, b"ggml_backend_rpc_start_server"))
    start_server(f"127.0.0.1:{port}".encode(), None, _THREADS, 1, (ctypes.c_void_p * 1)(device))
    del callbacks


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
