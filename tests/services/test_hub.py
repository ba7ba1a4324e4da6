from __future__ import annotations

import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.hub_values import HubDetails, SearchPage, SearchQuery
from app.hub.remote_header import RemoteHeader
from app.hub.secret_store import Keyring, KeyringProblemError, SecretStore
from app.services.hub import HubService, HubTest
from app.services.settings import SettingsService
from app.services.tasks import Tasks
from tests.fixtures import tiny_gguf as tiny
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer
from tests.hub.proxy_server import ProxyServer

WAIT_MS = 10_000


class Wallet:
    """A keyring in memory."""

    def __init__(self) -> None:
        self.passwords: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str, /) -> str | None:
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str, /) -> None:
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str, /) -> None:
        del self.passwords[service, username]


@pytest.fixture(name="hub")
def hub_server() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def wallet() -> Wallet:
    return Wallet()


@pytest.fixture
def settings(qapp: object, tmp_path: Path, hub: HubServer) -> Iterator[SettingsService]:
    settings = SettingsService(tmp_path / "settings.json")
    settings.set_value("hub.endpoint", hub.url)
    settings.set_value("hub.proxy", "direct")
    yield settings
    settings.close()


Open = Callable[..., HubService]


@pytest.fixture
def open_service(settings: SettingsService, tmp_path: Path, wallet: Wallet) -> Iterator[Open]:
    """Makes services as a start of Hearth does; they share settings, cache and keyring."""
    tasks = Tasks()
    services: list[HubService] = []

    def make(find_keyring: Callable[[], Keyring] = lambda: wallet, **environment: str) -> HubService:
        service = HubService(settings, tasks, tmp_path / "cache", environment, None, SecretStore(find_keyring))
        services.append(service)
        return service

    yield make
    for service in services:
        service.shut_down()
    tasks.shut_down()


class Heard:
    """Everything that a service says."""

    def __init__(self, service: HubService) -> None:
        self.pages: list[SearchPage] = []
        self.more: list[SearchPage] = []
        self.details: list[HubDetails] = []
        self.errors: list[UserError] = []
        service.searched.connect(self.pages.append)
        service.more_found.connect(self.more.append)
        service.opened.connect(self.details.append)
        service.search_failed.connect(self.errors.append)
        service.open_failed.connect(self.errors.append)


def searches(hub: HubServer) -> list[str]:
    return [request.query.get("search", [""])[0] for request in hub.seen("hub", "GET", "/api/models")]


def test_typing_asks_once(hub: HubServer, open_service: Open, qtbot: QtBot) -> None:
    hub.add_repo("maker/tiny", {"a.gguf": b"x"})
    service = open_service()
    heard = Heard(service)
    for text in ("t", "ti", "tin", "tiny"):
        service.search(SearchQuery(text))
    assert service.is_searching
    qtbot.waitUntil(lambda: bool(heard.pages), timeout=WAIT_MS)
    assert not service.is_searching
    assert [model.repo for model in heard.pages[0].models] == ["maker/tiny"]
    assert searches(hub) == ["tiny"]


def test_only_the_latest_search_is_answered(hub: HubServer, open_service: Open, qtbot: QtBot) -> None:
    hub.add_repo("maker/first", {"a.gguf": b"x"})
    hub.add_repo("maker/second", {"a.gguf": b"x"})
    hub.fail_next("/api/models", Fault(FaultKind.STALL, seconds=1.0))
    service = open_service()
    heard = Heard(service)
    service.search(SearchQuery("first"), at_once=True)
    qtbot.waitUntil(lambda: searches(hub) == ["first"], timeout=WAIT_MS)
    service.search(SearchQuery("second"), at_once=True)
    qtbot.waitUntil(lambda: bool(heard.pages), timeout=WAIT_MS)
    qtbot.wait(1200)  # until the first one has failed
    assert [[model.name for model in page.models] for page in heard.pages] == [["second"]]
    assert heard.errors == []


def test_a_search_goes_on(hub: HubServer, open_service: Open, qtbot: QtBot) -> None:
    for number in range(3):
        hub.add_repo(f"maker/m{number}", {"a.gguf": b"x"}, downloads=9 - number)
    service = open_service()
    heard = Heard(service)
    service.search(SearchQuery(limit=2), at_once=True)
    qtbot.waitUntil(lambda: bool(heard.pages), timeout=WAIT_MS)
    service.search_more(heard.pages[0])
    service.search_more(heard.pages[0])
    qtbot.waitUntil(lambda: bool(heard.more), timeout=WAIT_MS)
    service.search_more(heard.more[0])
    assert not service.is_searching, "there is no more"
    assert [model.name for page in (heard.pages + heard.more) for model in page.models] == ["m0", "m1", "m2"]


def test_the_repository_opened_last_is_shown(hub: HubServer, open_service: Open, qtbot: QtBot) -> None:
    hub.add_repo("maker/one", {"a.gguf": b"x"})
    hub.add_repo("maker/two", {"a.gguf": b"x"})
    service = open_service()
    heard = Heard(service)
    service.open("maker/one")
    service.open("maker/two")
    qtbot.waitUntil(lambda: bool(heard.details), timeout=WAIT_MS)
    service.open("maker/none")
    qtbot.waitUntil(lambda: bool(heard.errors), timeout=WAIT_MS)
    assert [details.model.repo for details in heard.details] == ["maker/two"]
    assert heard.errors[0].kind is ErrorKind.NOT_ON_HUB


def test_the_header_of_a_file_is_read(hub: HubServer, open_service: Open, qtbot: QtBot, tmp_path: Path) -> None:
    model = tiny.write_model(tmp_path / "tiny.gguf", tiny.bpe_vocabulary())
    commit = hub.add_repo("maker/tiny", {"tiny.gguf": Path(model), "broken.gguf": b"no model"})
    service = open_service()
    read: list[RemoteHeader] = []
    failed: list[UserError] = []
    service.read_header("maker/tiny", "tiny.gguf", commit, read.append, failed.append)
    service.read_header("maker/tiny", "broken.gguf", commit, read.append, failed.append)
    service.read_header("maker/tiny", "tiny.gguf", commit, read.append, failed.append).cancel()
    qtbot.waitUntil(lambda: bool(read and failed), timeout=WAIT_MS)
    assert [found.header.architecture for found in read] == ["llama"]
    assert [error.kind for error in failed] == [ErrorKind.NOT_A_MODEL]


def test_the_offline_switch_applies_at_once(
    hub: HubServer, open_service: Open, settings: SettingsService, qtbot: QtBot
) -> None:
    service = open_service()
    heard = Heard(service)
    with qtbot.waitSignal(service.access_changed):
        settings.set_value("hub.offline", True)
    assert service.is_offline
    service.search(SearchQuery("x"), at_once=True)
    qtbot.waitUntil(lambda: bool(heard.errors), timeout=WAIT_MS)
    assert heard.errors == [UserError(ErrorKind.OFFLINE)]
    assert hub.requests == []
    service.go_online()
    service.search(SearchQuery("x"), at_once=True)
    qtbot.waitUntil(lambda: bool(heard.pages), timeout=WAIT_MS)


def test_settings_that_make_no_sense_are_told(open_service: Open, settings: SettingsService, qtbot: QtBot) -> None:
    settings.set_value("hub.endpoint", "no address at all")
    service = open_service()
    heard = Heard(service)
    service.search(SearchQuery("x"), at_once=True)
    qtbot.waitUntil(lambda: bool(heard.errors), timeout=WAIT_MS)
    assert heard.errors[0].kind is ErrorKind.ADDRESS_INVALID
    assert not service.has_token
    assert not service.is_offline


def test_a_token_is_checked_kept_and_found_after_a_restart(
    hub: HubServer, open_service: Open, wallet: Wallet, settings: SettingsService, qtbot: QtBot
) -> None:
    hub.add_repo("maker/secret", {"a.gguf": b"x"}, private=True)
    hub.tokens = {"hf_good": {"maker/secret"}}
    service = open_service()
    with qtbot.waitSignal(service.token_refused, timeout=WAIT_MS) as refused:
        service.set_token("hf_wrong")
    assert refused.args == [UserError(ErrorKind.TOKEN_REJECTED, endpoint=hub.url)]
    assert (service.has_token, wallet.passwords) == (False, {})
    with qtbot.waitSignal(service.token_set, timeout=WAIT_MS) as accepted:
        service.set_token(" hf_good\n")
    assert accepted.args == ["tester"]
    assert wallet.passwords == {("Hearth", hub.url): "hf_good"}
    again = open_service()
    assert again.has_token
    heard = Heard(again)
    again.open("maker/secret")
    qtbot.waitUntil(lambda: bool(heard.details), timeout=WAIT_MS)
    with qtbot.waitSignal(again.token_tested, timeout=WAIT_MS) as tested:
        again.test_token()
    assert tested.args[0].account == "tester"
    with qtbot.waitSignal(again.token_forgotten, timeout=WAIT_MS):
        again.forget_token()
    assert (again.has_token, wallet.passwords, settings.string("hub.token_endpoints")) == (False, {}, "")


@pytest.mark.parametrize("is_replaced", [False, True])
def test_what_the_hub_answered_to_a_token_goes_with_it(
    hub: HubServer, open_service: Open, tmp_path: Path, qtbot: QtBot, is_replaced: bool
) -> None:
    hub.add_repo("maker/secret", {"a.gguf": b"x", "README.md": b"# Secret"}, private=True)
    hub.add_repo("maker/open", {"a.gguf": b"x"})
    hub.tokens = {"hf_good": {"maker/secret"}, "hf_newer": set()}

    def kept() -> set[str]:
        files = [path.read_bytes().partition(b"\n") for path in (tmp_path / "cache").iterdir()]
        told = [head + zlib.decompress(body) for head, _, body in files]
        return {
            name for name in ("maker/secret", "maker/open", "Secret") if any(name.encode() in each for each in told)
        }

    service = open_service()
    heard = Heard(service)
    service.open("maker/open")
    qtbot.waitUntil(lambda: len(heard.details) == 1, timeout=WAIT_MS)
    with qtbot.waitSignal(service.token_set, timeout=WAIT_MS):
        service.set_token("hf_good")
    service.open("maker/secret")
    qtbot.waitUntil(lambda: len(heard.details) == 2, timeout=WAIT_MS)
    assert kept() == {"maker/secret", "maker/open", "Secret"}
    if is_replaced:
        with qtbot.waitSignal(service.token_set, timeout=WAIT_MS):
            service.set_token("hf_newer")
    else:
        with qtbot.waitSignal(service.token_forgotten, timeout=WAIT_MS):
            service.forget_token()
    assert kept() == {"maker/open"}


def test_without_a_keyring_the_token_lasts_for_the_session(
    hub: HubServer, open_service: Open, settings: SettingsService, qtbot: QtBot
) -> None:
    def none() -> Keyring:
        raise KeyringProblemError("there is none")

    hub.tokens = {"hf_good": set()}
    service = open_service(none)
    with (
        qtbot.waitSignal(service.token_not_kept, timeout=WAIT_MS) as not_kept,
        qtbot.waitSignal(service.token_set, timeout=WAIT_MS),
    ):
        service.set_token("hf_good")
    assert not_kept.args[0].kind is ErrorKind.NO_KEYRING
    assert service.has_token
    assert service.access().resolve_token() == "hf_good"
    assert not open_service(none).has_token, "gone after a restart"


def test_the_keyring_is_left_alone_until_a_token_was_put_there(
    hub: HubServer, open_service: Open, qtbot: QtBot
) -> None:
    """Opening a locked keyring asks the person for a password: not for a search that needs none."""

    def must_not_be_asked() -> Keyring:
        raise AssertionError("the keyring was asked")

    service = open_service(must_not_be_asked)
    heard = Heard(service)
    service.search(SearchQuery("x"), at_once=True)
    qtbot.waitUntil(lambda: bool(heard.pages), timeout=WAIT_MS)


def test_the_environment_is_honoured(hub: HubServer, open_service: Open, settings: SettingsService) -> None:
    settings.set_value("hub.endpoint", "")
    service = open_service(HF_ENDPOINT=hub.url, HF_TOKEN="hf_env", HF_HUB_OFFLINE="1")
    assert service.has_token
    assert service.is_offline
    assert (service.access().endpoint, service.access().resolve_token()) == (hub.url, "hf_env")


def test_the_test_buttons(hub: HubServer, open_service: Open, qtbot: QtBot) -> None:
    service = open_service()

    def outcome(name: str, *arguments: str) -> HubTest:
        with qtbot.waitSignal(getattr(service, name.removeprefix("test_") + "_tested"), timeout=WAIT_MS) as told:
            getattr(service, name)(*arguments)
        found: HubTest = told.args[0]
        return found

    works = outcome("test_endpoint")
    assert (works.error, works.proxy) == (None, "")
    hub.tokens = {"hf_good": set()}
    with HubServer() as other:
        with qtbot.waitSignal(service.token_set, timeout=WAIT_MS):
            service.set_token("hf_good")
        assert outcome("test_endpoint", other.url).error is None
        assert "authorization" not in other.seen()[0].headers, "the token was meant for another"
    typed = outcome("test_endpoint", "nonsense:99999")
    assert typed.error is not None
    assert typed.error.kind is ErrorKind.ADDRESS_INVALID
    with ProxyServer() as proxy:
        through = outcome("test_proxy", proxy.url)
        assert (through.error, through.proxy) == (None, proxy.url)
    gone = outcome("test_proxy", proxy.url)
    assert gone.error is not None
    assert gone.error.kind is ErrorKind.PROXY_FAILED
    assert outcome("test_token").account == "tester"


def test_no_token_at_all_is_refused_whatever_the_environment_has(
    hub: HubServer, open_service: Open, settings: SettingsService, wallet: Wallet, qtbot: QtBot
) -> None:
    settings.set_value("hub.endpoint", "")
    hub.tokens = {"hf_env": set()}
    service = open_service(HF_ENDPOINT=hub.url, HF_TOKEN="hf_env")
    with qtbot.waitSignal(service.token_refused, timeout=WAIT_MS):
        service.set_token("  ")
    assert wallet.passwords == {}


def test_making_the_service_asks_nothing_and_starts_nothing(hub: HubServer, open_service: Open) -> None:
    before = threading.active_count()
    service = open_service()
    service.access()
    assert not service.has_token
    assert threading.active_count() == before
    assert hub.requests == []


def test_the_libraries_are_not_imported_before_they_are_needed(hub: HubServer) -> None:
    code = (
        "import sys, app.services.hub, app.services.explain, app.hub.client, app.hub.secret_store\n"
        "print([name for name in ('huggingface_hub', 'httpx2', 'keyring') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
