"""TLS: a certificate that nobody trusts, one that a company installed, and a tunnel through a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.hub_values import SearchQuery
from app.hub.access import DIRECT, HubAccess
from app.hub.client import HubClient
from tests.hub.hub_server import HubServer
from tests.hub.proxy_server import ProxyServer

TLS = Path(__file__).parent.parent / "fixtures" / "tls"


@pytest.fixture
def secure_hub(hub: HubServer) -> Iterator[HubServer]:
    """The hub behind TLS, with a certificate that signs itself; `hub.url` is its https address."""
    hub.hub.encrypt(TLS)
    hub.url = hub.hub.url
    hub.add_repo("maker/tiny", {"a.gguf": b"x"})
    return hub


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the person in charge of a company's network does."""
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "certificate.pem"))


def search(hub: HubServer, proxy: str = DIRECT) -> list[str]:
    client = HubClient(HubAccess(hub.url, proxy=proxy))
    try:
        return [model.repo for model in client.search(SearchQuery("tiny")).models]
    finally:
        client.close()


def test_a_certificate_that_nobody_trusts_is_refused(secure_hub: HubServer) -> None:
    with pytest.raises(UserError) as raised:
        search(secure_hub)
    assert raised.value.kind is ErrorKind.CERTIFICATE_REFUSED
    assert raised.value.string("reason")
    assert secure_hub.requests == []


def test_a_certificate_that_was_installed_is_trusted(secure_hub: HubServer, trusted: None) -> None:
    assert search(secure_hub) == ["maker/tiny"]


def test_tls_goes_through_a_proxy(secure_hub: HubServer, trusted: None) -> None:
    with ProxyServer() as proxy:
        assert search(secure_hub, proxy.url) == ["maker/tiny"]
    assert proxy.targets == [f"CONNECT {secure_hub.url.removeprefix('https://')}"]


@pytest.mark.parametrize("name", ["absent.pem", "nonsense.pem"])
def test_certificates_that_cannot_be_read_are_told(
    secure_hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "nonsense.pem").write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    with pytest.raises(UserError) as raised:
        search(secure_hub)
    assert raised.value.kind is ErrorKind.CERTIFICATE_REFUSED
    assert raised.value.string("reason").startswith(str(tmp_path / name))
