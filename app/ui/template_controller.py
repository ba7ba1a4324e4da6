"""Chat templates on the models page: what is found of each, the editor, and a word after a download."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.core.downloads import Download
from app.core.errors import UserError
from app.core.events import TemplateChecked
from app.core.library import LibraryModel
from app.services.explain_template import explain_shortly, explain_template
from app.services.profile import Profile
from app.ui.models.library_view import LibraryView
from app.ui.notices import NoticeArea


class TemplateController(QObject):
    """Looks at the template of a model when its details are shown or its download is over."""

    def __init__(self, profile: Profile, view: LibraryView, notices: NoticeArea, parent: QWidget) -> None:
        super().__init__(parent)
        self._service = profile.templates
        self._view = view
        self._notices = notices
        self._window = parent
        self._asked: dict[int, str] = {}  # number of a check → path
        self._fresh: set[str] = set()  # downloads that are not in the library yet
        self._downloaded: set[int] = set()  # checks of fresh downloads
        self._known: set[str] = set()
        view.template_requested.connect(self.open_editor)
        view.template_shown.connect(self._on_shown)
        profile.downloads.finished.connect(self._on_downloaded)
        profile.library.listed.connect(self._on_listed)
        self._service.checked.connect(self._on_checked)
        self._service.check_failed.connect(self._on_check_failed)
        self._service.changed.connect(self._on_changed)

    def open_editor(self, path: str) -> None:
        """Edit the template of a model."""
        from app.ui.models.template_editor import TemplateEditor

        TemplateEditor(self._service, path, self._window.window()).open()

    def _check(self, path: str) -> int:
        self._known.add(path)
        number = self._service.check(path, self._service.template_of(path))
        self._asked[number] = path
        return number

    def _on_shown(self, path: str) -> None:
        if path not in self._known and self._service.is_at_hand:
            self._check(path)

    def _on_downloaded(self, download: Download) -> None:
        if download.path:
            self._fresh.add(download.path)

    def _on_listed(self, models: Sequence[LibraryModel]) -> None:
        """Now it is known which model of the catalogue a download is."""
        for path in self._fresh & {model.path for model in models}:
            self._fresh.discard(path)
            self._downloaded.add(self._check(path))

    def _on_changed(self, path: str) -> None:
        if path in self._known:
            self._check(path)

    def _on_checked(self, checked: TemplateChecked) -> None:
        path = self._asked.pop(checked.request_id, None)
        if path is None:
            return
        self._view.set_template_words(path, explain_shortly(checked))
        if checked.request_id in self._downloaded:
            self._downloaded.discard(checked.request_id)
            self._service.keep_suggestion(path, checked)
            verdict = explain_template(checked)
            if not verdict.is_usable:
                self._notices.show_notice(
                    verdict.summary,
                    self.tr("Chat template…"),
                    partial(self.open_editor, path),
                    topic=f"template {path}",
                )

    def _on_check_failed(self, number: int, _error: UserError) -> None:
        """A file that is no model is told of when it is loaded."""
        path = self._asked.pop(number, None)
        self._downloaded.discard(number)
        if path is not None:
            self._known.discard(path)
