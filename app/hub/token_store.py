"""Keeps the hub's token where the system keeps passwords; where that fails, until Hearth ends.

A keyring may ask the person for a password, hang on a bus, or be missing: every call to it runs in a thread of its own
that nobody waits for longer than `READ_LIMIT_S` or `WRITE_LIMIT_S`. keyring is imported there, at the first call.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from app.core.errors import ErrorKind, UserError

log = logging.getLogger(__name__)
T = TypeVar("T")
SERVICE = "Hearth"
READ_LIMIT_S = 5.0
WRITE_LIMIT_S = 60.0  # the person may have to type a password first
MIN_PRIORITY = 1  # keyring's own mark of a backend that is safe


class Keyring(Protocol):
    """The part of the keyring package that is used. Its backends raise whatever they like."""

    def get_password(self, service: str, username: str, /) -> str | None: ...

    def set_password(self, service: str, username: str, password: str, /) -> None: ...

    def delete_password(self, service: str, username: str, /) -> None: ...


class KeyringProblemError(Exception):
    """The keyring cannot be used now; the text says why."""


def system_keyring() -> Keyring:
    """The keyring of this system. Raises KeyringProblemError where there is none that is safe."""
    import keyring

    backend = keyring.get_keyring()
    if backend.priority < MIN_PRIORITY:
        raise KeyringProblemError("there is none")
    return backend


class TokenStore:
    """The tokens of this person, one for each endpoint. Any thread; calls may wait."""

    def __init__(self, find_keyring: Callable[[], Keyring] = system_keyring) -> None:
        self._find_keyring = find_keyring
        self._lock = threading.Lock()
        self._known: dict[str, str | None] = {}
        self._reading: dict[str, threading.Event] = {}
        self._slow: set[str] = set()  # asked in vain; nobody waits for these again

    def token(self, endpoint: str) -> str | None:
        """The token for an endpoint; None if there is none, or if the keyring does not tell in time.

        The keyring is asked once. One that answers late is heard all the same, by the next call.
        """
        with self._lock:
            if endpoint in self._known or endpoint in self._slow:
                return self._known.get(endpoint)
            answered = self._reading.get(endpoint)
            if answered is None:
                answered = self._reading[endpoint] = threading.Event()
                threading.Thread(
                    target=self._read, args=(endpoint, answered), name="hearth-keyring", daemon=True
                ).start()
        is_answered = answered.wait(READ_LIMIT_S)
        with self._lock:
            if not is_answered:
                log.info("the keyring does not answer")
                self._slow.add(endpoint)
            return self._known.get(endpoint)

    def held(self, endpoint: str) -> str | None:
        """The token for an endpoint as far as it is known without asking the keyring. Never waits."""
        with self._lock:
            return self._known.get(endpoint)

    def hold(self, endpoint: str, token: str | None) -> None:
        """Use a token until Hearth ends; None: use none. Never waits."""
        with self._lock:
            self._known[endpoint] = token

    def keep(self, endpoint: str, token: str) -> None:
        """Hold a token and put it into the keyring. Raises UserError NO_KEYRING when it is only held."""
        self.hold(endpoint, token)
        self._write(lambda keyring: keyring.set_password(SERVICE, endpoint, token))

    def forget(self, endpoint: str) -> None:
        """Use no token any more, and take it out of the keyring. Raises UserError NO_KEYRING when that fails."""
        self.hold(endpoint, None)

        def work(keyring: Keyring) -> None:
            if keyring.get_password(SERVICE, endpoint) is not None:
                keyring.delete_password(SERVICE, endpoint)

        self._write(work)

    def _read(self, endpoint: str, answered: threading.Event) -> None:
        """In a thread of its own."""
        token = None
        try:
            token = self._find_keyring().get_password(SERVICE, endpoint)
        except Exception as error:  # backends raise what their systems raise: D-Bus errors, OSError, ctypes errors
            log.info("no token from the keyring: %s", type(error).__name__)
        with self._lock:
            self._known.setdefault(endpoint, token)
        answered.set()

    def _write(self, work: Callable[[Keyring], None]) -> None:
        """Raises UserError NO_KEYRING."""
        problem: list[str] = []
        done = threading.Event()

        def run() -> None:
            try:
                work(self._find_keyring())
            except KeyringProblemError as error:
                problem.append(str(error))
            except Exception as error:  # see `_read`
                problem.append(type(error).__name__)
            done.set()

        threading.Thread(target=run, name="hearth-keyring", daemon=True).start()
        if not done.wait(WRITE_LIMIT_S):
            raise UserError(ErrorKind.NO_KEYRING, reason="timeout")
        if problem:
            raise UserError(ErrorKind.NO_KEYRING, reason=problem[0])
