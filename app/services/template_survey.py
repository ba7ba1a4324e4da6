"""Looks at the chat template of every model in the library, once, while nobody waits for the computer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.architectures import EMBEDDING_ARCHITECTURES
from app.core.errors import ErrorKind, UserError
from app.core.events import Event, Failed, TemplateChecked
from app.core.library import LibraryModel
from app.core.template_check import TemplateFindingKind, TemplateLook, TemplateState
from app.engine.client import EngineClient
from app.engine.protocol import CheckTemplate
from app.services.catalog import CatalogService
from app.services.library import LibraryService
from app.services.store import StoreService
from app.services.templates import TemplateService

log = logging.getLogger(__name__)
START_DELAY_MS = 5_000  # after the last change of the library: the first model is loaded meanwhile
BUSY_DELAY_MS = 1_000  # while somebody waits for an answer
TELL_MS = 5_000  # how often what was found is stored and shown: a list of hundreds takes time


class TemplateSurvey(QObject):
    """One file after the other, in a child of its own of the lowest priority. Main thread only; nothing here waits.

    A template may end the process that tries it, which must not be the one that answers. What was found is kept with
    each file, until that or Hearth changes.
    """

    ended = Signal()  # every template in the library is known

    def __init__(
        self,
        child: EngineClient,
        engine: EngineClient,
        store: StoreService,
        library: LibraryService,
        catalog: CatalogService,
        templates: TemplateService,
        parent: QObject | None = None,
    ) -> None:
        """`child` is for the survey alone, and gives way; `engine` answers the person."""
        super().__init__(parent)
        self._child = child
        self._engine = engine
        self._store = store
        self._library = library
        self._catalog = catalog
        self._templates = templates
        self._tried: set[str] = set()  # in this run of Hearth
        self._path = ""  # being looked at
        self._size_bytes = 0  # of that file
        self._number = 0  # of that request
        self._looks: list[TemplateLook] = []  # not stored yet
        self._has_catalog = False  # or it cannot be had
        self._is_shut_down = False
        self._start = self._timer(START_DELAY_MS, self._go_on)
        self._tell = self._timer(TELL_MS, self._store_looks)
        library.listed.connect(self._on_listed)
        catalog.loaded.connect(self._on_catalog)
        catalog.failed.connect(self._on_catalog)
        child.event_received.connect(self._on_event)
        child.died.connect(self._on_died)

    def shut_down(self) -> None:
        """Nothing is looked at any more; what is left comes in the next run."""
        self._is_shut_down = True
        self._start.stop()
        self._store_looks()
        self._child.shutdown(0)

    def _timer(self, interval_ms: int, handler: Callable[[], None]) -> QTimer:
        timer = QTimer(self, singleShot=True, interval=interval_ms)
        timer.timeout.connect(handler)
        return timer

    def _on_listed(self, _models: Sequence[LibraryModel]) -> None:
        if not self._path and self._next() is not None and not self._is_shut_down:
            self._start.start(START_DELAY_MS)

    def _on_catalog(self, _catalog: object) -> None:
        if not self._has_catalog:
            self._has_catalog = True
            self._on_listed(())

    def _next(self) -> LibraryModel | None:
        """A model whose template nobody has looked at."""
        return next((model for model in self._library.models if self._is_wanted(model)), None)

    def _is_wanted(self, model: LibraryModel) -> bool:
        is_known = model.template_state is not TemplateState.UNKNOWN or model.path in self._tried
        can_chat = model.architecture not in EMBEDDING_ARCHITECTURES
        return can_chat and not is_known and not model.is_missing and not self._library.is_busy(model.path)

    def _go_on(self) -> None:
        """Look at the next one, if the computer has nothing better to do."""
        if self._is_shut_down or self._path:
            return
        model = self._next()
        if model is None:
            self._child.retire()
            self._store_looks()
            self.ended.emit()
        elif self._engine.is_busy:
            self._start.start(BUSY_DELAY_MS)
        elif model.repo and not self._has_catalog and self._catalog.catalog is None:
            self._catalog.open()  # it may tell the right template; `_on_catalog` follows
        else:
            self._path, self._size_bytes = model.path, model.size_bytes
            self._tried.add(model.path)
            self._number = self._child.next_id()
            suggestion = self._templates.suggestion(model.path)
            self._child.send(CheckTemplate(self._number, model.path, catalog_template=suggestion))

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, TemplateChecked | Failed) or event.request_id != self._number or not self._path:
            return
        path, self._path = self._path, ""
        if isinstance(event, TemplateChecked):
            self._templates.keep_suggestion(path, event)
            self._note(TemplateLook(path, self._size_bytes, *_finding(event)))
        self._go_on()

    def _on_died(self, error: UserError) -> None:
        path, self._path = self._path, ""
        if error.kind is ErrorKind.ENGINE_START_FAILED:
            log.warning("templates cannot be looked at: %s", error)
        elif path:
            self._note(TemplateLook(path, self._size_bytes, TemplateState.DEADLY))
            self._go_on()

    def _note(self, look: TemplateLook) -> None:
        self._looks.append(look)
        if not self._tell.isActive():
            self._tell.start()

    def _store_looks(self) -> None:
        self._tell.stop()
        looks, self._looks = self._looks, []
        if looks:
            is_news = any(look.state is not TemplateState.GOOD for look in looks) and not self._is_shut_down
            self._store.run(lambda stores: stores.models.note_templates(looks), self._refresh if is_news else None)

    def _refresh(self, _done: None) -> None:
        self._library.refresh()


def _finding(checked: TemplateChecked) -> tuple[TemplateState, str]:
    """What a check says of a file's own template, and what is used in place of it."""
    kinds = {finding.kind for finding in checked.findings}
    if TemplateFindingKind.MISSING in kinds:
        return TemplateState.MISSING, checked.used
    if checked.used != checked.name:
        return TemplateState.REPLACED, checked.used
    return TemplateState.GOOD, ""
