"""Which devices may be used now, and that the journal knows of every attempt on one before it is made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property

from app.core.errors import NoticeKind
from app.core.events import HOST, Device, Event, Notice
from app.core.gpu_choice import chosen_gpus
from app.core.remote import server_of
from app.engine.attempts import Attempt, AttemptJournal, AttemptKind
from app.engine.protocol import Load
from app.engine.worker.backend import Emit, RequestControl
from app.engine.worker.device_list import CRASHED, StartReport, list_devices
from app.engine.worker.remote_use import RemoteUse
from app.engine.worker.rpc_servers import RpcServers


class DeviceAttempts:
    """Lives on the worker thread. Answers on devices of this computer are no attempts: loading has tried those."""

    def __init__(
        self,
        journal: AttemptJournal,
        engine: str,
        announce: Callable[[Event], None],
        held: Callable[[], Collection[str]],
        report: StartReport,
    ) -> None:
        """`engine`: for the journal; `announce` writes an event to the parent; `held`: servers that models are on."""
        self._journal = journal
        self._engine = engine
        self._report = report
        self.servers = RpcServers(held)
        self.remote_use = RemoteUse(announce, held)
        self._answering = ExitStack()

    def failed(self, kind: AttemptKind) -> dict[str, Attempt]:
        """What ended an engine before and is not to be tried, by name. Of a device: with the driver of today."""
        if kind is not AttemptKind.DEVICE:
            return self._journal.failed(kind, self._engine)
        found = self._journal.failed(kind)
        return {name: each for name, each in found.items() if each.engine in ("", self._with_driver(name))}

    def attempt(self, kind: AttemptKind, name: str, path: str = "") -> AbstractContextManager[None]:
        """In the journal while the body runs."""
        engine = self._with_driver(name) if kind is AttemptKind.DEVICE else self._engine
        return self._journal.attempt(kind, name, path, engine)

    def _with_driver(self, device: str) -> str:
        """The engine with the driver of a device, as the journal knows it."""
        driver = self.drivers.get(device, "")
        return f"{self._engine}, {driver}" if driver else self._engine

    @cached_property
    def drivers(self) -> dict[str, str]:
        """By the name of the device. They cannot change while the process lives."""
        return {device.name: device.driver for device in list_devices(self._report)}

    @contextmanager
    def trying(self, devices: Sequence[str], path: str) -> Iterator[None]:
        """While a file is loaded on graphics cards or on another computer, or one of them is tested."""
        with ExitStack() as attempts:
            for device in devices:
                attempts.enter_context(self.attempt(AttemptKind.DEVICE, device, path))
            attempts.enter_context(self.remote_use.trying(devices, path))
            yield

    def begin_answers(self, remote_devices: Sequence[str], path: str) -> None:
        """Answers are to be computed by a model that is on other computers, which may be lost in the middle."""
        for device in remote_devices:
            self._answering.enter_context(self.attempt(AttemptKind.DEVICE, device, path))

    def end_answers(self) -> None:
        """All of them are over."""
        self._answering.close()

    def spared(self, request: Load, emit: Emit, control: RequestControl) -> Load:
        """The request without devices on which an attempt ended the engine, and other computers that are not there.

        Raises LoadCancelledError.
        """
        crashed = self.failed(AttemptKind.DEVICE)
        if server_of(request.device):
            device = self.servers.remote(request.device, control)
            if device.name in crashed and not device.problem:
                device = replace(device, problem=CRASHED)
            if not device.problem:
                return request
            emit(Notice(request.id, NoticeKind.SERVER_UNUSED, server_problem(device)))
            request = replace(request, device="")
        gpus = chosen_gpus(list_devices(), request.device)
        if not any(gpu.name in crashed for gpu in gpus):
            return request
        # Perhaps the same card by another backend: a CUDA that does not know an old card, and Vulkan, which does.
        others = chosen_gpus(list_devices(crashed=crashed), "")
        return replace(request, device=others[0].name if others else HOST)


def server_problem(device: Device) -> dict[str, str]:
    """Why a device of another computer is not used, for UserError and Notice."""
    return {"server": server_of(device.name), "problem": device.problem, "detail": device.detail}
