"""Finds out which files are gone, without making the window wait for a slow disk or a network folder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal


class MissingFiles(QObject):
    """One question at a time matters: the answer to an older one is dropped."""

    found = Signal(object)  # frozenset[str] of paths that are no files
    _answered = Signal(int, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._question = 0
        self._answered.connect(self._on_answered, Qt.ConnectionType.QueuedConnection)

    def check(self, paths: Sequence[str]) -> None:
        """Ask for these paths; `found` is emitted on the main thread."""
        self._question += 1
        if paths:
            # A daemon: a hanging network folder must not keep Hearth from ending.
            threading.Thread(
                target=self._look, args=(self._question, tuple(paths)), name="missing-files", daemon=True
            ).start()

    def _look(self, question: int, paths: tuple[str, ...]) -> None:
        missing = frozenset(path for path in paths if not _is_file(path))
        try:
            self._answered.emit(question, missing)
        except RuntimeError:  # the page is gone by now
            return

    def _on_answered(self, question: int, missing: frozenset[str]) -> None:
        if question == self._question:
            self.found.emit(missing)


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except OSError:
        return False
