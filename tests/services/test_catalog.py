from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.catalog import Catalog
from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.catalog_file import encode_catalog
from app.paths import shipped_catalog
from app.services.catalog import CatalogService
from app.services.settings import SettingsService
from app.services.tasks import Tasks
from tests.fixtures.catalog_json import catalog_json
from tests.hub.hub_server import HubServer

REPO = "shore/catalogue"
OLDER, SHIPPED, NEWER = "2026-01-01", "2026-11-21", "2027-05-05"


class Desk:
    """A catalogue service with real settings, files and network, and what it told."""

    def __init__(self, tmp_path: Path, hub: HubServer) -> None:
        self.hub = hub
        self.offline = False
        self.shipped = tmp_path / "shipped.json"
        self.shipped.write_bytes(encode_catalog(catalog_json(updated=SHIPPED)))
        self.kept = tmp_path / "kept.json"
        self.tasks = Tasks()
        self.settings = SettingsService(tmp_path / "settings.json")
        self.loaded: list[Catalog] = []
        self.failed: list[UserError] = []
        self.update_failed: list[UserError] = []
        self.service = self.start()

    def start(self) -> CatalogService:
        """A service as after a restart of the application."""
        service = CatalogService(self.tasks, self.settings, self._access, self.shipped, self.kept)
        service.loaded.connect(self.loaded.append)
        service.failed.connect(self.failed.append)
        service.update_failed.connect(self.update_failed.append)
        return service

    def publish(self, updated: str) -> tuple[str, str]:
        """A catalogue of that day on a server: its address and SHA-256."""
        data = encode_catalog(catalog_json(updated=updated))
        self.hub.add_repo(REPO, {"catalog.json": data})
        return f"{self.hub.url}/{REPO}/resolve/main/catalog.json", hashlib.sha256(data).hexdigest()

    def choose(self, url: str, sha256: str) -> None:
        self.settings.set_value("catalog.url", url)
        self.settings.set_value("catalog.sha256", sha256)

    @property
    def days(self) -> list[str]:
        return [catalog.updated.isoformat() for catalog in self.loaded]

    def _access(self) -> HubAccess:
        return HubAccess(self.hub.url, offline=self.offline)


@pytest.fixture
def desk(qapp: object, tmp_path: Path) -> Iterator[Desk]:
    with HubServer() as hub:
        desk = Desk(tmp_path, hub)
        yield desk
        desk.tasks.shut_down()
        desk.settings.close()


@pytest.fixture
def wait(qtbot: QtBot) -> Callable[[Callable[[], bool]], None]:
    return lambda met: qtbot.waitUntil(met, timeout=10_000)


Wait = Callable[[Callable[[], bool]], None]


def test_nothing_is_read_before_it_is_asked_for_and_nothing_is_fetched_unasked(desk: Desk, wait: Wait) -> None:
    assert desk.service.catalog is None
    desk.service.open()
    desk.service.open()
    wait(lambda: bool(desk.loaded))
    desk.service.update()
    assert desk.days == [SHIPPED]
    assert desk.service.catalog is desk.loaded[0]
    assert not desk.hub.requests


def test_the_catalogue_that_comes_with_hearth(desk: Desk, wait: Wait) -> None:
    desk.shipped = shipped_catalog()
    desk.service = desk.start()
    desk.service.open()
    wait(lambda: bool(desk.loaded))
    assert len(desk.loaded[0].models) > 200


def test_a_chosen_catalogue_is_fetched_once_and_kept_for_the_next_start(desk: Desk, wait: Wait) -> None:
    desk.choose(*desk.publish(NEWER))
    desk.service.open()
    wait(lambda: desk.days == [SHIPPED, NEWER])
    asked = len(desk.hub.requests)
    desk.loaded.clear()
    desk.service = desk.start()
    desk.service.open()
    wait(lambda: desk.days == [NEWER])
    assert len(desk.hub.requests) == asked


def test_a_catalogue_older_than_our_own_is_kept_but_not_used(desk: Desk, wait: Wait) -> None:
    desk.choose(*desk.publish(OLDER))
    desk.service.open()
    wait(lambda: desk.kept.exists() and not desk.tasks._tasks)
    assert desk.days == [SHIPPED]


def test_choosing_and_giving_up_a_catalogue_while_the_list_is_open(desk: Desk, wait: Wait) -> None:
    desk.service.open()
    wait(lambda: desk.days == [SHIPPED])
    desk.choose(*desk.publish(NEWER))
    wait(lambda: desk.days == [SHIPPED, NEWER])
    desk.settings.set_value("catalog.url", "")
    wait(lambda: desk.days == [SHIPPED, NEWER, SHIPPED])
    assert desk.update_failed == []


def test_an_address_without_a_hash_is_explained_and_not_asked(desk: Desk, wait: Wait) -> None:
    url, _ = desk.publish(NEWER)
    desk.choose(url, "")
    desk.service.open()
    wait(lambda: bool(desk.update_failed))
    assert desk.update_failed == [UserError(ErrorKind.CATALOG_NOT_PINNED, url=url)]
    assert desk.days == [SHIPPED]
    assert not desk.hub.requests


def test_what_is_not_the_expected_catalogue_leaves_ours_in_place(desk: Desk, wait: Wait) -> None:
    url, _ = desk.publish(NEWER)
    desk.choose(url, "0" * 64)
    desk.service.open()
    wait(lambda: bool(desk.update_failed))
    assert desk.update_failed[0].kind is ErrorKind.CATALOG_INVALID
    assert desk.days == [SHIPPED]
    assert not desk.kept.exists()


def test_offline_the_list_is_ours(desk: Desk, wait: Wait) -> None:
    desk.offline = True
    desk.choose(*desk.publish(NEWER))
    desk.service.open()
    wait(lambda: bool(desk.update_failed))
    assert desk.update_failed[0].kind is ErrorKind.OFFLINE
    assert desk.days == [SHIPPED]


def test_a_damaged_installation_is_told(desk: Desk, wait: Wait) -> None:
    desk.shipped.unlink()
    desk.service.open()
    wait(lambda: bool(desk.failed))
    assert desk.failed[0].kind is ErrorKind.CATALOG_INVALID
    assert desk.service.catalog is None
