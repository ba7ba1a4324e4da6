"""Asks the hub: search, details of a repository, whose a token is. For worker threads: every call may wait.

The addresses and parameters are those that huggingface_hub 2.4 sends (a test compares them); the requests are made here
because the library keeps one connection pool without timeouts for all, and tells neither ETags nor pages.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from app.core.errors import ErrorKind, UserError
from app.core.hub_reference import MAIN, is_repo, parse_reference
from app.core.hub_values import HubDetails, HubModel, SearchPage, SearchQuery, SearchSort
from app.core.quantizations import quantization_named
from app.hub.access import HubAccess
from app.hub.answer_cache import Answer, AnswerCache
from app.hub.answers import CARD_NAME, AnswerError, has_card, read_account, read_details, read_list
from app.hub.failures import as_user_errors, raise_for_status, retry_after_s
from app.hub.http_client import headers, open_client
from app.hub.model_card import card_text

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
FRESH_S = 10 * 60.0  # for so long an answer is not asked for again
FOR_EVER = float("inf")
DEADLINE_S = 60.0  # for one answer as a whole, however steadily it drips
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_PAGES = 3  # asked for when most answers of a page are too large for the person's computer
RETRY_PAUSE_S = 0.5
_EXPAND = ("author", "downloads", "gated", "lastModified", "library_name", "likes", "pipeline_tag", "tags")
_SORT = {SearchSort.DOWNLOADS: "downloads", SearchSort.LIKES: "likes", SearchSort.RECENT: "lastModified"}
# An old answer is better than these.
_CACHE_HELPS = frozenset(
    {
        ErrorKind.OFFLINE,
        ErrorKind.NO_NETWORK,
        ErrorKind.HUB_UNREACHABLE,
        ErrorKind.PROXY_FAILED,
        ErrorKind.CERTIFICATE_REFUSED,
        ErrorKind.RATE_LIMITED,
        ErrorKind.HUB_FAILED,
        ErrorKind.HUB_ANSWER_STRANGE,
    }
)


class HubClient:
    """The hub as one `HubAccess` sees it. Any thread. `close` ends its connections."""

    def __init__(self, access: HubAccess, cache: AnswerCache | None = None) -> None:
        self.access = access
        self._cache = cache or AnswerCache(access.cache_folder)
        self._limit = _RequestLimit()
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._users = 0
        self._is_closed = False

    def close(self) -> None:
        """End the connections, after the requests that are under way. Later ones open and end their own."""
        with self._lock:
            self._is_closed = True
        self._close_unused()

    def search(self, query: SearchQuery) -> SearchPage:
        """One page of GGUF repositories. Raises UserError.

        With `max_bytes`, up to `MAX_PAGES` pages are read until there is enough to show.
        """
        found: list[HubModel] = []
        cursor, oldest, why_old = query.cursor, None, None
        for _ in range(MAX_PAGES if query.max_bytes else 1):
            models, answer, why = self._ask(self._search_url(replace(query, cursor=cursor)), read_list)
            found += [model for model in models if _fits(model, query.max_bytes)]
            cursor = answer.next_cursor
            if why is not None:
                why_old, oldest = why, min(oldest or _moment(answer), _moment(answer))
            if not cursor or len(found) >= query.limit:
                break
        return SearchPage(tuple(found), cursor, oldest, why_old)

    def details(self, repo: str, revision: str = MAIN) -> HubDetails:
        """A repository: its commit and files by one request, its card by another. Raises UserError.

        The commit is the one that `revision` means now; everything else should be asked for by it.
        """
        if not is_repo(repo):  # it may come from the records of another program
            raise UserError(ErrorKind.NOT_ON_HUB, repo=repo, path="", revision="")
        url = f"{self.access.endpoint}/api/models/{quote(repo)}/revision/{quote(revision, safe='')}?blobs=true"
        details, answer, why_old = self._ask(
            url, read_details, repo=repo, revision="" if revision == MAIN else revision
        )
        card = self._card(details) if has_card(answer.body) else ""
        return replace(details, card=card, answered_at=_moment(answer) if why_old else None, why_old=why_old)

    def file_url(self, repo: str, path: str, commit: str = MAIN) -> str:
        """Where a file is downloaded: it answers with its figures and a redirect to where the bytes are."""
        return f"{self.access.endpoint}/{quote(repo)}/resolve/{quote(commit, safe='')}/{quote(path)}"

    def headers(self) -> dict[str, str]:
        """What every request carries, the token among them."""
        return headers(self.access)

    def account(self) -> str:
        """The name of the account that the token belongs to. Raises UserError: TOKEN_REJECTED if to none."""
        if not self.access.resolve_token():
            raise self.access.secret_problem() or UserError(ErrorKind.TOKEN_REJECTED, endpoint=self.access.endpoint)
        name, _, _ = self._ask(f"{self.access.endpoint}/api/whoami-v2", read_account, is_kept=False)
        return name

    def check(self) -> None:
        """Whether a hub answers at the endpoint, through the proxy. Raises UserError."""
        self._ask(f"{self.access.endpoint}/api/models?{urlencode({'limit': 1})}", read_list, is_kept=False)

    def _search_url(self, query: SearchQuery) -> str:
        parameters: dict[str, object] = {"filter": "gguf"}
        if query.author:
            parameters["author"] = query.author
        if query.task:
            parameters["pipeline_tag"] = query.task
        if text := _search_text(query.text):
            parameters["search"] = text
        parameters |= {"sort": _SORT[query.sort], "limit": query.limit, "expand": _EXPAND}
        if query.cursor:
            parameters["cursor"] = query.cursor
        return f"{self.access.endpoint}/api/models?{urlencode(parameters, doseq=True)}"

    def _card(self, details: HubDetails) -> str:
        """The card at the commit, which never changes; empty when it cannot be had: the files matter more."""
        try:
            url = self.file_url(details.model.repo, CARD_NAME, details.commit)
            text, _, _ = self._ask(url, card_text, fresh_s=FOR_EVER)
        except UserError:
            return ""
        return text

    def _ask(
        self,
        url: str,
        read: Callable[[bytes], T],
        *,
        fresh_s: float = FRESH_S,
        is_kept: bool = True,
        repo: str = "",
        revision: str = "",
    ) -> tuple[T, Answer, ErrorKind | None]:
        """What `read` makes of the answer, the answer, and why it is an old one if it is. Raises UserError."""
        who = self._who()
        kept = self._kept(who, url, read) if is_kept else None
        is_fresh = kept is not None and self._cache.age_s(kept[1]) <= fresh_s
        if kept is not None and is_fresh and (fresh_s == FOR_EVER or not self.access.offline):
            return *kept, None
        try:
            fetched = self._fetch(url, kept[1].etag if kept else "", repo, revision)
            if fetched is None and kept is not None:  # it still holds
                return kept[0], self._keep(who, url, kept[1]), None
            return self._take(who, url, fetched, read, is_kept)
        except UserError as error:
            if kept is None or error.kind not in _CACHE_HELPS:
                raise
            return *kept, error.kind

    def _take(
        self, who: str, url: str, fetched: Answer | None, read: Callable[[bytes], T], is_kept: bool
    ) -> tuple[T, Answer, None]:
        """Understand an answer, and keep it if that worked."""
        try:
            if fetched is None:
                raise AnswerError("nothing new, though nothing was known")
            found = read(fetched.body)
        except AnswerError as error:
            raise UserError(ErrorKind.HUB_ANSWER_STRANGE, endpoint=self.access.endpoint, reason=str(error)) from error
        if is_kept:
            fetched = self._keep(who, url, fetched)
        return found, fetched, None

    def _keep(self, who: str, url: str, answer: Answer) -> Answer:
        key, is_private = _key(who, url), bool(who)
        answer = self._cache.put(key, answer.body, answer.etag, answer.next_cursor, is_private=is_private)
        if self._who() != who:  # the token was changed on the way, and what was kept of the one before has been removed
            self._cache.remove(key, is_private=is_private)
        return answer

    def _kept(self, who: str, url: str, read: Callable[[bytes], T]) -> tuple[T, Answer] | None:
        answer = self._cache.get(_key(who, url), is_private=bool(who))
        try:
            return None if answer is None else (read(answer.body), answer)
        except AnswerError:
            return None

    def _who(self) -> str:
        """A name for whoever the token belongs to, which does not tell it; empty without one."""
        token = self.access.resolve_token()
        return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()[:16] if token else ""

    def _fetch(self, url: str, etag: str, repo: str, revision: str) -> Answer | None:
        """Ask the hub, twice if it stumbles; None when it says that the known answer holds."""
        self.access.require_online()
        self._limit.require_free(self._who())
        try:
            return self._fetch_once(url, etag, repo, revision)
        except UserError as error:
            is_stumble = error.kind is ErrorKind.HUB_FAILED and error.integer("status") >= 500
            if not is_stumble and error.string("reason") != "broken_off":
                raise
        time.sleep(RETRY_PAUSE_S)
        return self._fetch_once(url, etag, repo, revision)

    def _fetch_once(self, url: str, etag: str, repo: str, revision: str) -> Answer | None:
        can_ask = etag and etag.isascii() and etag.isprintable()
        request_headers = self.headers() | ({"If-None-Match": etag} if can_ask else {})
        with (
            as_user_errors(self.access, repo, revision=revision),
            self._connections() as client,
            client.stream("GET", url, headers=request_headers) as response,
        ):
            self._limit.note(self._who(), response)
            if response.status_code == 304:
                return None
            raise_for_status(response, self.access, repo, revision=revision)
            return Answer(self._read(response), response.headers.get("ETag", ""), _next_cursor(response))

    def _read(self, response: httpx2.Response) -> bytes:
        """The body, within bounds of size and time. Raises UserError."""
        body, ends_at = bytearray(), time.monotonic() + DEADLINE_S
        for block in response.iter_bytes():
            body += block
            if len(body) > MAX_ANSWER_BYTES:
                raise UserError(ErrorKind.HUB_ANSWER_STRANGE, endpoint=self.access.endpoint, reason="endless")
            if time.monotonic() > ends_at:
                raise UserError(ErrorKind.HUB_UNREACHABLE, endpoint=self.access.endpoint, reason="timeout")
        return bytes(body)

    @contextmanager
    def _connections(self) -> Iterator[httpx2.Client]:
        with self._lock:
            if self._client is None:
                self._client = open_client(self.access)
            client = self._client
            self._users += 1
        try:
            yield client
        finally:
            with self._lock:
                self._users -= 1
            self._close_unused()

    def _close_unused(self) -> None:
        with self._lock:
            if self._client is None or self._users or not self._is_closed:
                return
            client, self._client = self._client, None
        client.close()


class _RequestLimit:
    """Until when the hub wants to be left alone, by its headers (500 API requests in 5 minutes without a token).

    It counts each account for itself: who enters a token because of the limit is not kept waiting by it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free_at_s: dict[str, float] = {}  # by who asks; of the monotonic clock

    def require_free(self, who: str) -> None:
        """Raises UserError RATE_LIMITED instead of asking too often."""
        with self._lock:
            left_s = self._free_at_s.get(who, 0.0) - time.monotonic()
        if left_s > 0:
            raise UserError(ErrorKind.RATE_LIMITED, retry_in_s=max(1, round(left_s)))

    def note(self, who: str, response: httpx2.Response) -> None:
        """Look at an answer: 429, or one that was the last to be had."""
        from huggingface_hub.utils import parse_ratelimit_headers

        limit = parse_ratelimit_headers(response.headers)
        is_used_up = limit is not None and limit.resource_type == "api" and limit.remaining == 0
        if response.status_code == 429 or is_used_up:
            with self._lock:
                self._free_at_s[who] = time.monotonic() + retry_after_s(response.headers)


def _key(who: str, url: str) -> str:
    """Who asks matters: with a token other repositories are seen."""
    return f"{who} {url}"


def _fits(model: HubModel, max_bytes: int | None) -> bool:
    """Whether the usual file of a model is small enough; a model that does not tell its size may be."""
    usual = quantization_named("Q4_K_M")
    if max_bytes is None or model.parameters is None or usual is None:
        return True
    return model.parameters * usual.bits_per_weight / 8 <= max_bytes


def _search_text(text: str) -> str:
    """What to look for; of the address of a page the repository."""
    if ":" in text:
        try:
            return parse_reference(text).repo
        except UserError:
            pass
    return " ".join(text.split())


def _next_cursor(response: httpx2.Response) -> str:
    """Where the next page begins. Only that is taken of its address, which may name another host than the mirror's."""
    try:
        address = urlsplit(response.links.get("next", {}).get("url", ""))
    except ValueError:
        return ""
    return parse_qs(address.query).get("cursor", [""])[0]


def _moment(answer: Answer) -> datetime:
    return datetime.fromtimestamp(answer.answered_at_s, UTC)
