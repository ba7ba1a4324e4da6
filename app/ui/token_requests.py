"""Asks for the hub's token, and opens the hub's pages in the browser."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMessageBox, QWidget

from app.core.errors import UserError
from app.services.explain import explain
from app.services.explain_hub import TOKEN_PAGE
from app.services.hub import HubService

if TYPE_CHECKING:
    from app.ui.models.token_dialog import TokenDialog


class TokenRequests(QObject):
    """One dialog at a time; what the hub says of the token is told in it."""

    def __init__(self, hub: HubService, window: QWidget) -> None:
        super().__init__(window)
        self._hub = hub
        self._window = window
        self._dialog: TokenDialog | None = None
        self._is_kept = True
        hub.token_not_kept.connect(self._on_not_kept)
        hub.token_set.connect(self._on_set)
        hub.token_refused.connect(self._on_refused)

    def ask(self, repo: str = "") -> None:
        """Ask for a token; `repo` is the repository whose terms are to be accepted, if it is about one."""
        try:
            page = self._hub.access().page_url(repo) if repo else TOKEN_PAGE
        except UserError:
            page = TOKEN_PAGE
        from app.ui.models.token_dialog import TokenDialog

        self._is_kept = True
        self._dialog = TokenDialog(repo, page, TOKEN_PAGE, self._window)
        self._dialog.link_requested.connect(self.open_link)
        self._dialog.token_entered.connect(self._hub.set_token)
        self._dialog.finished.connect(self._on_finished)
        self._dialog.open()

    def open_link(self, address: str) -> None:
        """Links lead out of Hearth: the person sees where to first."""
        box = QMessageBox(self._dialog or self._window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Open in the browser"))
        box.setText(self.tr("Open this address in the browser?"))
        # Fully encoded it holds nothing that could be taken for markup.
        box.setInformativeText(QUrl(address).toString(QUrl.ComponentFormattingOption.FullyEncoded))
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setStandardButtons(QMessageBox.StandardButton.Open | QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(QMessageBox.StandardButton.Open)
        box.accepted.connect(partial(QDesktopServices.openUrl, QUrl(address)))
        box.open()

    def _on_finished(self, _result: int) -> None:
        if self._dialog is not None:
            self._dialog.deleteLater()
            self._dialog = None

    def _on_not_kept(self, _error: UserError) -> None:
        self._is_kept = False

    def _on_set(self, account: str) -> None:
        if self._dialog is not None:
            self._dialog.show_accepted(account, is_kept=self._is_kept)

    def _on_refused(self, error: UserError) -> None:
        if self._dialog is not None:
            self._dialog.show_refused(explain(error).sentences)
