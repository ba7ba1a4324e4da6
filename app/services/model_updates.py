"""Whether the hub has a newer file than the one on this computer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePath

from PySide6.QtCore import QObject, Signal

from app.core.downloads import DownloadFile
from app.core.errors import UserError
from app.core.hub_values import HubDetails
from app.core.library import LibraryModel
from app.hub.access import HubAccess
from app.services.tasks import Tasks


@dataclass(frozen=True, slots=True)
class ModelUpdate:
    """A newer file of a model, to be downloaded; `files` is empty when the one here is the newest."""

    model: LibraryModel
    files: tuple[DownloadFile, ...]


class ModelUpdates(QObject):
    """Asks the hub when the person does. Main thread only."""

    checked = Signal(object)  # ModelUpdate
    not_found = Signal(object)  # LibraryModel: the repository has no file of this name any more
    failed = Signal(object)  # UserError

    def __init__(self, tasks: Tasks, access: Callable[[], HubAccess], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._access = access

    def check(self, model: LibraryModel) -> None:
        """Compare a model whose repository is known with what the hub has; ends in one of the signals."""
        try:
            access = self._access()
        except UserError as error:
            self.failed.emit(error)
            return

        def on_done(update: ModelUpdate | None) -> None:
            if update is None:
                self.not_found.emit(model)
            else:
                self.checked.emit(update)

        self._tasks.run(lambda: _check(access, model), on_done, self.failed.emit)


def _check(access: HubAccess, model: LibraryModel) -> ModelUpdate | None:
    from app.hub.client import HubClient

    access.require_online()
    client = HubClient(replace(access, cache_folder=None))  # what was true an hour ago is of no use here
    try:
        return compare(model, client.details(model.repo))
    finally:
        client.close()


def compare(model: LibraryModel, details: HubDetails) -> ModelUpdate | None:
    """What the hub has for a model; None when there is no file of its name or content.

    Files are the same if their hash is, where both are known, else if their size is. Of several files of one name, in
    folders by quantization, the one in a folder that is called like the model's is meant.
    """
    if model.sha256 and any(file.parts[0].sha256 == model.sha256 for file in details.files):
        return ModelUpdate(model, ())
    place = PurePath(model.path).parts[-2:]
    named = [file for file in details.files if PurePath(file.path).name == place[-1]]
    found = max(named, key=lambda file: PurePath(file.path).parts[-2:] == place, default=None)
    if found is None:
        return None
    parts = found.parts
    if model.size_bytes == found.size_bytes and not (model.sha256 and parts[0].sha256):
        return ModelUpdate(model, ())
    files = (DownloadFile(model.repo, part.path, details.commit, part.sha256, part.size_bytes) for part in parts)
    return ModelUpdate(model, tuple(files))
