"""The model files that are known: read from the database, with what was loaded noted there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.core.events import ModelInfo
from app.core.messages import utc_now
from app.services.store import Stores, StoreService

if TYPE_CHECKING:
    from app.core.library import LibraryModel

_DRAFT_SHARE = 3  # a draft model that is not smaller than this share of the model guesses too slowly


class ModelFiles(QObject):
    """Read once the database is open, and again after each load. Main thread only."""

    changed = Signal(object)  # list[LibraryModel]

    def __init__(self, store: StoreService, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._files: list[LibraryModel] = []
        store.opened.connect(self._read)

    @property
    def files(self) -> list[LibraryModel]:
        """Newest used first."""
        return self._files

    def remember(self, model: ModelInfo) -> None:
        """Note that a model was loaded just now; ends in `changed`."""

        def work(stores: Stores) -> None:
            from app.storage.models import ModelUse

            stores.models.remember(
                ModelUse(
                    path=model.path,
                    name=model.name,
                    size_bytes=model.size_bytes,
                    architecture=model.architecture,
                    parameters=model.parameters,
                    used_at=utc_now(),
                )
            )

        self._store.run(work, lambda _: self._read())

    def _read(self) -> None:
        self._store.run(lambda stores: stores.models.list(), self._on_read)

    def _on_read(self, files: list[LibraryModel]) -> None:
        self._files = files
        self.changed.emit(files)


def likely_drafts(info: ModelInfo, files: Sequence[LibraryModel]) -> list[LibraryModel]:
    """Those that may guess for a model: much smaller and of the same architecture."""
    return [
        file
        for file in files
        if 0 < file.size_bytes <= info.size_bytes // _DRAFT_SHARE
        and file.architecture == info.architecture
        and not file.is_missing
    ]
