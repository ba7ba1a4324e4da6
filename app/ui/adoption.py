"""Offers the models that other programs already keep."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget

from app.core.library import FoundFile
from app.services.library import LibraryService
from app.services.wording import file_size, number
from app.ui.notices import NoticeArea

FIRST_LOOK_MS = 4_000  # when the window has come to rest
TOPIC = "adoption"


class Adoption(QObject):
    """Looks once after each start, and when the person asks; what was declined is offered only when asked for."""

    def __init__(self, library: LibraryService, notices: NoticeArea, window: QWidget) -> None:
        super().__init__(window)
        self._library = library
        self._notices = notices
        self._window = window
        self._is_asked_for = False
        self._has_looked = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(FIRST_LOOK_MS)
        self._timer.timeout.connect(library.look_elsewhere)
        library.scanned.connect(self._on_scanned)
        library.found_elsewhere.connect(self._on_found)

    def look(self) -> None:
        """The person asks: also for what was declined."""
        self._is_asked_for = True
        self._library.look_elsewhere(again=True)

    def _on_scanned(self) -> None:
        if not self._has_looked:
            self._has_looked = True
            self._timer.start()

    def _on_found(self, found: Sequence[FoundFile]) -> None:
        is_asked_for, self._is_asked_for = self._is_asked_for, False
        if not found:
            self._notices.show_notice(self.tr("No other program on this computer has models that are not on the list."))
        elif is_asked_for:
            self._ask(found)
        else:
            total = sum(each.size_bytes for each in found)
            words = self.tr("Other programs on this computer keep models ({count}, {size}). Hearth can use them.")
            text = words.format(count=number(len(found)), size=file_size(total))
            self._notices.show_notice(text, self.tr("Show them…"), partial(self._ask, found), topic=TOPIC)

    def _ask(self, found: Sequence[FoundFile]) -> None:
        from app.ui.models.adopt_dialog import AdoptDialog

        self._notices.withdraw(TOPIC)  # which offers the same
        dialog = AdoptDialog(found, self._window)
        dialog.adopted.connect(self._library.adopt)
        dialog.declined.connect(self._library.decline)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
