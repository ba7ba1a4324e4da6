"""The models page, wired to the services."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app.core.catalog import Catalog
from app.core.downloads import Download, DownloadId, DownloadState
from app.core.errors import UserError
from app.services.explain import explain
from app.services.explanation import Action, ActionKind
from app.services.profile import Profile
from app.services.tasks import Task
from app.services.trash import Trashed
from app.ui.hub_controller import HubController
from app.ui.library_controller import LibraryController
from app.ui.local_files import show_in_folder
from app.ui.models.catalogue_rows import CatalogueRows, judge_rows
from app.ui.models.details import ModelDetails
from app.ui.models.library_view import Order
from app.ui.models.page import ModelsPage, ModelsView
from app.ui.models.recommended_view import RecommendedView
from app.ui.models.sheet import FileChoice
from app.ui.models.verdicts import Verdicts
from app.ui.notices import NoticeArea

# What few people open is imported when it is: the page comes up sooner.
if TYPE_CHECKING:
    from app.ui.models.family_tree import FamilyTree


class ModelsController(QObject):
    """Keeps the views up to date and passes on what the person does in them."""

    open_requested = Signal()
    use_requested = Signal(object)  # path as str, or None for the built-in model
    settings_requested = Signal()
    look_elsewhere_requested = Signal()

    def __init__(self, profile: Profile, notices: NoticeArea, parent: QWidget) -> None:
        super().__init__(parent)
        self._profile = profile
        self._notices = notices
        self._recommended = RecommendedView(parent)
        self._hub = HubController(profile, parent)
        self._library = LibraryController(profile, notices, parent)
        self.page = ModelsPage(self._recommended, self._hub.view, self._library.view, parent)
        self._tree: FamilyTree | None = None
        self._fresh: set[str] = set()  # downloaded just now: the library may not list them yet
        self._judging: Task[CatalogueRows] | None = None
        self._is_stale = True  # the catalogue is not judged as the computer is now: nobody looks
        self._row_verdicts = Verdicts(profile, self._recommended.details, may_ask=self._hub.is_allowed)
        self._connect_hub()
        self._connect_library()
        self._connect_downloads()
        self._connect_catalogue()
        for details in (self._recommended.details, self._hub.view.details):
            self._connect_details(details)
        profile.catalog.open()
        self._show_downloads()

    def _connect_hub(self) -> None:
        self._hub.settings_requested.connect(self.settings_requested)
        self._hub.failed.connect(self._notices.show_error)
        self._hub.action_requested.connect(self._on_action)
        self._hub.allowed.connect(self._row_verdicts.allow_asking)
        self._hub.connect_details(self._recommended.details)

    # -- this computer

    def _connect_library(self) -> None:
        view, library = self._library.view, self._profile.library
        view.use_requested.connect(self.use_requested)
        view.open_requested.connect(self.open_requested)
        view.look_elsewhere_requested.connect(self.look_elsewhere_requested)
        library.listed.connect(self._show_here)
        library.trashed.connect(self._on_trashed)

    def _on_trashed(self, trashed: Trashed) -> None:
        self._fresh.discard(trashed.model.path)
        self._show_here()

    # -- downloads

    def _connect_downloads(self) -> None:
        panel, downloads = self.page.downloads, self._profile.downloads
        panel.pause_requested.connect(downloads.pause)
        panel.resume_requested.connect(downloads.resume)
        panel.cancel_requested.connect(downloads.cancel)
        panel.replace_requested.connect(downloads.replace)
        panel.folder_requested.connect(self._on_other_folder)
        panel.move_requested.connect(self._on_move_download)
        panel.clear_requested.connect(downloads.clear_done)
        panel.action_requested.connect(self._on_action)
        panel.use_requested.connect(self.use_requested)
        panel.show_in_folder_requested.connect(show_in_folder)
        downloads.listed.connect(self._show_downloads)
        downloads.changed.connect(panel.set_download)
        downloads.changed.connect(self._show_here)
        downloads.finished.connect(self._on_download_ended)
        downloads.failed.connect(self._on_download_ended)
        downloads.cancelled.connect(self._on_download_cancelled)
        downloads.save_failed.connect(self._notices.show_error)

    def _show_downloads(self) -> None:
        self.page.downloads.set_downloads(self._profile.downloads.downloads)
        self._show_here()

    def _show_here(self) -> None:
        """Let every button that downloads know what is here, and what is on its way."""
        on_the_way: dict[str, Download] = {}
        here: dict[str, str] = {}
        models = [model for model in self._profile.library.models if not model.is_missing]
        self._fresh -= {model.path for model in self._profile.library.models}
        paths = {model.path for model in models} | self._fresh
        for download in self._profile.downloads.downloads:
            key = f"{download.repo}/{download.files[0].path}"
            if download.state is not DownloadState.DONE:
                on_the_way[key] = download
            elif download.path in paths:
                here[key] = download.path
        known = {model.sha256: model.path for model in models if model.sha256}
        details = self._hub.view.details
        offered = (*self._recommended.choices, *(details.sheet.files if details.sheet is not None else ()))
        for choice in offered:
            if choice.parts and (path := known.get(choice.parts[0].sha256)):
                here.setdefault(choice.key, path)
        self._recommended.set_here(here, on_the_way)
        details.set_here(here, on_the_way)

    def _on_other_folder(self, name: str, folder: str) -> None:
        self._profile.downloads.use_folder(DownloadId(name), Path(folder))

    def _on_move_download(self, name: str, places: int) -> None:
        order = [download.id for download in self._profile.downloads.downloads]
        if DownloadId(name) in order:
            self._profile.downloads.move(DownloadId(name), order.index(DownloadId(name)) + places)

    def _on_action(self, action: Action) -> None:
        """What helps where a download or a search failed."""
        value = "" if action.value is None else str(action.value)
        match action.kind:
            case ActionKind.ENTER_TOKEN:
                self._hub.ask_for_token(value)
            case ActionKind.OPEN_LINK:
                self._hub.open_link(value)
            case ActionKind.GO_ONLINE:
                self._profile.hub.go_online()
            case ActionKind.OPEN_SETTING:
                self.settings_requested.emit()
            case ActionKind.DOWNLOAD_NEWER:
                self.page.search_hub(value)
            case ActionKind.MAKE_ROOM:
                self._library.view.sort_by(Order.SIZE)
                self.page.show_view(ModelsView.LIBRARY)
            case ActionKind.COPY_DETAILS:
                QGuiApplication.clipboard().setText(value)

    def _on_download_ended(self, download: Download) -> None:
        if download.state is DownloadState.DONE:
            self._fresh.add(download.path)
        self._show_downloads()

    def _on_download_cancelled(self, download: Download) -> None:
        words = self.tr("The download of “{model}” is cancelled.").format(model=download.name)
        self._notices.show_notice(words, self.tr("Undo"), lambda: self._profile.downloads.restore(download.id))

    # -- details

    def _connect_details(self, details: ModelDetails) -> None:
        details.download_requested.connect(self._download)
        details.file_chosen.connect(self._show_here)
        details.use_requested.connect(self.use_requested)
        details.show_in_hub_requested.connect(self.page.search_hub)

    def _download(self, choice: FileChoice, name: str) -> None:
        self._profile.downloads.add(choice.parts, name, quantization=choice.quantization)

    # -- the catalogue

    def _connect_catalogue(self) -> None:
        view, catalog = self._recommended, self._profile.catalog
        view.tree_requested.connect(self._on_tree_requested)
        view.download_requested.connect(self._download)
        view.use_requested.connect(self.use_requested)
        view.offered.connect(self._show_here)
        catalog.loaded.connect(self._judge_catalog)
        catalog.failed.connect(self._on_catalog_failed)
        catalog.update_failed.connect(self._on_catalog_not_updated)
        self._profile.fits.changed.connect(self._judge_catalog)
        self.page.shown.connect(self._on_page_shown)

    def _on_tree_requested(self) -> None:
        catalog = self._profile.catalog.catalog
        if catalog is None:
            return
        if self._tree is None:
            from app.ui.models.family_tree import FamilyTree

            self._tree = FamilyTree(self.page)
            self._tree.model_requested.connect(self._on_tree_model)
            self._tree.closed.connect(self._on_tree_closed)
            self.page.search.textChanged.connect(self._tree.set_search)
            self.page.overlay_wished.connect(self._tree.enter_found)
            self.page.add_overlay(self._tree)
        self._tree.set_catalog(catalog)
        sheet = self._recommended.sheet()
        if sheet is not None:
            self._tree.show_model(sheet.key)
        self._tree.set_search(self.page.search.text())
        self.page.show_overlay(self._tree)

    def _on_tree_model(self, model_id: str) -> None:
        self._on_tree_closed()
        self._recommended.show_model(model_id)

    def _on_tree_closed(self) -> None:
        self.page.show_view(ModelsView.RECOMMENDED)

    def _on_page_shown(self) -> None:
        self._profile.fits.machine()  # the memory is looked at anew: where it is another, all is judged again
        if self._is_stale:
            self._judge_catalog()

    def _judge_catalog(self) -> None:
        """Work out what fits this computer, in the background; that can wait while nobody looks."""
        catalog = self._profile.catalog.catalog
        self._is_stale = catalog is None or not self.page.isVisible()
        if catalog is None or self._is_stale:
            return
        if self._judging is not None:
            self._judging.cancel()
        fits = self._profile.fits
        speed = fits.speed()
        if not speed.bandwidths:
            return  # it is being measured; without it the largest would be recommended on the slowest computer
        self._judging = self._profile.tasks.run(
            partial(judge_rows, catalog, fits.machine(), speed, fits.cache_type),
            partial(self._on_judged, catalog),
            self._on_catalog_failed,
        )

    def _on_judged(self, catalog: Catalog, rows: CatalogueRows) -> None:
        self._judging = None
        self._row_verdicts.set_figures(rows.figures)
        self._recommended.set_rows(catalog, rows)
        self._show_here()

    def _on_catalog_failed(self, error: UserError) -> None:
        self._recommended.set_failure(explain(error).sentences)

    def _on_catalog_not_updated(self, error: UserError) -> None:
        words = self.tr("The list of recommended models could not be fetched. {why}")
        self._notices.show_notice(words.format(why=explain(error).sentences), topic="catalogue")
