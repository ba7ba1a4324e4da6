"""What the engine child asks of whatever generates: implemented by llama.cpp and by a script for tests."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Protocol

from app.core.events import Event
from app.engine.protocol import Adapt, Count, Devices, Embed, Forget, Generate, Load, Rank, TestDevice, Unload

Emit = Callable[[Event], None]
"""Writes one event to the parent; may be called from any thread."""

Job = Load | Generate | Count | Adapt | Embed | Rank | TestDevice | Forget | Devices | Unload
"""A request that a backend serves."""


class StopFlag:
    """Two bytes of C memory, "" or "x": llama.cpp looks at them through a C function while it computes.

    No interpreter lock is needed for that (see `app.engine.worker.binding.AbortCallback`).
    """

    def __init__(self) -> None:
        self._bytes = ctypes.create_string_buffer(2)

    @property
    def address(self) -> int:
        """Where the bytes lie; valid as long as this object lives."""
        return ctypes.addressof(self._bytes)

    @property
    def is_set(self) -> bool:
        """Whether it says stop."""
        return self._bytes[0] != b"\0"

    def set(self) -> None:
        """Say stop; may be called from any thread, more than once."""
        self._bytes[0] = b"x"


class RequestControl:
    """One request's strings to the outside: when it came, and whether it is still wanted."""

    def __init__(self) -> None:
        self.received_at = time.perf_counter()
        self.flag = StopFlag()
        self._shared: StopFlag | None = None
        self._on_stop: Callable[[], None] | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether the request shall end now."""
        return self.flag.is_set

    def stop(self) -> None:
        """Ask for the end; may be called from any thread, more than once, without locks that an event needs."""
        self.flag.set()
        if (shared := self._shared) is not None:
            shared.set()
        if (on_stop := self._on_stop) is not None:
            on_stop()

    def when_stopped(self, call: Callable[[], None]) -> None:
        """Call this too when the request is stopped, on the thread that stops it; not if it has been."""
        self._on_stop = call

    def share(self, flag: StopFlag) -> None:
        """Set this flag too when the request is stopped, or now if it has been."""
        self._shared = flag
        if self.is_stopped:
            flag.set()

    def elapsed_ms(self) -> float:
        """Time since the request arrived."""
        return (time.perf_counter() - self.received_at) * 1000.0


class Backend(Protocol):
    """Serves requests, all on the worker thread.

    Answers are begun and then go on step by step, several at once. Every other method ends by emitting the closing
    event of its request (Loaded or LoadCancelled, Counted, DevicesListed, ...) or raises UserError, which becomes
    Failed. The backend is usable afterwards in either case.
    """

    @property
    def engine_name(self) -> str:
        """For the Ready event, e.g. "llama.cpp (0.3.36 0.25.3 4release)"."""

    @property
    def is_answering(self) -> bool:
        """Whether `step` has something to do."""

    @property
    def has_room(self) -> bool:
        """Whether one more answer can be begun beside those that go on."""

    def begin(self, request: Generate, emit: Emit, control: RequestControl) -> None:
        """Begin to answer or to continue. Ends as Finished, or Failed, perhaps at once; raises UserError instead."""

    def hurry(self) -> None:
        """A request to answer has come: end what would keep it waiting. For any thread."""

    def step(self) -> None:
        """Go on with all answers for a token or a piece of a prompt; never raises for the fault of one."""

    def rest(self) -> bool:
        """There has been nothing to do for a while: put one thing away. True: there may be more, call again."""

    def load(self, request: Load, emit: Emit, control: RequestControl) -> None:
        """Load a model; on failure or cancellation the one loaded before stays where possible."""

    def count(self, request: Count, emit: Emit) -> None:
        """Count the tokens of a conversation."""

    def adapt(self, request: Adapt, emit: Emit) -> None:
        """Change the adapters of the loaded model."""

    def embed(self, request: Embed, emit: Emit, control: RequestControl) -> None:
        """Vectors for texts."""

    def rank(self, request: Rank, emit: Emit, control: RequestControl) -> None:
        """Scores of documents for a query."""

    def test_device(self, request: TestDevice, emit: Emit, control: RequestControl) -> None:
        """Measure a device."""

    def forget(self, request: Forget, emit: Emit) -> None:
        """Drop what is kept of conversations."""

    def devices(self, request: Devices, emit: Emit) -> None:
        """List devices and versions."""

    def unload(self, request: Unload, emit: Emit) -> None:
        """Free the models; no error when there is none."""

    def close(self) -> None:
        """Free everything before the child ends."""
