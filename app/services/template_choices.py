"""The chat templates that the person put in place of those of files."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.services.store import StoreService


class TemplateChoices(QObject):
    """Kept in the database beside each model file; known here once that is open. Main thread only.

    A template is Jinja source, or names a format of the table (`app.core.template_check.named_template`).
    """

    changed = Signal(str)  # path
    failed = Signal(object)  # UserError: a choice could not be stored; it holds until Hearth ends

    def __init__(self, store: StoreService, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._templates: dict[str, str] = {}
        self._unstored: dict[str, str] = {}  # choices that are on their way, or could not be stored
        store.opened.connect(self.refresh)

    @property
    def paths(self) -> frozenset[str]:
        """The files that have one."""
        return frozenset(path for path, template in self._templates.items() if template)

    def of(self, path: str) -> str:
        """The template for a file; empty for its own."""
        return self._templates.get(path, "")

    def choose(self, path: str, template: str) -> None:
        """Use this for a file from now on; empty: its own again."""
        if template == self.of(path):
            return
        self._templates[path] = self._unstored[path] = template

        def on_stored(_: None) -> None:
            if self._unstored.get(path) == template:
                del self._unstored[path]

        self._store.run(lambda stores: stores.models.set_template(path, template or None), on_stored, self.failed.emit)
        self.changed.emit(path)

    def refresh(self) -> None:
        """Read them again, as a file may lie elsewhere now."""
        self._store.run(lambda stores: stores.models.templates(), self._on_read, self.failed.emit)

    def _on_read(self, templates: dict[str, str]) -> None:
        before, self._templates = self._templates, {**templates, **self._unstored}
        for path in before.keys() | self._templates.keys():
            if before.get(path, "") != self.of(path):
                self.changed.emit(path)
