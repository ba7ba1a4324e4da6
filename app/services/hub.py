"""The hub for the window: search as one types, details of a repository, the token, and whether it can be reached."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import ErrorKind, UserError
from app.core.hub_values import HubDetails, SearchPage, SearchQuery
from app.hub.access import HubAccess, normal_endpoint, normal_proxy
from app.hub.proxy_address import split_password
from app.hub.secret_store import SecretStore
from app.services.hub_access import (
    ENDPOINT,
    OFFLINE,
    TOKEN_ENDPOINTS,
    access_of,
    kept_endpoints,
    with_endpoint,
)
from app.services.proxy_password import ProxyPassword
from app.services.settings import SettingsService
from app.services.tasks import Task, Tasks

if TYPE_CHECKING:
    from app.hub.client import HubClient
    from app.hub.remote_header import RemoteHeader

T = TypeVar("T")
TYPING_PAUSE_MS = 300


@dataclass(frozen=True, slots=True)
class HubTest:
    """What a test button found: `error` is None when all is well."""

    error: UserError | None = None
    milliseconds: int = 0  # until the hub had answered
    proxy: str = ""  # what was between, if anything
    account: str = ""  # whom the token belongs to


class HubService(QObject):
    """Asks the hub in the background. Main thread only, but for `access` and what it gives."""

    searched = Signal(object)  # SearchPage: the first page of the latest search
    more_found = Signal(object)  # SearchPage: the next page of it
    search_failed = Signal(object)  # UserError
    opened = Signal(object)  # HubDetails of the latest repository that was opened
    open_failed = Signal(object)  # UserError
    access_changed = Signal()  # another endpoint, proxy or token, or on- or offline
    endpoint_tested = Signal(object)  # HubTest
    proxy_tested = Signal(object)  # HubTest
    token_tested = Signal(object)  # HubTest
    token_set = Signal(str)  # the name of its account; also after `token_not_kept`
    token_not_kept = Signal(object)  # UserError NO_KEYRING: the token is held until Hearth ends
    token_refused = Signal(object)  # UserError: nothing has changed
    token_forgotten = Signal()

    def __init__(
        self,
        settings: SettingsService,
        tasks: Tasks,
        cache_folder: Path,
        environment: Mapping[str, str],
        parent: QObject | None = None,
        secrets: SecretStore | None = None,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._tasks = tasks
        self._cache_folder = cache_folder
        self._environment = environment
        self._secrets = secrets or SecretStore()
        self.proxy = ProxyPassword(settings, tasks, self._secrets, self)
        self._connections = _Connections()
        self._query = SearchQuery()
        self._searching: Task[SearchPage] | None = None
        self._opening: Task[HubDetails] | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(TYPING_PAUSE_MS)
        self._pause.timeout.connect(self._start_search)
        settings.changed.connect(self._on_setting_changed)
        self.proxy.changed.connect(self.access_changed)

    def access(self) -> HubAccess:
        """How the hub is reached now. Never waits: its token is looked up when a request is made.

        Raises UserError ADDRESS_INVALID for settings that cannot be used.
        """
        return access_of(self._settings.value, self._secrets, self._cache_folder, self._environment)

    @property
    def is_offline(self) -> bool:
        """Whether the person, or the environment, has switched the network off."""
        try:
            return self.access().offline
        except UserError:
            return self._settings.value(OFFLINE) is True

    @property
    def is_searching(self) -> bool:
        """Whether an answer to a search is awaited."""
        return self._pause.isActive() or self._searching is not None

    @property
    def has_token(self) -> bool:
        """Whether a token will be sent, as far as is known without waiting for the keyring."""
        try:
            access = self.access()
        except UserError:
            return False
        is_kept = access.endpoint in kept_endpoints(self._settings.value)
        return is_kept or bool(self._secrets.held(access.endpoint) or access.token)

    def search(self, query: SearchQuery, at_once: bool = False) -> None:
        """Search soon, or `at_once`; ends in `searched` or `search_failed` unless another search comes before."""
        self._cancel_search()
        self._query = replace(query, cursor="")
        if at_once:
            self._start_search()
        else:
            self._pause.start()

    def search_more(self, page: SearchPage) -> None:
        """Ask for what follows a page; ends in `more_found` or `search_failed`. Nothing while one is awaited."""
        if page.next_cursor and not self.is_searching:
            query = replace(self._query, cursor=page.next_cursor)
            self._searching = self._ask(
                lambda client: client.search(query), self._on_more_found, self._on_search_failed
            )

    def open(self, repo: str, revision: str = "main") -> None:
        """Look into a repository; ends in `opened` or `open_failed` unless another one is opened before."""
        self.cancel_opening()
        self._opening = self._ask(lambda client: client.details(repo, revision), self._on_opened, self._on_open_failed)

    def cancel_opening(self) -> None:
        """The person has turned to something else: neither `opened` nor `open_failed` will come."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    def read_header(
        self,
        repo: str,
        path: str,
        commit: str,
        on_done: Callable[[RemoteHeader], None],
        on_failed: Callable[[UserError], None],
    ) -> Task[RemoteHeader]:
        """Read the beginning of a file, by at most 2 requests and 128 KiB, and tell who asked."""

        def work(access: HubAccess) -> RemoteHeader:
            from app.hub.remote_header import read_remote_header

            return read_remote_header(access, repo, path, commit)

        return self._run(work, on_done, on_failed)

    def set_token(self, token: str) -> None:
        """Check a token with the hub, use it, and keep it; ends in `token_set` or `token_refused`.

        What the hub answered to the token before is not kept.
        """
        token = token.strip()

        def work(access: HubAccess) -> tuple[str, str, UserError | None]:
            typed = replace(access, token=None, find_token=lambda: token)
            account = self._with_client(typed, lambda client: client.account())
            try:
                self._secrets.keep(access.endpoint, token)
            except UserError as error:
                return account, access.endpoint, error
            finally:
                self._remove_private_answers()
            return account, access.endpoint, None

        self._run(work, self._on_token_set, self.token_refused.emit)

    def forget_token(self) -> None:
        """Use no token of the person's any more, and take it out of the keyring; ends in `token_forgotten`.

        What the hub answered to it is not kept either.
        """

        def work(access: HubAccess) -> str:
            try:
                self._secrets.forget(access.endpoint)
            except UserError as error:
                if error.kind is not ErrorKind.NO_KEYRING:
                    raise
            finally:
                self._remove_private_answers()
            return access.endpoint

        self._run(work, self._on_token_forgotten, self.token_refused.emit)

    def test_endpoint(self, endpoint: str | None = None) -> None:
        """Ask whether a hub answers at the endpoint, or at one that was typed; ends in `endpoint_tested`."""
        self._test(lambda access: _at(access, endpoint), self.endpoint_tested.emit)

    def test_proxy(self, proxy: str | None = None) -> None:
        """Ask the hub through the proxy, or through one that was typed; ends in `proxy_tested`."""
        self._test(lambda access: _through(access, proxy), self.proxy_tested.emit)

    def test_token(self) -> None:
        """Ask whom the token belongs to; ends in `token_tested`."""
        self._test(lambda access: access, self.token_tested.emit, asks_account=True)

    def go_online(self) -> None:
        """Turn the person's offline switch off."""
        self._settings.set_value(OFFLINE, False)

    def shut_down(self) -> None:
        """Nothing is asked any more."""
        self._cancel_search()
        self._connections.close()

    def _start_search(self) -> None:
        query = self._query
        self._searching = self._ask(lambda client: client.search(query), self._on_searched, self._on_search_failed)

    def _cancel_search(self) -> None:
        self._pause.stop()
        if self._searching is not None:
            self._searching.cancel()
            self._searching = None

    def _test(
        self, change: Callable[[HubAccess], HubAccess], on_done: Callable[[HubTest], None], asks_account: bool = False
    ) -> None:
        def work(access: HubAccess) -> HubTest:
            from app.hub.client import HubClient
            from app.hub.http_client import proxy_in_use

            access = change(access)
            began_s = time.monotonic()
            account = self._with_client(access, HubClient.account if asks_account else _no_account)
            milliseconds = round((time.monotonic() - began_s) * 1000)
            return HubTest(None, milliseconds, proxy_in_use(access, access.endpoint), account)

        was_refused = self._secrets.ask_again()

        def tell(test: HubTest) -> None:
            on_done(test)
            if was_refused and test.error is None:  # others may have failed for want of it
                self.access_changed.emit()

        self._run(work, tell, lambda error: tell(HubTest(error)))

    def _ask(
        self,
        question: Callable[[HubClient], T],
        on_done: Callable[[T], None],
        on_failed: Callable[[UserError], None],
    ) -> Task[T]:
        """Ask over the connections that are kept open."""
        return self._run(lambda access: question(self._connections.to(access)), on_done, on_failed)

    def _run(
        self,
        work: Callable[[HubAccess], T],
        on_done: Callable[[T], None],
        on_failed: Callable[[UserError], None],
    ) -> Task[T]:
        """Settings that cannot be used fail like everything else: later, by a signal."""
        try:
            access = self.access()
        except UserError as error:
            problem = error

            def fail() -> T:
                raise problem

            return self._tasks.run(fail, on_done, on_failed)
        return self._tasks.run(lambda: work(access), on_done, on_failed)

    def _remove_private_answers(self) -> None:
        """In a worker, once the token is another: answers that come later notice it by themselves."""
        from app.hub.answer_cache import AnswerCache

        AnswerCache(self._cache_folder).remove_private()

    @staticmethod
    def _with_client(access: HubAccess, question: Callable[[HubClient], T]) -> T:
        """Ask once, over connections of its own."""
        from app.hub.client import HubClient

        client = HubClient(replace(access, cache_folder=None))
        try:
            return question(client)
        finally:
            client.close()

    def _on_searched(self, page: SearchPage) -> None:
        self._searching = None
        self.searched.emit(page)

    def _on_more_found(self, page: SearchPage) -> None:
        self._searching = None
        self.more_found.emit(page)

    def _on_search_failed(self, error: UserError) -> None:
        self._searching = None
        self.search_failed.emit(error)

    def _on_opened(self, details: HubDetails) -> None:
        self._opening = None
        self.opened.emit(details)

    def _on_open_failed(self, error: UserError) -> None:
        self._opening = None
        self.open_failed.emit(error)

    def _on_token_set(self, result: tuple[str, str, UserError | None]) -> None:
        account, endpoint, problem = result
        self._note_token(endpoint, is_kept=problem is None)
        if problem is not None:
            self.token_not_kept.emit(problem)
        self.token_set.emit(account)
        self.access_changed.emit()

    def _on_token_forgotten(self, endpoint: str) -> None:
        self._note_token(endpoint, is_kept=False)
        self.token_forgotten.emit()
        self.access_changed.emit()

    def _note_token(self, endpoint: str, is_kept: bool) -> None:
        kept = kept_endpoints(self._settings.value)
        self._settings.set_value(TOKEN_ENDPOINTS, with_endpoint(kept, endpoint, is_kept))

    def _on_setting_changed(self, key: str) -> None:
        if key in (ENDPOINT, OFFLINE):
            self.access_changed.emit()


class _Connections:
    """The client of the access that was used last; its connections and what it knows of limits stay. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: HubClient | None = None
        self._proxy = ""  # with its password, which no access tells

    def to(self, access: HubAccess) -> HubClient:
        """The client for an access, another one if it has changed. May wait for the keyring."""
        from app.hub.client import HubClient

        proxy = access.resolve_proxy()
        with self._lock:
            if self._client is None or (self._client.access, self._proxy) != (access, proxy):
                before, self._client = self._client, HubClient(access)
                self._proxy = proxy
                if before is not None:
                    before.close()
            return self._client

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


def _at(access: HubAccess, endpoint: str | None) -> HubAccess:
    """Where a token was meant for another place, none is sent. Raises UserError ADDRESS_INVALID."""
    if endpoint is None or (chosen := normal_endpoint(endpoint)) == access.endpoint:
        return access
    return replace(access, endpoint=chosen, token=None, find_token=None)


def _through(access: HubAccess, proxy: str | None) -> HubAccess:
    """Raises UserError ADDRESS_INVALID."""
    if proxy is None:
        return access
    _, password = split_password(proxy)
    return replace(access, proxy=normal_proxy(proxy), find_proxy_password=lambda: password or None)


def _no_account(client: HubClient) -> str:
    """Only whether a hub answers."""
    client.check()
    return ""
