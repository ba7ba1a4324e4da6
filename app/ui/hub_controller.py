"""The search on the hub and the token, wired to the services."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

from app.core.errors import ErrorKind, UserError
from app.core.fit import MachineMemory
from app.core.hub_values import HubDetails, SearchPage, SearchQuery
from app.core.messages import utc_now
from app.services.explain import explain
from app.services.explain_hub import old_answer_words
from app.services.profile import Profile
from app.ui.models.details import ModelDetails
from app.ui.models.hub_sheets import judge_models
from app.ui.models.hub_view import HubView
from app.ui.models.verdicts import Verdicts
from app.ui.token_requests import TokenRequests

ALLOWED = "hub.search_allowed"
USABLE_SHARE = 0.8  # of the memory that models may use, for a file's size: the context needs some too


class HubController(QObject):
    """Nothing is asked before the person has agreed, once."""

    settings_requested = Signal()
    action_requested = Signal(object)  # Action of a search that failed
    allowed = Signal()
    failed = Signal(object)  # UserError

    def __init__(self, profile: Profile, parent: QWidget) -> None:
        super().__init__(parent)
        self._profile = profile
        self.view = HubView(self._host(), parent)
        self._page: SearchPage | None = None  # the last one of the search that is shown
        self._tokens = TokenRequests(profile.hub, parent)
        self._verdicts = Verdicts(profile, self.view.details, may_ask=True)
        self._pause = QTimer(self)  # that the hub has asked for
        self._pause.setSingleShot(True)
        self._pause.timeout.connect(self.view.retry)
        self._connect()

    @property
    def is_allowed(self) -> bool:
        """Whether the person has agreed that the hub is asked."""
        return self._profile.settings.value(ALLOWED) is True

    def connect_details(self, details: ModelDetails) -> None:
        """Links and tokens of a details pane."""
        details.link_requested.connect(self._tokens.open_link)
        details.token_requested.connect(self._tokens.ask)

    def ask_for_token(self, repo: str) -> None:
        """Ask for a token, for the terms of `repo` if it is named; downloads that wait for one then go on."""
        self._tokens.ask(repo)

    def open_link(self, address: str) -> None:
        """Open a page in the browser, after a look at its address."""
        self._tokens.open_link(address)

    def _connect(self) -> None:
        view, hub = self.view, self._profile.hub
        view.set_consent(self.is_allowed)
        view.consented.connect(self._on_consented)
        view.search_requested.connect(self._on_search)
        view.repository_requested.connect(hub.open)
        view.settings_requested.connect(self.settings_requested)
        view.action_requested.connect(self.action_requested)
        hub.searched.connect(self._on_searched)
        hub.more_found.connect(self._on_searched)
        hub.search_failed.connect(self._on_search_failed)
        hub.opened.connect(self._on_opened)
        hub.open_failed.connect(self.failed)
        hub.access_changed.connect(self._on_access_changed)
        hub.token_set.connect(self._on_token_set)
        self.connect_details(view.details)

    def _host(self) -> str:
        try:
            return urlsplit(self._profile.hub.access().endpoint).netloc
        except UserError:
            return self._profile.settings.string("hub.endpoint")

    def _on_consented(self) -> None:
        self._profile.settings.set_value(ALLOWED, True)
        self.allowed.emit()

    def _on_search(self, query: SearchQuery) -> None:
        self._pause.stop()
        self.view.set_max_bytes(_usable_bytes(self._profile.fits.machine()))
        if query.cursor and self._page is not None:
            self._profile.hub.search_more(self._page)
        else:
            self._profile.hub.cancel_opening()  # those details would come beside answers to another question
            self._profile.hub.search(query, at_once=True)

    def _on_searched(self, page: SearchPage) -> None:
        self._page = page
        self.view.set_page(page, old_answer_words(page.answered_at, page.why_old, utc_now()))
        fits = self._profile.fits
        work = partial(judge_models, page.models, fits.machine(), fits.cache_type)
        self._profile.tasks.run(work, self.view.set_verdicts)

    def _on_search_failed(self, error: UserError) -> None:
        self.view.set_failure(explain(error))
        if error.kind is ErrorKind.RATE_LIMITED:
            self._pause.start(max(1, error.integer("retry_in_s")) * 1000)

    def _on_access_changed(self) -> None:
        """Another hub, a token, online again: what failed may work now."""
        self.view.set_host(self._host())
        self.view.retry()

    def _on_token_set(self, _account: str) -> None:
        self.view.details.check_again()

    def _on_opened(self, details: HubDetails) -> None:
        with suppress(UserError):  # the address was changed to one that cannot be used, just now
            self.view.set_details(details, self._profile.hub.access().page_url(details.model.repo))


def _usable_bytes(machine: MachineMemory) -> int:
    return round(machine.all_bytes * USABLE_SHARE)
