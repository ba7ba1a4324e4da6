"""Ways to the hub: proxies of the settings and of the environment, and hubs that are not there."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import quote, unquote

import pytest

from app.core.errors import ErrorKind, UserError
from app.hub.access import DIRECT, HubAccess, choose_access
from app.hub.client import HubClient
from app.hub.http_client import headers, open_client, proxy_in_use
from app.hub.proxy_address import split_password, with_password, without_name
from tests.hub.hub_server import HubServer
from tests.hub.proxy_server import ProxyServer

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def proxy() -> Iterator[ProxyServer]:
    with ProxyServer() as server:
        yield server


@pytest.fixture
def check() -> Callable[..., None]:
    """Asks a hub whether it is there."""

    def ask(endpoint: str, proxy: str = "") -> None:
        client = HubClient(choose_access({}, endpoint, proxy))
        try:
            client.check()
        finally:
            client.close()

    return ask


def test_a_proxy_of_the_settings_is_used(hub: HubServer, proxy: ProxyServer, check: Callable[..., None]) -> None:
    check(hub.url, proxy.url)
    assert proxy.targets == [f"GET {hub.url}/api/models?limit=1"]
    assert len(hub.requests) == 1


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used(
    hub: HubServer, proxy: ProxyServer, check: Callable[..., None], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, proxy.url)
    check(hub.url)
    assert len(proxy.targets) == 1
    check(hub.url, DIRECT)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    check(hub.url)
    assert len(proxy.targets) == 1


def test_https_goes_through_a_tunnel(
    hub: HubServer, proxy: ProxyServer, check: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    endpoint = hub.url.replace("http://", "https://")
    with pytest.raises(UserError) as raised:  # the hub of the tests speaks no TLS
        check(endpoint)
    assert raised.value.kind in (ErrorKind.PROXY_FAILED, ErrorKind.HUB_UNREACHABLE)
    assert proxy.targets == [f"CONNECT {hub.url.removeprefix('http://')}"]


def test_a_proxy_with_a_password(hub: HubServer, check: Callable[..., None]) -> None:
    with ProxyServer("me", "secret") as proxy:
        with pytest.raises(UserError) as raised:
            check(hub.url, proxy.url)
        assert raised.value.kind is ErrorKind.PROXY_FAILED
        assert raised.value.string("reason") == "password"
        with pytest.raises(UserError) as raised:
            check(hub.url, proxy.url.replace("http://", "http://me:wrong@"))
        assert raised.value == UserError(ErrorKind.PROXY_FAILED, proxy=proxy.url, reason="password")
        check(hub.url, proxy.url.replace("http://", "http://me:secret@"))
    assert len(hub.requests) == 1


@pytest.mark.parametrize("password", ["se/cr#t", "a@b:c?d", "p%40ss", "ü x", "50%"])
def test_passwords_are_taken_as_they_are_typed(
    hub: HubServer, check: Callable[..., None], password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ProxyServer("me@work", unquote(password)) as proxy:
        check(hub.url, proxy.url.replace("http://", f"http://me@work:{password}@"))
        assert len(proxy.targets) == 1
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("http://", f"http://me%40work:{quote(password, '%')}@"))
        check(hub.url)
        assert len(proxy.targets) == 2


def test_a_password_that_the_keyring_does_not_give(hub: HubServer) -> None:
    def refuse() -> str:
        raise UserError(ErrorKind.KEYRING_CLOSED, reason="locked")

    with ProxyServer("me", "secret") as proxy:
        address = proxy.url.replace("http://", "http://me@")
        for endpoint in (hub.url, hub.url.replace("http://", "https://")):
            client = HubClient(HubAccess(endpoint, proxy=address, find_proxy_password=refuse))
            with pytest.raises(UserError) as raised:
                client.check()
            client.close()
            assert raised.value == UserError(ErrorKind.KEYRING_CLOSED, reason="locked")


def test_a_proxy_that_is_not_there(hub: HubServer, check: Callable[..., None]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(UserError) as raised:
        check(hub.url, address)
    assert raised.value == UserError(ErrorKind.PROXY_FAILED, proxy=address, reason="refused")


def test_a_proxy_of_the_environment_that_makes_no_sense(
    hub: HubServer, check: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "ftp://files.example:21")
    with pytest.raises(UserError) as raised:
        check(hub.url)
    assert raised.value.kind is ErrorKind.PROXY_FAILED
    assert raised.value.string("proxy") == "ftp://files.example:21"
    for address in (
        "ftp://me:secret@files.example:21",
        "http://me:sec#ret@proxy:8080",
        "http://me:sec/ret@proxy:8080",
        "http://a..b:1",
    ):
        monkeypatch.setenv("ALL_PROXY", address)
        with pytest.raises(UserError) as raised:
            check(hub.url)
        assert raised.value.kind is ErrorKind.PROXY_FAILED
        assert "sec" not in "".join(traceback.format_exception(raised.value))


def test_socks_proxies_can_be_used() -> None:
    with open_client(HubAccess(proxy="socks5h://localhost:1080")) as client:
        assert not client.is_closed


def test_a_name_that_nobody_has(check: Callable[..., None]) -> None:
    with pytest.raises(UserError) as raised:
        check("http://hub.invalid", DIRECT)
    assert raised.value in (
        UserError(ErrorKind.NO_NETWORK),
        UserError(ErrorKind.HUB_UNREACHABLE, endpoint="http://hub.invalid", reason="name_unknown"),
    )


def test_passwords_of_proxies_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    access = choose_access({}, proxy="http://me:secret@proxy:8080")
    assert proxy_in_use(access, access.endpoint) == "http://proxy:8080"
    assert access.resolve_proxy() == "http://me:secret@proxy:8080"
    assert "secret" not in repr(access)
    assert proxy_in_use(HubAccess(proxy=DIRECT), "https://x") == ""
    monkeypatch.setenv("HTTPS_PROXY", "me:secret@proxy:8080")
    assert proxy_in_use(HubAccess(), "https://x") == "http://proxy:8080"
    assert proxy_in_use(HubAccess(), "http://x") == ""


def test_the_environment_counts_where_settings_are_empty() -> None:
    environment = {"HF_ENDPOINT": "https://mirror.example/", "HF_TOKEN": " hf_x\n", "HF_HUB_OFFLINE": "1"}
    access = choose_access(environment)
    assert (access.endpoint, access.token, access.offline) == ("https://mirror.example", "hf_x", True)
    assert choose_access({}).endpoint == "https://huggingface.co"
    assert choose_access({"HF_HUB_OFFLINE": "0"}).offline is False
    assert choose_access(environment, endpoint="own.example").endpoint == "https://own.example"


def test_the_token_of_the_environment_goes_to_no_address_that_was_typed() -> None:
    environment = {"HF_TOKEN": "hf_x"}
    assert choose_access(environment).token == "hf_x"
    assert choose_access(environment, endpoint="https://huggingface.co/").token == "hf_x"
    assert choose_access(environment, endpoint="https://elsewhere.example").token is None
    named = {**environment, "HF_ENDPOINT": "https://mirror.example"}
    assert choose_access(named, endpoint="https://mirror.example").token == "hf_x"


@pytest.mark.parametrize(
    "text",
    [
        "ftp://x",
        "https://",
        "https://a b",
        "https://x?y=1",
        "http://x:99999",
        "http://[::1",
        "x:0",
        "//",
        "https://x..y",
        "x" * 64,
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    for arguments in ({"endpoint": text}, {"proxy": text}):
        with pytest.raises(UserError) as raised:
            choose_access({}, **arguments)
        assert raised.value.kind is ErrorKind.ADDRESS_INVALID


def test_addresses_with_passwords_that_are_none_do_not_tell_them() -> None:
    for arguments in ({"endpoint": "https://me:secret@hub.example"}, {"proxy": "http://me:secret@proxy:99999"}):
        with pytest.raises(UserError) as raised:
            choose_access({}, **arguments)
        assert raised.value.kind is ErrorKind.ADDRESS_INVALID
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("typed", "bare", "password"),
    [
        ("http://proxy:8080", "http://proxy:8080", ""),
        ("http://me:secret@proxy:8080", "http://me@proxy:8080", "secret"),
        ("me:secret@proxy", "me@proxy", "secret"),
        ("http://me@proxy", "http://me@proxy", ""),
        ("http://:secret@proxy", "http://@proxy", "secret"),
        ("me:a://b@proxy", "me@proxy", "a://b"),
        ("socks5://me@work:p@ss:word@[::1]:1080", "socks5://me@work@[::1]:1080", "p@ss:word"),
        ("", "", ""),
        ("@", "@", ""),
    ],
)
def test_passwords_in_addresses_are_found(typed: str, bare: str, password: str) -> None:
    assert split_password(typed) == (bare, password)
    assert split_password(bare) == (bare, "")
    assert without_name(with_password(bare, password)) == without_name(typed)


def test_proxies_are_read_leniently() -> None:
    assert choose_access({}, proxy=" proxy:8080 ").proxy == "http://proxy:8080"
    assert choose_access({}, proxy="Direct").proxy == DIRECT
    assert choose_access({}, proxy="socks5://localhost:1080").proxy == "socks5://localhost:1080"


def test_the_token_of_the_keyring_comes_first() -> None:
    kept: list[str] = []
    access = replace(choose_access({"HF_TOKEN": "hf_x"}), find_token=lambda: kept[0] if kept else None)
    assert access.resolve_token() == "hf_x"
    kept.append("own")
    assert access.resolve_token() == "own"
    assert headers(access)["authorization"] == "Bearer own"
    assert "authorization" not in headers(HubAccess())
