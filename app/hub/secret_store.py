"""Keeps the hub's token and the proxy's password where the system keeps passwords; where that fails, until Hearth ends.

A keyring may ask the person for a password, hang on a bus, or be missing: every call to it runs in a thread of its own
that nobody waits for longer than `READ_LIMIT_S` or `WRITE_LIMIT_S`. keyring is imported there, at the first call.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from app.core.errors import ErrorKind, UserError

log = logging.getLogger(__name__)
SERVICE = "Hearth"
READ_LIMIT_S = 5.0
WRITE_LIMIT_S = 60.0  # the person may have to type a password first
MIN_PRIORITY = 1  # keyring's own mark of a backend that is safe
TIMEOUT, LOCKED, NONE = "timeout", "locked", "none"  # reasons; any other is the name of an exception


class Keyring(Protocol):
    """The part of the keyring package that is used. Its backends raise whatever they like."""

    def get_password(self, service: str, username: str, /) -> str | None: ...

    def set_password(self, service: str, username: str, password: str, /) -> None: ...

    def delete_password(self, service: str, username: str, /) -> None: ...


class KeyringProblemError(Exception):
    """The keyring cannot be used now; the text is the reason."""


def system_keyring() -> Keyring:
    """The keyring of this system. Raises KeyringProblemError where there is none that is safe."""
    import keyring

    backend = keyring.get_keyring()
    if backend.priority < MIN_PRIORITY:
        raise KeyringProblemError(NONE)
    return backend


class SecretStore:
    """The secrets of this person by name: an endpoint for its token, or a proxy. Any thread; calls may wait."""

    def __init__(self, find_keyring: Callable[[], Keyring] = system_keyring) -> None:
        self._find_keyring = find_keyring
        self._lock = threading.Lock()
        self._known: dict[str, str | None] = {}
        self._reading: dict[str, threading.Event] = {}
        self._refused: dict[str, str] = {}  # name → reason: asked in vain; nobody waits for these again
        self._is_awaited = False  # the person has asked, and may be typing a password

    def secret(self, name: str) -> str | None:
        """What is kept under a name; None if there is nothing. Raises UserError KEYRING_CLOSED.

        The keyring is asked once, until `ask_again`. One that answers late is heard all the same, by the next call.
        """
        with self._lock:
            if name in self._known or name in self._refused:
                return self._answer(name)
            answered = self._reading.get(name)
            if answered is None:
                answered = self._reading[name] = threading.Event()
                threading.Thread(target=self._read, args=(name, answered), name="hearth-keyring", daemon=True).start()
            limit_s = WRITE_LIMIT_S if self._is_awaited else READ_LIMIT_S
        is_answered = answered.wait(limit_s)
        with self._lock:
            if not is_answered:
                log.info("the keyring does not answer")
                self._refused.setdefault(name, TIMEOUT)
            return self._answer(name)

    def ask_again(self) -> bool:
        """Ask the keyring once more for what it refused, as it may be unlocked now; whether that is anything."""
        with self._lock:
            was_refused = self._is_awaited = bool(self._refused)
            self._refused.clear()
            self._reading = {name: event for name, event in self._reading.items() if not event.is_set()}
        return was_refused

    def held(self, name: str) -> str | None:
        """What is kept under a name as far as it is known without asking the keyring. Never waits."""
        with self._lock:
            return self._known.get(name)

    def hold(self, name: str, secret: str | None) -> None:
        """Use a secret until Hearth ends; None: use none. Never waits."""
        with self._lock:
            self._known[name] = secret

    def keep(self, name: str, secret: str) -> None:
        """Hold a secret and put it into the keyring. Raises UserError NO_KEYRING when it is only held."""
        self.hold(name, secret)
        self._write(lambda keyring: keyring.set_password(SERVICE, name, secret))

    def forget(self, name: str) -> None:
        """Use none any more, and take it out of the keyring. Raises UserError NO_KEYRING when that fails."""
        self.hold(name, None)
        self.take_out(name)

    def take_out(self, name: str) -> None:
        """Take a secret out of the keyring; it is held until Hearth ends, unless another is, or none on purpose.

        Raises UserError NO_KEYRING when that fails.
        """

        def work(keyring: Keyring) -> None:
            secret = keyring.get_password(SERVICE, name)
            if secret is not None:
                with self._lock:
                    self._known.setdefault(name, secret)
                keyring.delete_password(SERVICE, name)

        self._write(work)

    def _answer(self, name: str) -> str | None:
        """With the lock held. Raises UserError KEYRING_CLOSED."""
        if name not in self._known and name in self._refused:
            raise UserError(ErrorKind.KEYRING_CLOSED, reason=self._refused[name])
        return self._known.get(name)

    def _read(self, name: str, answered: threading.Event) -> None:
        """In a thread of its own."""
        try:
            secret = self._find_keyring().get_password(SERVICE, name)
        except Exception as error:  # backends raise what their systems raise: D-Bus errors, OSError, ctypes errors
            reason = _reason(error)
            log.info("nothing from the keyring: %s", reason)
            with self._lock:
                self._refused[name] = reason
        else:
            with self._lock:
                self._known.setdefault(name, secret)
        answered.set()

    def _write(self, work: Callable[[Keyring], None]) -> None:
        """Raises UserError NO_KEYRING."""
        problem: list[str] = []
        done = threading.Event()

        def run() -> None:
            try:
                work(self._find_keyring())
            except Exception as error:  # see `_read`
                problem.append(_reason(error))
            done.set()

        threading.Thread(target=run, name="hearth-keyring", daemon=True).start()
        if not done.wait(WRITE_LIMIT_S):
            raise UserError(ErrorKind.NO_KEYRING, reason=TIMEOUT)
        if problem:
            raise UserError(ErrorKind.NO_KEYRING, reason=problem[0])


def _reason(error: Exception) -> str:
    """Why a keyring failed; never what it says, which may name what it keeps."""
    from keyring.errors import KeyringLocked

    if isinstance(error, KeyringProblemError):
        return str(error)
    return LOCKED if isinstance(error, KeyringLocked) else type(error).__name__
