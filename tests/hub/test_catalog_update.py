from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.catalog_file import MAX_BYTES, encode_catalog, load_catalog
from app.hub.catalog_update import CatalogSource, load_kept, update_catalog
from tests.fixtures.catalog_json import catalog_json
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer

REPO = "shore/catalogue"


def publish(hub: HubServer, data: bytes) -> CatalogSource:
    """Put a catalogue on a server; its address and its true SHA-256."""
    hub.add_repo(REPO, {"catalog.json": data})
    return CatalogSource(f"{hub.url}/{REPO}/resolve/main/catalog.json", hashlib.sha256(data).hexdigest())


@pytest.fixture
def source(hub: HubServer) -> CatalogSource:
    return publish(hub, encode_catalog(catalog_json()))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "data" / "catalog.json"


def refused(hub: HubServer, source: CatalogSource, kept: Path, access: HubAccess | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        update_catalog(access or HubAccess(hub.url), source, kept)
    return caught.value


def test_a_catalogue_is_fetched_checked_and_kept(hub: HubServer, source: CatalogSource, kept: Path) -> None:
    assert load_kept(kept, source) is None
    catalog = update_catalog(HubAccess(hub.url), source, kept)
    assert [model.id for model in catalog.models] == ["tern-7b", "tern-7b-chat"]
    assert load_kept(kept, source) == catalog == load_catalog(kept)
    assert [file.name for file in kept.parent.iterdir()] == ["catalog.json"]


def test_the_hubs_token_is_not_sent(hub: HubServer, source: CatalogSource, kept: Path) -> None:
    update_catalog(HubAccess(hub.url, token="hf_secret"), source, kept)
    assert hub.requests
    assert not [request for request in hub.requests if "Authorization" in request.headers]


def test_an_address_without_a_hash_is_not_asked(hub: HubServer, source: CatalogSource, kept: Path) -> None:
    error = refused(hub, CatalogSource(source.url, ""), kept)
    assert (error.kind, error.string("url")) == (ErrorKind.CATALOG_NOT_PINNED, source.url)
    assert not hub.requests


@pytest.mark.parametrize(
    "url",
    ["nonsense", "file:///etc/passwd", "http://", "http://[::1", "https://a b/c", "https://a/\0", "https://a..b/c"],
)
def test_what_is_no_address_is_told_by_its_name(hub: HubServer, kept: Path, url: str) -> None:
    error = refused(hub, CatalogSource(url, "0" * 64), kept)
    assert (error.kind, error.string("path")) == (ErrorKind.CATALOG_INVALID, url)
    assert "no address" in error.string("reason")


def test_another_catalogue_than_the_expected_one_is_refused(hub: HubServer, source: CatalogSource, kept: Path) -> None:
    update_catalog(HubAccess(hub.url), source, kept)
    before = kept.read_bytes()
    publish(hub, encode_catalog(catalog_json(updated="2027-01-01")))
    error = refused(hub, source, kept)
    assert error.kind is ErrorKind.CATALOG_INVALID
    assert source.sha256 in error.string("reason")
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "must be an object"),
        (b" " * (MAX_BYTES + 1), "larger than"),
    ],
    ids=["empty", "not UTF-8", "deep", "a list", "large"],
)
def test_what_is_no_catalogue_is_not_kept(hub: HubServer, kept: Path, data: bytes, reason: str) -> None:
    error = refused(hub, publish(hub, data), kept)
    assert error.kind is ErrorKind.CATALOG_INVALID
    assert reason in error.string("reason")
    assert not kept.exists()


def test_a_catalogue_with_a_wrong_row_is_not_kept(hub: HubServer, kept: Path) -> None:
    document: dict[str, Any] = catalog_json()
    document["models"][1]["year"] = 1066
    error = refused(hub, publish(hub, encode_catalog(document)), kept)
    assert error.string("where") == "models[1].year"
    assert error.string("path").startswith(hub.url)
    assert not kept.exists()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(FaultKind.STATUS, status=404), ErrorKind.CATALOG_INVALID),
        (Fault(FaultKind.STATUS, status=503), ErrorKind.CATALOG_INVALID),
        (Fault.rate_limit(40), ErrorKind.RATE_LIMITED),
        (Fault(FaultKind.RESET), ErrorKind.HUB_UNREACHABLE),
    ],
    ids=["absent", "busy", "too often", "reset"],
)
def test_a_server_that_does_not_deliver(
    hub: HubServer, source: CatalogSource, kept: Path, fault: Fault, kind: ErrorKind
) -> None:
    hub.fail_next("*", fault)
    assert refused(hub, source, kept).kind is kind
    assert not kept.exists()


def test_a_broken_line_leaves_nothing_behind(hub: HubServer, source: CatalogSource, kept: Path) -> None:
    hub.fail_next("*", Fault(FaultKind.DROP, at_byte=100))
    assert refused(hub, source, kept).kind is ErrorKind.HUB_UNREACHABLE
    assert not kept.exists()


def test_nothing_is_fetched_offline(hub: HubServer, source: CatalogSource, kept: Path) -> None:
    assert refused(hub, source, kept, HubAccess(hub.url, offline=True)).kind is ErrorKind.OFFLINE
    assert not hub.requests


def test_a_folder_that_cannot_be_written_is_told(hub: HubServer, source: CatalogSource, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    error = refused(hub, source, tmp_path / "data" / "catalog.json")
    assert (error.kind, error.string("path")) == (ErrorKind.CATALOG_INVALID, str(tmp_path / "data" / "catalog.json"))


def test_what_another_source_left_is_not_taken_for_this_one(hub: HubServer, source: CatalogSource, kept: Path) -> None:
    update_catalog(HubAccess(hub.url), source, kept)
    assert load_kept(kept, CatalogSource(source.url, "0" * 64)) is None


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_catalog(tmp_path / "catalog.json")
    assert caught.value.kind is ErrorKind.CATALOG_INVALID
    assert caught.value.string("path").endswith("catalog.json")
