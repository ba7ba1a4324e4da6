"""Where the bytes of a file are just now, and what the hub promises of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.core.digests import digest_in
from app.core.downloads import DownloadFile
from app.core.errors import ErrorKind, UserError
from app.core.hub_values import MAX_FILE_BYTES
from app.hub.access import HubAccess
from app.hub.download.trouble import TroubleError, busy_answer
from app.hub.failures import raise_for_status
from app.hub.http_client import headers, prepare_library

if TYPE_CHECKING:
    import httpx2

_MAX_REDIRECTS = 5
_SURELY_FRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class Link:
    """An address that gives the bytes now, with the headers that it wants. It may run out."""

    url: str
    headers: Mapping[str, str]
    asked_s: float  # when the hub gave it, on the monotonic clock

    @property
    def is_fresh(self) -> bool:
        """Whether it cannot have run out yet: the hub's last for an hour."""
        return time.monotonic() - self.asked_s < _SURELY_FRESH_S


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the hub answered about a file."""

    link: Link
    digest: str  # sha256, or git's sha1; empty when the server promises nothing
    size_bytes: int
    commit: str


class LinkSource:
    """Asks the hub for the file and for fresh addresses when one has run out. Any thread."""

    def __init__(self, client: httpx2.Client, access: HubAccess, file: DownloadFile) -> None:
        self._client = client
        self._access = access
        self._file = file
        self._lock = threading.Lock()
        self._link: Link | None = None

    def ask(self) -> RemoteFile:
        """One request; the address is kept for `link`.

        Raises UserError for what the hub refuses, does not have or has replaced, TroubleError when it is to be asked
        again later, and httpx2's errors.
        """
        with self._lock:
            found = self._ask()
            self._link = found.link
            return found

    def link(self) -> Link:
        """The present address, or a fresh one. Raises as `ask`."""
        with self._lock:
            if self._link is None:
                self._link = self._ask().link
            return self._link

    def wear_out(self, link: Link | None) -> None:
        """An address does not work any more: the next `link` is another, unless it already is. Never waits."""
        if self._link is link:  # should a fresh one come just now, it is asked for once more
            self._link = None

    def _ask(self) -> RemoteFile:
        prepare_library()
        from huggingface_hub import hf_hub_url

        file = self._file
        url = hf_hub_url(file.repo, file.path, revision=file.commit or "main", endpoint=self._access.endpoint)
        sent = {**headers(self._access), "Accept-Encoding": "identity"}  # a compressed answer has another length
        commit = digest = size = ""
        for _ in range(_MAX_REDIRECTS):
            response = self._client.request("HEAD", url, headers=sent, follow_redirects=False)
            if busy := busy_answer(response):
                raise TroubleError(busy)
            raise_for_status(response, self._access, file.repo, file.path, file.commit)
            told = response.headers
            commit = commit or told.get("X-Repo-Commit", "")
            digest = digest or digest_in(told.get("X-Linked-ETag", ""))
            size = size or told.get("X-Linked-Size", "")
            if not response.has_redirect_location:
                if commit:  # else this is no hub, and its tags may mean anything
                    digest = digest or digest_in(told.get("ETag", ""))
                size = size or told.get("Content-Length", "")
                break
            target = response.request.url.join(told["Location"])
            if target.scheme not in ("http", "https") or not target.host:
                raise UserError(ErrorKind.HUB_ANSWER_STRANGE, endpoint=self._access.endpoint, reason="redirect")
            if target.origin != response.request.url.origin:
                sent.pop("authorization", None)  # the token is for the hub alone
            url = str(target)
            if size and target.origin != response.request.url.origin:
                break  # a signed address elsewhere: all that is to be known was said on the way
        found = self._checked(RemoteFile(Link(url, sent, time.monotonic()), digest, _size(size), commit))
        # A download is of one version, though `main` may move on.
        self._file = replace(
            file, commit=file.commit or commit, sha256=file.sha256 or found.digest, size_bytes=found.size_bytes
        )
        return found

    def _checked(self, found: RemoteFile) -> RemoteFile:
        """The same, if it is what was to be downloaded."""
        file = self._file
        if not 0 < found.size_bytes <= MAX_FILE_BYTES:
            raise UserError(ErrorKind.HUB_ANSWER_STRANGE, endpoint=self._access.endpoint, reason="no size")
        differs = file.size_bytes not in (0, found.size_bytes)
        if len(found.digest) == len(file.sha256):
            differs = differs or found.digest != file.sha256.lower()
        if differs:
            raise UserError(ErrorKind.CHANGED_ON_HUB, repo=file.repo, path=file.path)
        if file.sha256:
            return RemoteFile(found.link, file.sha256.lower(), found.size_bytes, found.commit)
        return found


def _size(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
