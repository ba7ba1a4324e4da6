"""Downloads over TLS, as all real ones are: what is cut there must not reach the file."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.downloads import DownloadFile
from app.hub.download.limiter import RateLimiter
from app.hub.download.transfer import Transfer
from tests.hub.hub_server import HubServer
from tests.hub.running_transfer import NAME, REPO, Running, folder, start, transfer_of

__all__ = ["folder", "start", "transfer_of"]

CONTENT = random.Random(6).randbytes(24 << 20)  # more than the system keeps for a connection
TLS = Path(__file__).parent.parent / "fixtures" / "tls"


@pytest.fixture(autouse=True)
def _encrypted(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "certificate.pem"))
    hub.cdn.encrypt(TLS)
    hub.cdn_url = hub.cdn.url


def test_a_connection_that_is_broken_off_leaves_nothing_encrypted_in_the_file(
    transfer_of: Callable[..., Transfer],
    folder: Path,
    hub: HubServer,
    start: Callable[[Transfer], Running],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.add_repo(REPO, {NAME: CONTENT})
    limiter = RateLimiter(2_000_000)  # so the server is ahead, and what it has sent waits in the system's buffer
    running = start(transfer_of(DownloadFile(REPO, NAME), limiter=limiter))
    running.until(lambda: running.transfer.snapshot().done_bytes > 300_000)
    monkeypatch.setattr("app.hub.download.network_watch._own_addresses", lambda: ("192.0.2.77",))
    running.until(lambda: len(hub.seen("cdn")) == 2)
    limiter.set_limit(0)
    running.end()
    assert running.error is None
    assert (folder / NAME).read_bytes() == CONTENT
    assert len(hub.seen("cdn")) == 2  # a third would be the whole file again, because of its hash
