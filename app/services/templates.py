"""Looks at chat templates, and keeps the person's own: what an editor needs."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.core.errors import UserError
from app.core.events import Event, Failed, TemplateChecked
from app.core.library import LibraryModel
from app.core.template_check import FILE, named_template
from app.engine.client import EngineClient
from app.engine.protocol import CheckTemplate
from app.services.catalog import CatalogService
from app.services.library import LibraryService
from app.services.template_choices import TemplateChoices


class TemplateService(QObject):
    """Templates are tried in the engine's child, bounded in time, beside whatever it does. Main thread only."""

    checked = Signal(object)  # TemplateChecked, by the number that `check` returned
    check_failed = Signal(int, object)  # that number, UserError
    changed = Signal(str)  # path: another template is in use for it
    store_failed = Signal(object)  # UserError

    def __init__(
        self,
        engine: EngineClient,
        choices: TemplateChoices,
        library: LibraryService,
        catalog: CatalogService,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._choices = choices
        self._library = library
        self._catalog = catalog
        self._waiting: set[int] = set()
        engine.event_received.connect(self._on_event)
        engine.died.connect(self._on_died)
        choices.changed.connect(self.changed)
        choices.failed.connect(self.store_failed)
        library.listed.connect(self._on_listed)
        choices.changed.connect(library.refresh)  # whose list tells of templates

    def name_of(self, path: str) -> str:
        """What the model is called; empty for a file that is not in the library."""
        model = self._library.model(path)
        return model.name if model is not None else ""

    def template_of(self, path: str) -> str:
        """The template in place of the file's; empty for its own."""
        return self._choices.of(path)

    @property
    def is_at_hand(self) -> bool:
        """Whether a check needs no engine to be started for it."""
        return self._engine.is_running

    def check(self, path: str, template: str = "") -> int:
        """Try a template with a file, by default the file's own; ends in `checked` or `check_failed`."""
        request = CheckTemplate(self._engine.next_id(), path, template, self.suggestion(path))
        self._waiting.add(request.id)
        self._engine.send(request)
        return request.id

    def save(self, path: str, template: str) -> None:
        """Use this template for a file from now on, also for the answers to come of a model that is loaded."""
        self._choices.choose(path, template)

    def keep_suggestion(self, path: str, checked: TemplateChecked) -> None:
        """Where the file's own cannot be used and the catalogue told the right one, use that from now on.

        The engine chooses by what the file says of itself, and so would choose another. What the person chose stays.
        """
        is_free = checked.name == FILE and not self.template_of(path)
        if is_free and checked.used != FILE and checked.used == self.suggestion(path):
            self.save(path, named_template(checked.used))

    def restore(self, path: str) -> None:
        """Use the file's own again."""
        self._choices.choose(path, "")

    def suggestion(self, path: str) -> str:
        """The catalogue's word for the format of the model that a file was downloaded as; empty: unknown."""
        model, catalog = self._library.model(path), self._catalog.catalog
        if model is None or catalog is None or not model.repo:
            return ""
        return next((row.template for row in catalog.models if any(file.repo == model.repo for file in row.files)), "")

    def _on_listed(self, models: list[LibraryModel]) -> None:
        """A file that was moved takes its template along."""
        if self._choices.paths - {model.path for model in models}:
            self._choices.refresh()

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, TemplateChecked | Failed) or event.request_id not in self._waiting:
            return
        self._waiting.discard(event.request_id)
        if isinstance(event, TemplateChecked):
            self.checked.emit(event)
        else:
            self.check_failed.emit(event.request_id, event.error)

    def _on_died(self, error: UserError) -> None:
        waiting, self._waiting = self._waiting, set()
        for number in sorted(waiting):
            self.check_failed.emit(number, error)
