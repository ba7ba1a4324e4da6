from __future__ import annotations

import threading
from collections.abc import Iterator

import keyring.errors
import pytest

from app.core.errors import ErrorKind, UserError
from app.hub import token_store
from app.hub.token_store import Keyring, KeyringProblemError, TokenStore, system_keyring

HUB = "https://huggingface.co"
WAIT_S = 10


class Wallet:
    """A keyring of its own: passwords in memory, and whatever goes wrong with real ones."""

    def __init__(self) -> None:
        self.passwords: dict[tuple[str, str], str] = {}
        self.error: Exception | None = None
        self.unlocked = threading.Event()
        self.unlocked.set()
        self.reads = 0

    def get_password(self, service: str, username: str, /) -> str | None:
        self.reads += 1
        self._open()
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str, /) -> None:
        self._open()
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str, /) -> None:
        self._open()
        del self.passwords[service, username]

    def _open(self) -> None:
        self.unlocked.wait(WAIT_S)
        if self.error is not None:
            raise self.error


@pytest.fixture
def wallet() -> Iterator[Wallet]:
    wallet = Wallet()
    yield wallet
    wallet.unlocked.set()


def problem_of(store: TokenStore) -> UserError:
    with pytest.raises(UserError) as raised:
        store.keep(HUB, "hf_a")
    return raised.value


def test_a_token_is_found_again(wallet: Wallet) -> None:
    TokenStore(lambda: wallet).keep(HUB, "hf_a")
    later = TokenStore(lambda: wallet)
    assert later.held(HUB) is None, "nobody has asked the keyring yet"
    assert later.token(HUB) == "hf_a"
    assert later.held(HUB) == "hf_a"
    assert later.token("https://mirror.example") is None


def test_the_keyring_is_asked_once(wallet: Wallet) -> None:
    store = TokenStore(lambda: wallet)
    assert [store.token(HUB) for _ in range(3)] == [None] * 3
    assert wallet.reads == 1


def test_a_forgotten_token_is_gone(wallet: Wallet) -> None:
    store = TokenStore(lambda: wallet)
    store.keep(HUB, "hf_a")
    store.forget(HUB)
    store.forget(HUB)
    assert (store.token(HUB), wallet.passwords) == (None, {})


def test_without_a_keyring_a_token_is_held(wallet: Wallet) -> None:
    def none() -> Keyring:
        raise KeyringProblemError("there is none")

    store = TokenStore(none)
    assert problem_of(store) == UserError(ErrorKind.NO_KEYRING, reason="there is none")
    assert store.token(HUB) == "hf_a"


@pytest.mark.parametrize(
    "error", [keyring.errors.KeyringLocked("locked"), OSError("no bus"), RuntimeError("prompt dismissed")]
)
def test_whatever_a_keyring_raises_a_token_is_held(wallet: Wallet, error: Exception) -> None:
    wallet.error = error
    store = TokenStore(lambda: wallet)
    assert store.token(HUB) is None
    assert problem_of(store) == UserError(ErrorKind.NO_KEYRING, reason=type(error).__name__)
    assert store.token(HUB) == "hf_a"


def test_a_locked_keyring_is_not_waited_for_and_heard_later(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_store, "READ_LIMIT_S", 0.05)
    monkeypatch.setattr(token_store, "WRITE_LIMIT_S", 0.05)
    wallet.passwords[token_store.SERVICE, HUB] = "hf_old"
    wallet.unlocked.clear()
    store = TokenStore(lambda: wallet)
    assert store.token(HUB) is None
    monkeypatch.setattr(token_store, "READ_LIMIT_S", WAIT_S * 10)
    assert store.token(HUB) is None, "nobody waits a second time"
    assert problem_of(TokenStore(lambda: wallet)) == UserError(ErrorKind.NO_KEYRING, reason="timeout")
    wallet.unlocked.set()
    for thread in threading.enumerate():
        if thread.name == "hearth-keyring":
            thread.join(WAIT_S)
    assert store.token(HUB) in ("hf_old", "hf_a"), "the keyring has answered"


def test_a_token_that_was_typed_is_newer_than_a_late_answer(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_store, "READ_LIMIT_S", 0.05)
    wallet.passwords[token_store.SERVICE, HUB] = "hf_old"
    wallet.unlocked.clear()
    store = TokenStore(lambda: wallet)
    store.token(HUB)
    store.hold(HUB, "hf_new")
    wallet.unlocked.set()
    for thread in threading.enumerate():
        if thread.name == "hearth-keyring":
            thread.join(WAIT_S)
    assert store.token(HUB) == "hf_new"


def test_a_backend_that_is_not_safe_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring.backends.fail

    monkeypatch.setattr(keyring, "get_keyring", keyring.backends.fail.Keyring)
    with pytest.raises(KeyringProblemError):
        system_keyring()
