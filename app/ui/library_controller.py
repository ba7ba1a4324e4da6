"""The models on this computer, wired to the services."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.library import LibraryModel
from app.services.model_updates import ModelUpdate
from app.services.profile import Profile
from app.services.trash import Trashed
from app.services.wording import file_size
from app.ui.local_files import show_in_folder
from app.ui.models.library_view import LibraryView
from app.ui.notices import NoticeArea
from app.ui.template_controller import TemplateController


class LibraryController(QObject):
    """Keeps the list up to date, and tells what came of what the person does in it."""

    def __init__(self, profile: Profile, notices: NoticeArea, parent: QWidget) -> None:
        super().__init__(parent)
        self._profile = profile
        self._notices = notices
        self.view = LibraryView(parent)
        self._templates = TemplateController(profile, self.view, notices, parent)
        self._connect_view()
        self._connect_services()
        self._show_models()
        self.view.set_folders(profile.library.folders)

    def _connect_view(self) -> None:
        view, library = self.view, self._profile.library
        view.show_in_folder_requested.connect(show_in_folder)
        view.rename_requested.connect(library.rename)
        view.move_requested.connect(library.move)
        view.trash_requested.connect(library.trash)
        view.remove_requested.connect(self._on_remove)
        view.hash_requested.connect(library.compute_hash)
        view.cancel_requested.connect(library.cancel)
        view.update_requested.connect(self._on_update_wanted)
        view.duplicates_requested.connect(library.find_duplicates)
        view.add_folder_requested.connect(library.add_folder)
        view.remove_folder_requested.connect(library.remove_folder)

    def _connect_services(self) -> None:
        library, updates, models = self._profile.library, self._profile.updates, self._profile.models
        library.listed.connect(self._show_models)
        library.folders_changed.connect(self.view.set_folders)
        library.progressed.connect(self.view.set_progress)
        library.settled.connect(self._on_settled)
        library.moved.connect(self.view.follow)
        library.trashed.connect(self._on_trashed)
        library.duplicates_found.connect(self._on_duplicates)
        library.failed.connect(self._notices.show_error)
        updates.checked.connect(self._on_update_checked)
        updates.not_found.connect(self._on_update_not_found)
        updates.failed.connect(self._notices.show_error)
        models.files_changed.connect(library.refresh)
        models.loaded.connect(self._show_models)

    def _show_models(self) -> None:
        models = self._profile.models
        self.view.set_models(self._profile.library.models, None if models.is_builtin else models.current_path)

    def _on_settled(self, path: str) -> None:
        self.view.set_progress(path, None)

    def _on_remove(self, path: str) -> None:
        library = self._profile.library
        model = library.model(path)
        library.remove(path)
        if model is not None:
            words = self.tr("“{model}” is off the list. The file is still there.").format(model=model.name)
            self._notices.show_notice(words, self.tr("Undo"), partial(library.restore, path))

    def _on_trashed(self, trashed: Trashed) -> None:
        words = self.tr("“{model}” is in the trash ({size}).")
        text = words.format(model=trashed.model.name, size=file_size(trashed.model.size_bytes))
        self._notices.show_notice(text, self.tr("Undo"), partial(self._profile.library.untrash, trashed))

    def _on_duplicates(self, groups: list[tuple[str, ...]]) -> None:
        if not groups:
            self._notices.show_notice(self.tr("No two files have the same content."))
            return
        by_path = {model.path: model for model in self._profile.library.models}
        twice = sum(by_path[path].size_bytes for group in groups for path in group[1:] if path in by_path)
        words = self.tr(
            "%n file(s) are there more than once; {size} could be freed. Their details name the others.",
            "",
            len(groups),
        )
        self._notices.show_notice(words.format(size=file_size(twice)))

    # -- newer files on the hub

    def _on_update_wanted(self, path: str) -> None:
        if (model := self._profile.library.model(path)) is not None:
            self._profile.updates.check(model)

    def _on_update_checked(self, update: ModelUpdate) -> None:
        name = update.model.name
        if not update.files:
            self._notices.show_notice(self.tr("“{model}” is what the hub has now.").format(model=name))
            return
        total = file_size(sum(file.size_bytes for file in update.files))
        words = self.tr("The hub has another file for “{model}” ({size}).").format(model=name, size=total)
        if update.model.is_read_only:
            self._notices.show_notice(words)
        else:
            self._notices.show_notice(words, self.tr("Download it"), partial(self._update, update))

    def _on_update_not_found(self, model: LibraryModel) -> None:
        words = self.tr("The hub has no file of this name any more: “{model}”.").format(model=model.name)
        self._notices.show_notice(words)

    def _update(self, update: ModelUpdate) -> None:
        """Download the newer file; the one that is here is replaced once the new one is complete."""
        inside = len(PurePosixPath(update.files[0].path).parts)
        folder = Path(update.model.path).parents[inside - 1]
        downloads = self._profile.downloads
        added = downloads.add(update.files, update.model.name, quantization=update.model.quantization, folder=folder)
        downloads.replace(added.id)
