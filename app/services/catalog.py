"""The catalogue of models for the window: what came with Hearth, or a newer one that the person chose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.core.errors import UserError
from app.hub.access import HubAccess
from app.services.settings import SettingsService
from app.services.tasks import Task, Tasks

if TYPE_CHECKING:  # what reads and fetches catalogues is imported when one is wanted
    from app.core.catalog import Catalog
    from app.hub.catalog_update import CatalogSource

URL, SHA256 = "catalog.url", "catalog.sha256"


class CatalogService(QObject):
    """Main thread only; files and network are left to worker threads.

    Nothing is fetched unless the settings name an address and the SHA-256 of what has to lie there. A fetched catalogue
    is kept; of it and the one that came with Hearth, the one with the later day counts.
    """

    loaded = Signal(object)  # Catalog: there is one, or another one
    failed = Signal(object)  # UserError: the one that came with Hearth cannot be read
    update_failed = Signal(object)  # UserError; the catalogue that was there stays

    def __init__(
        self,
        tasks: Tasks,
        settings: SettingsService,
        access: Callable[[], HubAccess],  # may raise UserError
        shipped: Path,
        kept: Path,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._settings = settings
        self._access = access
        self._shipped = shipped
        self._kept = kept
        self._own: Catalog | None = None  # the one that came with Hearth
        self._catalog: Catalog | None = None
        self._loading: Task[tuple[Catalog, Catalog | None]] | None = None
        self._updating: Task[Catalog] | None = None
        settings.changed.connect(self._on_setting_changed)

    @property
    def catalog(self) -> Catalog | None:
        """The catalogue, None before `loaded`."""
        return self._catalog

    def open(self) -> None:
        """Load the catalogue, at its first use; ends in `loaded` or `failed`. Later calls do nothing."""
        if self._catalog is None and self._loading is None:
            self._load()

    def update(self) -> None:
        """Fetch the catalogue that the settings name, if any; ends in `update_failed` or, if it is newer, `loaded`."""
        source = self._source()
        if source is None:
            return
        try:
            source.require_pinned()
            access = self._access()
        except UserError as error:
            self.update_failed.emit(error)
            return
        self._cancel_update()
        kept = self._kept

        def work() -> Catalog:
            from app.hub.catalog_update import update_catalog

            return update_catalog(access, source, kept)

        self._updating = self._tasks.run(work, self._on_updated, self._on_update_failed)

    def _load(self) -> None:
        shipped, kept, source = self._shipped, self._kept, self._source()

        def work() -> tuple[Catalog, Catalog | None]:
            from app.hub.catalog_file import load_catalog
            from app.hub.catalog_update import load_kept

            return load_catalog(shipped), load_kept(kept, source) if source else None

        self._loading = self._tasks.run(work, self._on_loaded, self._on_load_failed)

    def _source(self) -> CatalogSource | None:
        url = self._settings.string(URL).strip()
        if not url:
            return None
        from app.hub.catalog_update import CatalogSource

        return CatalogSource(url, self._settings.string(SHA256).strip().lower())

    def _on_loaded(self, found: tuple[Catalog, Catalog | None]) -> None:
        self._loading = None
        self._own, fetched = found
        self._take(fetched)
        if fetched is None:
            self.update()

    def _on_load_failed(self, error: UserError) -> None:
        self._loading = None
        self.failed.emit(error)

    def _on_updated(self, fetched: Catalog) -> None:
        self._updating = None
        self._take(fetched)

    def _on_update_failed(self, error: UserError) -> None:
        self._updating = None
        self.update_failed.emit(error)

    def _take(self, fetched: Catalog | None) -> None:
        """Use the later of the fetched one and our own."""
        chosen = self._own
        if fetched is not None and (chosen is None or fetched.updated >= chosen.updated):
            chosen = fetched
        if chosen is not None and chosen != self._catalog:
            self._catalog = chosen
            self.loaded.emit(chosen)

    def _on_setting_changed(self, key: str) -> None:
        """Another address or hash: what was fetched before no longer counts."""
        if key not in (URL, SHA256) or (self._catalog is None and self._loading is None):
            return
        self._cancel_update()
        if self._settings.string(URL).strip() and not self._settings.string(SHA256).strip():
            return  # the hash is typed next
        if self._loading is not None:
            self._loading.cancel()
        self._load()

    def _cancel_update(self) -> None:
        if self._updating is not None:
            self._updating.cancel()
            self._updating = None
