"""The proxy that the person chose, with its password where the system keeps passwords instead of in the settings."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from PySide6.QtCore import QObject, Signal

from app.core.errors import ErrorKind, UserError
from app.hub.proxy_address import has_name, split_password
from app.hub.secret_store import SecretStore
from app.services.hub_access import PROXY, PROXY_PASSWORD_KEPT, proxy_secret_name
from app.services.settings import SettingsService
from app.services.tasks import Task, Tasks

DOT = "•"
DOTS = DOT * 8  # however long a password is


class ProxyPassword(QObject):
    """Main thread only; the keyring is asked in the background, for one change after the other."""

    changed = Signal()  # another password counts now
    failed = Signal(object)  # UserError PROXY_PASSWORD_NOT_KEPT: it is held until Hearth ends; or KEYRING_CLOSED

    def __init__(
        self, settings: SettingsService, tasks: Tasks, secrets: SecretStore, parent: QObject | None = None
    ) -> None:
        """A password that an older version left in the settings is taken out of them."""
        super().__init__(parent)
        self._settings = settings
        self._tasks = tasks
        self._secrets = secrets
        self._waiting: deque[_Change] = deque()
        self._running: Task[bool] | None = None
        self._kept = proxy_secret_name(settings.string(PROXY)) if self._is_kept else ""  # the name in the keyring
        if split_password(settings.string(PROXY))[1]:
            self.set_proxy(settings.string(PROXY))

    @property
    def shown(self) -> str:
        """The proxy as a field shows it: with dots for a password."""
        proxy = self._settings.string(PROXY)
        before, mark, host = proxy.rpartition("@")
        is_there = self._is_kept or bool(self._secrets.held(proxy_secret_name(proxy)))
        return f"{before}:{DOTS}@{host}" if mark and is_there else proxy

    def set_proxy(self, typed: str) -> None:
        """Use this proxy; where the dots of `shown` were left, with the password it had.

        A password that is no longer wanted is taken out of the keyring, but not from memory when another proxy takes
        its place: the change may be taken back.
        """
        address, password = split_password(typed.strip())
        before, _ = split_password(self._settings.string(PROXY))
        is_as_before = DOT in password
        if is_as_before and address == before:
            return
        password = password.replace(DOT, "")  # what was typed beside them
        old, new = proxy_secret_name(before), proxy_secret_name(address)
        change = _Change(new, password)
        if is_as_before and not password:
            change = _Change(new, "", source=old if DOT in self.shown else new)
        elif password or address == before:
            self._secrets.hold(new, password or None)
        self._settings.set_value(PROXY_PASSWORD_KEPT, False)
        self._settings.set_value(PROXY, address)
        self._waiting.append(change)
        self._run_next()
        self.changed.emit()

    @property
    def _is_kept(self) -> bool:
        proxy = self._settings.string(PROXY)
        return has_name(proxy) and self._settings.value(PROXY_PASSWORD_KEPT) is True

    def _run_next(self) -> None:
        if self._running is None and self._waiting:
            change = replace(self._waiting.popleft(), old=self._kept)
            self._running = self._tasks.run(
                lambda: _carry_out(change, self._secrets), partial(self._on_done, change), self._on_failed
            )

    def _on_done(self, change: _Change, is_kept: bool) -> None:
        self._kept = change.new if is_kept else ""
        if not self._waiting:  # else the proxy is another already
            self._settings.set_value(PROXY_PASSWORD_KEPT, is_kept)
            if change.source:
                self.changed.emit()
        self._end()

    def _on_failed(self, error: UserError) -> None:
        self._kept = ""
        if not self._waiting:
            self.changed.emit()
            self.failed.emit(error)
        self._end()

    def _end(self) -> None:
        self._running = None
        self._run_next()


@dataclass(frozen=True, slots=True)
class _Change:
    """What is to be done with secrets, by their names."""

    new: str  # to be kept
    password: str = field(repr=False)  # empty: that of `source`
    source: str = ""  # empty: there is no password
    old: str = ""  # to be taken out of the keyring; empty: nothing is there


def _carry_out(change: _Change, secrets: SecretStore) -> bool:
    """Whether a password is in the keyring now. Raises UserError. For worker threads."""
    password = change.password
    if change.source:
        password = secrets.held(change.source) or secrets.secret(change.source) or ""
        secrets.hold(change.new, password or None)
    if change.old and (change.old != change.new or not password):
        with suppress(UserError):  # then it stays there, which nobody notices
            secrets.take_out(change.old)
    if not password:
        return False
    try:
        secrets.keep(change.new, password)
    except UserError as error:
        raise UserError(ErrorKind.PROXY_PASSWORD_NOT_KEPT, reason=error.string("reason")) from error
    return True
