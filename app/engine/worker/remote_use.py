"""Tells the parent which computer was lost when llama.cpp ends this process because of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from app.core.errors import ErrorKind, UserError
from app.core.events import Event, Failed
from app.core.remote import server_of
from app.engine.worker.channel import ChannelClosedError

log = logging.getLogger(__name__)

_SOURCE = "ggml-rpc"  # the file whose assertions say that a server is gone


class RemoteUse:
    """Knows what other computers are used for. Set on the worker thread; `tell_lost` is for any."""

    def __init__(self, announce: Callable[[Event], None], held: Callable[[], Collection[str]]) -> None:
        """`announce` writes an event to the parent; `held`: the servers that models of this process are on."""
        self._announce = announce
        self._held = held
        self._tried = ""
        self._path = ""

    @contextmanager
    def trying(self, devices: Iterable[str], path: str) -> Iterator[None]:
        """While a model file is loaded on devices, or one of them is tested (with no file, perhaps)."""
        self._tried = next(filter(None, map(server_of, devices)), "")
        self._path = path if self._tried else ""
        try:
            yield
        finally:
            self._tried = self._path = ""

    def tell_lost(self, reason: str) -> None:
        """If a server is why ggml is about to end the process, the parent learns which.

        The parent takes it for the reason of the end (`app.engine.client`): an answer, or whatever goes on, has no
        other.
        """
        server = self._tried or next(iter(self._held()), "")
        if _SOURCE not in reason or not server:
            return
        words = reason.rpartition(": ")[2].strip()
        try:
            self._announce(Failed(0, UserError(ErrorKind.SERVER_LOST, server=server, path=self._path, reason=words)))
        except ChannelClosedError as error:
            log.warning("the loss of %s cannot be told: %s", server, error)
