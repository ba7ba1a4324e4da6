"""Devices of other computers, by llama.cpp's RPC: which there are now, and what is wrong with the others.

They are never in ggml's own list, which asks each for its memory: the process would end where a server is gone. Every
server is asked by `rpc_probe` first, and llama.cpp told of it when a model is to run there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from app.core.events import Device
from app.core.remote import REMOTE_KIND, remote_device, server_of
from app.engine.worker import binding
from app.engine.worker.backend import RequestControl
from app.engine.worker.backend_libraries import RPC_BACKEND, library_path
from app.engine.worker.device_list import CRASHED, list_devices
from app.engine.worker.loaded_model import LoadCancelledError
from app.engine.worker.rpc_devices import registered_memory
from app.engine.worker.rpc_probe import PROBE_LIMIT_S, UNREACHABLE, RemoteMemory, ServerProblemError, probe

NOT_BUILT = "not_built"  # this build of the engine has no RPC
_NAME_LIMIT_S = 2.0  # for resolving a name, on top of PROBE_LIMIT_S
_POLL_S = 0.05


class RpcServers:
    """Looks at servers. For the worker thread, `look_at` for any."""

    def __init__(self, held: Callable[[], Collection[str]]) -> None:
        """`held`: the servers that models of this process are on. They do not answer anybody else."""
        self._held = held

    def devices_for(self, wanted: str, control: RequestControl | None = None) -> tuple[Device, ...]:
        """The devices of this computer, and the wanted one if it is another computer's.

        Raises LoadCancelledError when the request was stopped while the other computer did not answer.
        """
        return (*list_devices(), *self._wanted(wanted, control))

    def remote(self, name: str, control: RequestControl | None = None) -> Device:
        """A device of another computer, with what is wrong with it now. Raises LoadCancelledError."""
        server = server_of(name)
        found = self.held_devices((server,)) or _Looks((server,)).devices(control)
        missing = Device(name, server, REMOTE_KIND, 0, 0, problem=UNREACHABLE)
        return next((device for device in found if device.name == name or device.problem), missing)

    def held_devices(self, servers: Sequence[str]) -> tuple[Device, ...]:
        """The devices of those that a model of ours is on, asked over the connection that it has."""
        held = self._held()
        ours = [server for server in servers if server in held]
        return tuple(device for server in ours for device in _devices(server, registered_memory(server)))

    def free(self, servers: Sequence[str]) -> tuple[str, ...]:
        """Those that no model of ours is on: any thread may look at them."""
        held = self._held()
        return tuple(server for server in servers if server not in held)

    @staticmethod
    def look_at(servers: Sequence[str], crashed: Collection[str] = ()) -> tuple[Device, ...]:
        """The devices of servers, all asked at once; one that cannot be used is in the list with the reason."""
        found = _Looks(servers).devices()
        return tuple(_crashed(device) if device.name in crashed else device for device in found)

    def _wanted(self, name: str, control: RequestControl | None) -> tuple[Device, ...]:
        return (self.remote(name, control),) if server_of(name) else ()


class _Looks:
    """Looks at several servers at once, each on a thread of its own, which a name server may keep for long."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._found: dict[str, tuple[Device, ...]] = dict.fromkeys(servers, ())
        self._threads = [threading.Thread(target=self._look, args=(each,), daemon=True) for each in servers]

    def devices(self, control: RequestControl | None = None) -> tuple[Device, ...]:
        """What was found in time. Raises LoadCancelledError when `control` was stopped meanwhile."""
        for thread in self._threads:
            thread.start()
        polls = int((PROBE_LIMIT_S + _NAME_LIMIT_S) / _POLL_S)
        for _ in range(polls):
            if control is not None and control.is_stopped:
                raise LoadCancelledError
            waiting = next((thread for thread in self._threads if thread.is_alive()), None)
            if waiting is None:
                break
            waiting.join(_POLL_S)
        return tuple(device for server, found in self._found.items() for device in found or (_unusable(server),))

    def _look(self, server: str) -> None:
        if not library_path(binding.LIBRARY_FOLDER, RPC_BACKEND).exists():
            self._found[server] = (_unusable(server, NOT_BUILT),)
            return
        try:
            self._found[server] = _devices(server, probe(server))
        except ServerProblemError as error:
            self._found[server] = (_unusable(server, error.problem, error.detail),)


def _devices(server: str, memories: Sequence[RemoteMemory]) -> tuple[Device, ...]:
    names = [server, *(f"{server} ({number})" for number in range(2, len(memories) + 1))]
    return tuple(
        Device(remote_device(server, index), names[index], REMOTE_KIND, memory.free_bytes, memory.total_bytes)
        for index, memory in enumerate(memories)
    )


def _unusable(server: str, problem: str = UNREACHABLE, detail: str = "") -> Device:
    return Device(remote_device(server, 0), server, REMOTE_KIND, 0, 0, problem=problem, detail=detail)


def _crashed(device: Device) -> Device:
    return device if device.problem else replace(device, problem=CRASHED)
