from __future__ import annotations

import threading
from collections.abc import Iterator

import keyring.errors
import pytest

from app.core.errors import ErrorKind, UserError
from app.hub import secret_store
from app.hub.secret_store import Keyring, KeyringProblemError, SecretStore, system_keyring

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


def problem_of(store: SecretStore) -> UserError:
    with pytest.raises(UserError) as raised:
        store.keep(HUB, "hf_a")
    return raised.value


def refusal_of(store: SecretStore) -> UserError:
    with pytest.raises(UserError) as raised:
        store.secret(HUB)
    return raised.value


def let_threads_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "hearth-keyring":
            thread.join(WAIT_S)


def test_a_token_is_found_again(wallet: Wallet) -> None:
    SecretStore(lambda: wallet).keep(HUB, "hf_a")
    later = SecretStore(lambda: wallet)
    assert later.held(HUB) is None, "nobody has asked the keyring yet"
    assert later.secret(HUB) == "hf_a"
    assert later.held(HUB) == "hf_a"
    assert later.secret("https://mirror.example") is None


def test_the_keyring_is_asked_once(wallet: Wallet) -> None:
    store = SecretStore(lambda: wallet)
    assert [store.secret(HUB) for _ in range(3)] == [None] * 3
    assert wallet.reads == 1


def test_a_forgotten_token_is_gone(wallet: Wallet) -> None:
    store = SecretStore(lambda: wallet)
    store.keep(HUB, "hf_a")
    store.forget(HUB)
    store.forget(HUB)
    assert (store.secret(HUB), wallet.passwords) == (None, {})


def test_without_a_keyring_a_token_is_held(wallet: Wallet) -> None:
    def none() -> Keyring:
        raise KeyringProblemError("none")

    store = SecretStore(none)
    assert problem_of(store) == UserError(ErrorKind.NO_KEYRING, reason="none")
    assert store.secret(HUB) == "hf_a"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (keyring.errors.KeyringLocked("hf_a"), "locked"),
        (OSError("hf_a"), "OSError"),
        (RuntimeError("hf_a"), "RuntimeError"),
    ],
)
def test_whatever_a_keyring_raises_a_token_is_held(wallet: Wallet, error: Exception, reason: str) -> None:
    wallet.error = error
    store = SecretStore(lambda: wallet)
    assert refusal_of(store) == UserError(ErrorKind.KEYRING_CLOSED, reason=reason)
    assert problem_of(store) == UserError(ErrorKind.NO_KEYRING, reason=reason)
    assert store.secret(HUB) == "hf_a"


def test_a_keyring_that_refused_is_asked_again_only_on_demand(wallet: Wallet) -> None:
    SecretStore(lambda: wallet).keep(HUB, "hf_a")
    store = SecretStore(lambda: wallet)
    assert not store.ask_again()
    wallet.error = keyring.errors.KeyringLocked("locked")
    for _ in range(3):
        refusal_of(store)
    assert wallet.reads == 1, "each time the person would be asked for a password"
    wallet.error = None
    refusal_of(store)
    assert store.ask_again()
    assert store.secret(HUB) == "hf_a"
    assert not store.ask_again()


def test_a_person_who_asked_has_time_to_type_a_password(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_store, "READ_LIMIT_S", 0.05)
    SecretStore(lambda: wallet).keep(HUB, "hf_a")
    wallet.unlocked.clear()
    store = SecretStore(lambda: wallet)
    assert refusal_of(store).string("reason") == "timeout"
    store.ask_again()
    threading.Timer(0.3, wallet.unlocked.set).start()
    assert store.secret(HUB) == "hf_a"


def test_what_is_taken_out_can_be_put_back(wallet: Wallet) -> None:
    SecretStore(lambda: wallet).keep(HUB, "hf_a")
    store = SecretStore(lambda: wallet)
    store.take_out(HUB)
    assert (wallet.passwords, store.held(HUB)) == ({}, "hf_a")
    store.keep(HUB, "hf_b")
    store.take_out(HUB)
    assert store.held(HUB) == "hf_b", "what is held is newer"


def test_a_locked_keyring_is_not_waited_for_and_heard_later(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_store, "READ_LIMIT_S", 0.05)
    monkeypatch.setattr(secret_store, "WRITE_LIMIT_S", 0.05)
    wallet.passwords[secret_store.SERVICE, HUB] = "hf_old"
    wallet.unlocked.clear()
    store = SecretStore(lambda: wallet)
    assert refusal_of(store) == UserError(ErrorKind.KEYRING_CLOSED, reason="timeout")
    monkeypatch.setattr(secret_store, "READ_LIMIT_S", WAIT_S * 10)
    assert refusal_of(store).string("reason") == "timeout", "nobody waits a second time"
    assert problem_of(SecretStore(lambda: wallet)) == UserError(ErrorKind.NO_KEYRING, reason="timeout")
    wallet.unlocked.set()
    let_threads_end()
    assert store.secret(HUB) in ("hf_old", "hf_a"), "the keyring has answered"


def test_a_token_that_was_typed_is_newer_than_a_late_answer(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_store, "READ_LIMIT_S", 0.05)
    wallet.passwords[secret_store.SERVICE, HUB] = "hf_old"
    wallet.unlocked.clear()
    store = SecretStore(lambda: wallet)
    refusal_of(store)
    store.hold(HUB, "hf_new")
    wallet.unlocked.set()
    let_threads_end()
    assert store.secret(HUB) == "hf_new"


def test_a_backend_that_is_not_safe_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring.backends.fail

    monkeypatch.setattr(keyring, "get_keyring", keyring.backends.fail.Keyring)
    with pytest.raises(KeyringProblemError):
        system_keyring()
