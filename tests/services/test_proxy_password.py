"""The password of a proxy: in the keyring, and nowhere else."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from keyring.errors import KeyringLocked
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.hub.secret_store import Keyring, KeyringProblemError, SecretStore
from app.services.hub import HubService, HubTest
from app.services.proxy_password import DOTS
from app.services.settings import SettingsService
from app.services.tasks import Tasks
from tests.hub.hub_server import HubServer
from tests.hub.proxy_server import ProxyServer

WAIT_MS = 10_000
PASSWORD = "s3cret@/#"


class Wallet:
    """A keyring in memory, which can be locked, or hang."""

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}
        self.is_locked = False
        self.answers = threading.Event()
        self.answers.set()

    def get_password(self, service: str, username: str, /) -> str | None:
        self._open()
        return self.passwords.get(username)

    def set_password(self, service: str, username: str, password: str, /) -> None:
        self._open()
        self.passwords[username] = password

    def delete_password(self, service: str, username: str, /) -> None:
        self._open()
        del self.passwords[username]

    def _open(self) -> None:
        self.answers.wait(WAIT_MS / 1000)
        if self.is_locked:
            raise KeyringLocked(str(self.passwords))


@pytest.fixture
def wallet() -> Iterator[Wallet]:
    wallet = Wallet()
    yield wallet
    wallet.answers.set()


@pytest.fixture(name="hub")
def hub_server() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def proxy() -> Iterator[ProxyServer]:
    with ProxyServer("me", PASSWORD) as server:
        yield server


@pytest.fixture
def typed(proxy: ProxyServer) -> str:
    """What a person types for the proxy."""
    return proxy.url.replace("http://", f"http://me:{PASSWORD}@")


@pytest.fixture
def bare(proxy: ProxyServer) -> str:
    return proxy.url.replace("http://", "http://me@")


class Session:
    """One run of Hearth after the other on the same settings file."""

    def __init__(self, folder: Path, wallet: Wallet) -> None:
        self.file = folder / "settings.json"
        self._wallet = wallet
        self._ends: list[Callable[[], None]] = []

    def start(self, find_keyring: Callable[[], Keyring] | None = None, **environment: str) -> HubService:
        self.end()
        self.settings = SettingsService(self.file)
        tasks = Tasks()
        secrets = SecretStore(find_keyring or (lambda: self._wallet))
        hub = HubService(self.settings, tasks, self.file.parent / "cache", environment, None, secrets)
        self._ends = [hub.shut_down, tasks.shut_down, self.settings.close]
        return hub

    def end(self) -> None:
        for end in self._ends:
            end()
        self._ends = []

    def stored(self) -> dict[str, Any]:
        self.end()
        found: dict[str, Any] = json.loads(self.file.read_text("utf-8"))
        return found


@pytest.fixture
def session(qapp: object, tmp_path: Path, wallet: Wallet, hub: HubServer) -> Iterator[Session]:
    session = Session(tmp_path, wallet)
    session.file.write_text(json.dumps({"hub.endpoint": hub.url}), "utf-8")
    yield session
    session.end()


@pytest.fixture
def outcome(qtbot: QtBot) -> Callable[[HubService], HubTest]:
    """What the button that tests the proxy says."""

    def press(service: HubService) -> HubTest:
        with qtbot.waitSignal(service.proxy_tested, timeout=WAIT_MS) as told:
            service.test_proxy()
        found: HubTest = told.args[0]
        return found

    return press


Outcome = Callable[[HubService], HubTest]


def wait_until_kept(session: Session, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: session.settings.value("hub.proxy_password_kept") is True, timeout=WAIT_MS)


def test_a_password_goes_into_the_keyring_and_is_found_after_a_restart(
    session: Session, wallet: Wallet, typed: str, bare: str, outcome: Outcome, qtbot: QtBot
) -> None:
    service = session.start()
    service.proxy.set_proxy(typed)
    assert outcome(service).error is None, "it counts at once"
    wait_until_kept(session, qtbot)
    assert wallet.passwords == {f"proxy {bare}": PASSWORD}
    assert service.proxy.shown == bare.replace("@", f":{DOTS}@")
    assert session.stored()["hub.proxy"] == bare
    again = session.start()
    assert again.proxy.shown == bare.replace("@", f":{DOTS}@")
    assert outcome(again).error is None


def test_a_password_of_an_older_version_is_taken_out_of_the_settings(
    session: Session, wallet: Wallet, typed: str, bare: str, outcome: Outcome, qtbot: QtBot
) -> None:
    session.file.write_text(json.dumps(json.loads(session.file.read_text("utf-8")) | {"hub.proxy": typed}), "utf-8")
    service = session.start()
    assert outcome(service).error is None
    wait_until_kept(session, qtbot)
    assert session.stored()["hub.proxy"] == bare
    assert wallet.passwords == {f"proxy {bare}": PASSWORD}


def test_without_a_keyring_the_password_lasts_for_the_session(
    session: Session, typed: str, bare: str, outcome: Outcome, qtbot: QtBot
) -> None:
    def none() -> Keyring:
        raise KeyringProblemError("none")

    service = session.start(none)
    with qtbot.waitSignal(service.proxy.failed, timeout=WAIT_MS) as failed:
        service.proxy.set_proxy(typed)
    assert failed.args == [UserError(ErrorKind.PROXY_PASSWORD_NOT_KEPT, reason="none")]
    assert outcome(service).error is None
    assert DOTS in service.proxy.shown
    assert session.stored()["hub.proxy"] == bare
    again = session.start(none)
    assert again.proxy.shown == bare
    error = outcome(again).error
    assert error is not None
    assert (error.kind, error.string("reason")) == (ErrorKind.PROXY_FAILED, "password")


def test_a_locked_keyring_is_told_and_asked_again(
    session: Session, wallet: Wallet, typed: str, outcome: Outcome, qtbot: QtBot
) -> None:
    service = session.start()
    service.proxy.set_proxy(typed)
    wait_until_kept(session, qtbot)
    again = session.start()
    wallet.is_locked = True
    assert outcome(again).error == UserError(ErrorKind.KEYRING_CLOSED, reason="locked")
    wallet.is_locked = False
    with qtbot.waitSignal(again.access_changed, timeout=WAIT_MS):  # so that downloads go on
        assert outcome(again).error is None


def test_nothing_waits_for_a_keyring_that_hangs(
    session: Session, wallet: Wallet, typed: str, bare: str, qtbot: QtBot
) -> None:
    service = session.start()
    wallet.answers.clear()
    service.proxy.set_proxy(typed)
    assert service.access().resolve_proxy().startswith("http://me:")
    assert session.stored()["hub.proxy"] == bare


def test_dots_stand_for_the_password_there_was(
    session: Session, wallet: Wallet, typed: str, bare: str, qtbot: QtBot
) -> None:
    service = session.start()
    service.proxy.set_proxy(typed)
    wait_until_kept(session, qtbot)
    again = session.start()
    shown = again.proxy.shown
    again.proxy.set_proxy(shown)
    assert session.settings.value("hub.proxy_password_kept") is True, "nothing has changed"
    again.proxy.set_proxy(shown.replace("127.0.0.1", "localhost"))
    wait_until_kept(session, qtbot)
    other = bare.replace("127.0.0.1", "localhost")
    assert wallet.passwords == {f"proxy {other}": PASSWORD}
    again.proxy.set_proxy("")  # as the button does that resets a section
    again.proxy.set_proxy(shown.replace("127.0.0.1", "localhost"))  # and takes that back
    wait_until_kept(session, qtbot)
    assert wallet.passwords == {f"proxy {other}": PASSWORD}
    again.proxy.set_proxy(f"http://me:{DOTS}new@localhost")
    wait_until_kept(session, qtbot)
    assert wallet.passwords == {"proxy http://me@localhost": "new"}


@pytest.mark.parametrize("rest", ["", "direct", "bare"])
def test_a_password_that_is_not_wanted_any_more_is_gone(
    session: Session, wallet: Wallet, typed: str, bare: str, rest: str, qtbot: QtBot
) -> None:
    service = session.start()
    service.proxy.set_proxy(typed)
    wait_until_kept(session, qtbot)
    service.proxy.set_proxy(bare if rest == "bare" else rest)
    qtbot.waitUntil(lambda: wallet.passwords == {}, timeout=WAIT_MS)
    assert DOTS not in service.proxy.shown
    assert PASSWORD not in service.access().resolve_proxy()


def test_the_keyring_is_left_alone_until_a_password_was_put_there(session: Session, outcome: Outcome) -> None:
    def must_not_be_asked() -> Keyring:
        raise AssertionError("the keyring was asked")

    service = session.start(must_not_be_asked)
    service.proxy.set_proxy("direct")
    assert outcome(service).error is None


def test_a_password_of_the_environment_is_used_and_never_stored(
    session: Session, wallet: Wallet, typed: str, proxy: ProxyServer, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", typed.replace(PASSWORD, "s3cret%40%2F%23"))
    for name in ("http_proxy", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    service = session.start()
    found = outcome(service)
    assert (found.error, found.proxy) == (None, proxy.url)
    assert len(proxy.targets) == 1
    session.settings.set_value("answers.max_tokens", 64)
    assert "s3cret" not in str(session.stored())
    assert wallet.passwords == {}


def test_no_error_log_or_value_tells_a_password(
    session: Session, wallet: Wallet, typed: str, outcome: Outcome, caplog: pytest.LogCaptureFixture, qtbot: QtBot
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    service = session.start()
    service.proxy.failed.connect(told.append)
    told += [service, session.settings]
    for address in (typed, typed.replace("127.0.0.1:", "127.0.0.1:9"), typed.replace("http:", "ftp:"), typed + "/?x=1"):
        wallet.is_locked = not wallet.is_locked
        service.proxy.set_proxy(address)
        told.append(outcome(service))
        try:
            told.append(service.access())
        except UserError as error:
            told.append(error)
    qtbot.waitUntil(lambda: any(isinstance(each, UserError) for each in told), timeout=WAIT_MS)
    service.proxy.set_proxy("")
    told.append(session.stored())
    assert "s3cret" not in repr(told)
    assert "s3cret" not in caplog.text
    assert all("s3cret" not in file.read_text("utf-8", "replace") for file in session.file.parent.rglob("*.*"))
