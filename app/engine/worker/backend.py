"""What the engine child asks of whatever generates: implemented by llama.cpp and by a script for tests."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Protocol

from app.core.events import Event
from app.engine.protocol import Count, Devices, Generate, Load, Unload

Emit = Callable[[Event], None]
"""Writes one event to the parent; may be called from any thread."""


class RequestControl:
    """One request's strings to the outside: when it came, and whether it is still wanted.

    The flag is two bytes of C memory, "" or "x", so that llama.cpp can look at it through a C function while
    a batch is being computed, without the interpreter lock (see `app.engine.worker.binding.AbortCallback`).
    """

    def __init__(self) -> None:
        self.received_at = time.perf_counter()
        self._flag = ctypes.create_string_buffer(2)

    @property
    def flag_address(self) -> int:
        """Where the flag lies; valid as long as this object lives."""
        return ctypes.addressof(self._flag)

    @property
    def is_stopped(self) -> bool:
        """Whether the request shall end now."""
        return self._flag[0] != b"\0"

    def stop(self) -> None:
        """Ask for the end; may be called from any thread, more than once."""
        self._flag[0] = b"x"

    def elapsed_ms(self) -> float:
        """Time since the request arrived."""
        return (time.perf_counter() - self.received_at) * 1000.0


class Backend(Protocol):
    """Serves requests one at a time, all on the worker thread.

    Every method ends by emitting the closing event of its request (Loaded or LoadCancelled, Finished,
    Counted, DevicesListed, Unloaded) or raises UserError, which becomes Failed. The backend is usable
    afterwards in either case.
    """

    @property
    def engine_name(self) -> str:
        """For the Ready event, e.g. "llama.cpp (llama-cpp-python 0.3.36)"."""

    def load(self, request: Load, emit: Emit, control: RequestControl) -> None:
        """Load a model; on failure or cancellation the one loaded before stays where possible."""

    def generate(self, request: Generate, emit: Emit, control: RequestControl) -> None:
        """Answer or continue; a stop keeps what was generated and ends as Finished(STOPPED)."""

    def count(self, request: Count, emit: Emit) -> None:
        """Count the tokens of a conversation."""

    def devices(self, request: Devices, emit: Emit) -> None:
        """List devices and versions."""

    def unload(self, request: Unload, emit: Emit) -> None:
        """Free the model; no error when there is none."""

    def close(self) -> None:
        """Free everything before the child ends."""
