"""The models on this computer: found, named, moved, deleted, compared."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, Qt, Signal

from app.core.errors import UserError
from app.core.library import NEVER_READ_NS, FoundFile, LibraryModel, possible_copies
from app.core.messages import utc_now
from app.hub.adopt.places import Places
from app.hub.adopt.programs import find_new
from app.hub.file_moves import CancelledError, IsCancelled, Moved, Progress, hash_file, move_model, recover_moves
from app.hub.library_scan import Scan, look, read_models
from app.hub.move_journal import MoveJournal
from app.services.progress import PartialProgress, ThrottledProgress
from app.services.store import Stores, StoreService
from app.services.tasks import Task, Tasks
from app.services.trash import Trashed, fetch_from_trash, move_to_trash
from app.storage.models import Seen

T = TypeVar("T")
DUPLICATES = ""
"""In place of a path: the comparison of all files."""

_AT_ONCE = 2  # moves and hashes: more make each other slower, and would leave no thread for anything else


class LibraryService(QObject):
    """Main thread only; disks are looked at in the background. Files of other programs are never touched."""

    listed = Signal(object)  # list[LibraryModel]
    folders_changed = Signal(object)  # list[str]
    scanned = Signal()  # a look at the disk is over
    found_elsewhere = Signal(object)  # list[FoundFile] of other programs that were never offered before
    progressed = Signal(str, float)  # path, 0 to 1: a move or a hash
    settled = Signal(str)  # path: a move or a hash is over, whatever came of it
    claimed = Signal(str)  # path: its file is about to be moved or deleted, whoever reads it lets go
    moved = Signal(str, str)  # path before and now, of the first part
    trashed = Signal(object)  # Trashed
    duplicates_found = Signal(object)  # list[tuple[str, ...]] of paths with equal content
    failed = Signal(object)  # UserError

    _worked = Signal(str, float)  # from worker threads

    def __init__(
        self,
        store: StoreService,
        tasks: Tasks,
        places: Callable[[], Places],
        own_folder: Callable[[], Path],
        moves: Path,
        parent: QObject | None = None,
    ) -> None:
        """`own_folder` says where downloads go now, `places` where other programs are looked for.

        In `moves` it is noted what is being moved, for the case that Hearth is killed.
        """
        super().__init__(parent)
        self._store = store
        self._tasks = tasks
        self._places = places
        self._own_folder = own_folder
        self._journal = MoveJournal(moves)
        self._models: list[LibraryModel] = []
        self._missing: frozenset[str] = frozenset()
        self._folders: list[str] = []
        self._scan: Task[Scan] | None = None
        self._looked_at: set[str] = set()  # paths; of another it is not known whose it is
        self._busy: dict[str, threading.Event] = {}  # by path: set it to end the long work on a file
        self._waiting: dict[str, Callable[[], object]] = {}  # of these, by path: what begins those that have not begun
        self._worked.connect(self._on_worked, Qt.ConnectionType.QueuedConnection)
        store.opened.connect(self.scan)
        store.opened.connect(self._recover_moves)

    @property
    def models(self) -> list[LibraryModel]:
        """The library, last used first."""
        return self._models

    @property
    def folders(self) -> list[str]:
        """The folders that are watched, Hearth's own first."""
        return [str(self._own_folder()), *self._folders]

    def model(self, path: str) -> LibraryModel | None:
        """The one at `path`."""
        return next((model for model in self._models if model.path == path), None)

    @property
    def is_working(self) -> bool:
        """Whether any file is being moved or hashed because a person wants it."""
        return bool(self._busy)

    def is_busy(self, path: str) -> bool:
        """Whether this file is being moved or hashed."""
        return path in self._busy

    # --- looking ---

    def shut_down(self) -> None:
        """End all moves and hashes: half a copy of a model would lie about until the next start."""
        for cancelled in self._busy.values():
            cancelled.set()

    def refresh(self) -> None:
        """Read the library again, without looking at the disk; ends in `listed`."""

        def work(stores: Stores) -> tuple[list[LibraryModel], list[str]]:
            return stores.models.list(), stores.models.folders()

        self._store.run(work, self._on_read, self.failed.emit)

    def scan(self) -> None:
        """Look at the disk: new files in watched folders, files that are gone; ends in `listed` and `scanned`."""

        def work(stores: Stores) -> tuple[list[LibraryModel], list[str], dict[str, Seen]]:
            return stores.models.list(), stores.models.folders(), stores.models.seen()

        def on_known(known: tuple[list[LibraryModel], list[str], dict[str, Seen]]) -> None:
            models, folders, seen = known
            self._looked_at.update(model.path for model in models)
            self._on_read((models, folders))
            own, places = self._own_folder(), self._places()
            if self._scan is not None:
                self._scan.cancel()
            self._scan = self._tasks.run(
                lambda: look(models, own, folders, seen, places), self._on_scanned, self.failed.emit
            )

        self._store.run(work, on_known, self.failed.emit)

    def add_folder(self, folder: str) -> None:
        """Watch a folder for models."""
        if folder not in self.folders:
            self._change(lambda stores: stores.models.add_folder(folder, utc_now()), self.scan)

    def remove_folder(self, folder: str) -> None:
        """Watch it no more, and take what lies in it off the list, unless it was used."""
        inside = [
            model.path
            for model in self._models
            if model.last_used_at is None and Path(folder) in Path(model.path).parents
        ]

        def work(stores: Stores) -> None:
            stores.models.remove_folder(folder)
            for path in inside:
                stores.models.forget(path)

        self._change(work)

    # --- other programs ---

    def look_elsewhere(self, *, again: bool = False) -> None:
        """Look for the models of other programs; `found_elsewhere` tells of those never offered before.

        `again`: tells of all that are not on the list, also when there are none.
        """
        places = self._places()

        def on_seen(seen: dict[str, Seen]) -> None:
            known = {model.path for model in self._models}
            if not again:
                known |= seen.keys()
            hashes = [seen[path].sha256 for path in known - self._missing if path in seen]
            self._tasks.run(lambda: find_new(places, known, hashes), on_found, self.failed.emit)

        def on_found(found: list[FoundFile]) -> None:
            if found or again:
                self.found_elsewhere.emit(found)

        self._store.run(lambda stores: stores.models.seen(), on_seen, self.failed.emit)

    def adopt(self, found: Sequence[FoundFile]) -> None:
        """Put these into the library. They stay where they are, and theirs."""

        def on_read(models: list[tuple[LibraryModel, int]]) -> None:
            # So the next scan reads the rest of each header at its leisure.
            quick = [(model, NEVER_READ_NS) for model, _ in models]
            self._change(lambda stores: stores.models.add(quick, utc_now(), show=True), self.scan)

        self._tasks.run(lambda: read_models(found, whole=False), on_read, self.failed.emit)

    def decline(self, found: Sequence[FoundFile]) -> None:
        """Do not offer these again."""

        def work(stores: Stores) -> None:
            models = [
                LibraryModel(each.path, each.name, each.owner, each.parts, 0, sha256=each.sha256) for each in found
            ]
            stores.models.add([(model, NEVER_READ_NS) for model in models], utc_now())
            stores.models.hide([each.path for each in found])

        self._change(work)

    # --- one model ---

    def rename(self, path: str, name: str) -> None:
        """Call it so in Hearth; the file keeps its name. Empty: as it calls itself."""
        self._change(lambda stores: stores.models.rename(path, name.strip()))

    def remove(self, path: str) -> None:
        """Take it off the list; the file stays."""
        self._change(lambda stores: stores.models.hide([path]))

    def restore(self, path: str) -> None:
        """Put what was removed back on the list."""
        self._change(lambda stores: stores.models.hide([path], hidden=False))

    def compute_hash(self, path: str) -> None:
        """Compute the SHA-256 of its first part; ends in `listed` and `settled`."""

        def work(progress: Progress, is_cancelled: IsCancelled) -> str:
            return hash_file(Path(path), progress, is_cancelled)

        self._start(path, work, lambda sha256: self.keep_hashes({path: sha256}))

    def keep_hashes(self, hashes: Mapping[str, str]) -> None:
        """Keep the SHA-256 of first parts, by path, until the files change; ends in `listed`, where copies are told."""

        def work(stores: Stores) -> None:
            for path, sha256 in hashes.items():
                stores.models.set_hash(path, sha256)

        self._change(work)

    def move(self, path: str, folder: str) -> None:
        """Move its files into another folder, on any drive; ends in `listed` and `settled`."""
        model = self.model(path)
        if model is None or model.is_read_only:
            return

        self.claimed.emit(path)
        parts = [Path(part) for part in model.parts]

        def work(progress: Progress, is_cancelled: IsCancelled) -> Moved:
            return move_model(parts, Path(folder), self._journal, progress, is_cancelled)

        self._start(path, work, self._on_moved)

    def cancel(self, path: str) -> None:
        """End a move or a hash; ends in `settled`, with everything as before unless it was already over."""
        if self._waiting.pop(path, None) is not None:
            self._settle(path)
        elif (cancelled := self._busy.get(path)) is not None:
            cancelled.set()

    def trash(self, path: str) -> None:
        """Move its files to the trash of the system; ends in `trashed`."""
        model = self.model(path)
        if model is None or model.is_read_only or self.is_busy(path):
            return

        self.claimed.emit(path)

        def on_done(places: tuple[tuple[str, str], ...]) -> None:
            self._change(lambda stores: stores.models.hide([path]))
            self.trashed.emit(Trashed(model, places))

        self._tasks.run(lambda: move_to_trash(model.parts), on_done, self.failed.emit)

    def untrash(self, trashed: Trashed) -> None:
        """Fetch it back out of the trash."""

        def on_done(_: None) -> None:
            self._change(lambda stores: stores.models.hide([trashed.model.path], hidden=False), self.scan)

        self._tasks.run(lambda: fetch_from_trash(trashed), on_done, self.failed.emit)

    def find_duplicates(self) -> None:
        """Compare the contents of files of equal size; ends in `duplicates_found`."""
        wanted = possible_copies(self._models)
        self._start(DUPLICATES, lambda progress, cancelled: _hash_all(wanted, progress, cancelled), self._on_hashed)

    # --- what comes back ---

    def _recover_moves(self) -> None:
        """Mend what a Hearth that was killed left half moved."""

        def on_mended(finished: list[Moved]) -> None:
            for moved in finished:
                self._on_moved(moved)

        self._tasks.run(lambda: recover_moves(self._journal), on_mended, self.failed.emit)

    def _on_moved(self, moved: Moved) -> None:
        path, parts = str(moved.parts[0]), [str(target) for target in moved.targets]

        def forget() -> None:
            if moved.entry:
                self._tasks.run(lambda: self._journal.forget(moved.entry))
            self.scan()

        self.moved.emit(path, parts[0])
        self._change(lambda stores: stores.models.move(path, parts), forget)

    def _on_read(self, known: tuple[list[LibraryModel], list[str]]) -> None:
        models, self._folders = known
        by_hash: defaultdict[str, list[str]] = defaultdict(list)
        for model in models:
            if model.sha256:
                by_hash[model.sha256].append(model.path)
        self._models = [self._as_found(model, by_hash.get(model.sha256, ())) for model in models]
        self.listed.emit(self._models)
        self.folders_changed.emit(self.folders)
        if new := {model.path for model in models} - self._looked_at:  # the person opened a file
            self._looked_at |= new
            self.scan()

    def _as_found(self, model: LibraryModel, of_its_hash: Sequence[str]) -> LibraryModel:
        """With what the disk told of it; most are nothing special, and 500 copies would take 3 ms."""
        is_missing, same_as = model.path in self._missing, tuple(path for path in of_its_hash if path != model.path)
        return replace(model, is_missing=is_missing, same_as=same_as) if is_missing or same_as else model

    def _on_scanned(self, scan: Scan) -> None:
        self._scan = None
        self._missing = scan.missing
        self._looked_at.update(model.path for model, _ in scan.fresh)
        if scan.fresh:
            self._change(lambda stores: stores.models.add(scan.fresh, utc_now()))
        else:
            self.refresh()
        self.scanned.emit()

    def _on_hashed(self, hashes: dict[str, str]) -> None:
        by_hash: defaultdict[str, list[str]] = defaultdict(list)
        for path, sha256 in hashes.items():
            by_hash[sha256].append(path)
        self.keep_hashes(hashes)
        self.duplicates_found.emit([tuple(paths) for paths in by_hash.values() if len(paths) > 1])

    def _on_worked(self, path: str, fraction: float) -> None:
        if path in self._busy:
            self.progressed.emit(path, fraction)

    # --- work ---

    def _change(self, work: Callable[[Stores], None], then: Callable[[], None] | None = None) -> None:
        self._store.run(work, lambda _: (then or self.refresh)(), self.failed.emit)

    def _start(self, path: str, work: Callable[[Progress, IsCancelled], T], on_done: Callable[[T], None]) -> None:
        """Do long work on one file, in its turn; nothing happens while there is other work on it."""
        if path in self._busy:
            return
        cancelled = threading.Event()
        progress = ThrottledProgress(lambda fraction: self._worked.emit(path, fraction))

        def carry_out() -> T | None:
            with suppress(CancelledError):
                return work(progress.tell, cancelled.is_set)
            return None

        def finish(result: T | None) -> None:
            self._settle(path)
            if result is not None:
                on_done(result)

        def fail(error: UserError) -> None:
            self._settle(path)
            self.failed.emit(error)

        self._busy[path] = cancelled
        self._waiting[path] = lambda: self._tasks.run(carry_out, finish, fail)
        self._begin_waiting()

    def _begin_waiting(self) -> None:
        while self._waiting and len(self._busy) - len(self._waiting) < _AT_ONCE:
            self._waiting.pop(next(iter(self._waiting)))()

    def _settle(self, path: str) -> None:
        self._busy.pop(path, None)
        self.settled.emit(path)
        self._begin_waiting()


def _hash_all(models: Sequence[LibraryModel], progress: Progress, is_cancelled: IsCancelled) -> dict[str, str]:
    """The hash of each by its path; those known are not computed again, those that cannot be read are left out."""
    hashes = {}
    for place, model in enumerate(models):
        start = place / len(models)
        step = PartialProgress(progress, start, 1 / len(models))
        with suppress(UserError):
            hashes[model.path] = model.sha256 or hash_file(Path(model.path), step.tell, is_cancelled)
    return hashes
