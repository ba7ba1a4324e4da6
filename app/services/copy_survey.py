"""Finds out which models of the library are copies of others, while nobody waits for the computer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import UserError
from app.core.library import LibraryModel, possible_copies
from app.engine.client import EngineClient
from app.services.library import LibraryService
from app.services.quiet_reading import QuietReading
from app.services.tasks import Tasks

log = logging.getLogger(__name__)
START_DELAY_MS = 10_000  # after the last change of the library: models are loaded and headers read meanwhile
LOOK_MS = 500  # how often it is looked whether somebody needs the computer
TELL_MS = 5_000  # how often what was found is stored and shown


class CopySurvey(QObject):
    """Does by itself what "Find duplicates" does: computes the hashes of files of equal size, where none is known.

    Few programs record one, so their copies look like different models. One file after the other, and only read: they
    may be other programs'. The library keeps the hashes until the files change, and tells what is the same.
    Main thread only; nothing here waits.
    """

    ended = Signal()  # all that could be copies are known, but for those that cannot be read

    def __init__(
        self, engine: EngineClient, library: LibraryService, tasks: Tasks, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._library = library
        self._tasks = tasks
        self._tried: set[str] = set()  # in this run of Hearth, and not known yet
        self._reading: QuietReading | None = None
        self._hashes: dict[str, str] = {}  # by path; not stored yet
        self._is_shut_down = False
        self._start = self._timer(self._go_on, single_shot=True)
        self._look = self._timer(self._on_look)
        self._tell = self._timer(self._store_hashes, single_shot=True)
        library.listed.connect(self._on_listed)
        library.claimed.connect(self._on_claimed)

    def shut_down(self) -> None:
        """Nothing is read any more; what is left comes in the next run."""
        self._is_shut_down = True
        for timer in (self._start, self._look, self._tell):
            timer.stop()
        if self._reading is not None:
            self._reading.stop()

    def _timer(self, handler: Callable[[], None], *, single_shot: bool = False) -> QTimer:
        timer = QTimer(self, singleShot=single_shot)
        timer.timeout.connect(handler)
        return timer

    def _on_listed(self, models: Sequence[LibraryModel]) -> None:
        known = {model.path for model in models if model.sha256}
        self._tried -= known  # should one of them change, it is read again
        if self._reading is not None and self._reading.path in known:  # somebody was faster
            self._reading.stop()
        if self._reading is None and self._next() is not None and not self._is_shut_down:
            self._start.start(START_DELAY_MS)

    def _on_claimed(self, path: str) -> None:
        if self._reading is not None and self._reading.path == path:
            self._reading.stop()

    def _on_look(self) -> None:
        if self._reading is not None:
            self._reading.hold(self._is_computer_needed())

    def _is_computer_needed(self) -> bool:
        """Whether a model answers or is loaded, or a person waits for other work on files."""
        return self._engine.is_busy or self._library.is_working

    def _next(self) -> str | None:
        """A file whose hash would tell something."""
        for model in possible_copies(self._library.models):
            if not model.sha256 and model.path not in self._tried and not self._library.is_busy(model.path):
                return model.path
        return None

    def _go_on(self) -> None:
        """Read the next one, if the computer has nothing better to do."""
        if self._is_shut_down or self._reading is not None:
            return
        path = self._next()
        if path is None:
            self._look.stop()
            self._store_hashes()
            self.ended.emit()
        elif self._is_computer_needed():
            self._start.start(LOOK_MS)
        else:
            self._tried.add(path)
            self._reading = reading = QuietReading(path)
            self._tasks.run(reading.compute_hash, self._on_read, self._on_unreadable)
            self._look.start(LOOK_MS)

    def _on_read(self, sha256: str) -> None:
        if self._reading is not None and sha256:
            self._hashes[self._reading.path] = sha256
            if not self._tell.isActive():
                self._tell.start(TELL_MS)
        self._reading = None
        self._go_on()

    def _on_unreadable(self, error: UserError) -> None:
        log.info("a model cannot be compared with others: %s", error.kind.value)
        self._on_read("")

    def _store_hashes(self) -> None:
        self._tell.stop()
        hashes, self._hashes = self._hashes, {}
        if hashes:
            self._library.keep_hashes(hashes)
