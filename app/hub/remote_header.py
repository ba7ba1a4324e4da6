"""Reads the beginning of a model file on the hub: enough to say what it is and whether it will run here.

One range of 64 KiB holds the keys up to the vocabulary in nearly every file; where long texts stand before it, a second
one is asked for. What comes is in the hand of a stranger: never more is read than was asked for, whatever the server
sends, and `app.core.gguf_reader` bounds everything inside.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.core.digests import SHA256, digest_in
from app.core.errors import ErrorKind, UserError
from app.core.gguf import GgufHeader
from app.core.gguf_reader import read_prefix
from app.core.hub_values import MAX_FILE_BYTES
from app.hub.access import HubAccess
from app.hub.failures import as_user_errors, raise_for_status
from app.hub.http_client import READ_TIMEOUT_S, headers, open_client, prepare_library

if TYPE_CHECKING:
    import httpx2

RANGE_BYTES = 64 * 1024
MAX_RANGES = 2
DEADLINE_S = 30.0  # for everything: a server that drips must not keep a person waiting
_VOCABULARY_KEY = "tokenizer.ggml.tokens"
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


@dataclass(frozen=True, slots=True)
class RemoteHeader:
    """A header as far as it was read, and what the hub says of the file."""

    header: GgufHeader
    size_bytes: int  # of this file; further parts of a split model come on top
    sha256: str | None
    commit: str  # empty when the server does not say
    requests: int  # answered on the way, redirects counted
    fetched_bytes: int


def read_remote_header(
    access: HubAccess,
    repo: str,
    path: str,
    commit: str = "main",
    *,
    read_timeout_s: float = READ_TIMEOUT_S,
    deadline_s: float = DEADLINE_S,
) -> RemoteHeader:
    """The header of a file on the hub; blocks, so for worker threads.

    Raises:
        UserError: what the network and the hub have to say (`app.hub.failures`), HUB_ANSWER_STRANGE for a server that
            sends something else than was asked for, or what is wrong with the file (`gguf_reader.read_header`).
    """
    prepare_library()
    with as_user_errors(access, repo, path, commit), open_client(access, read_timeout_s) as client:
        source = _Source(client, access, repo, path, commit, time.monotonic() + deadline_s)
        prefix = source.fetch(0, RANGE_BYTES)
        header = _header_of(prefix, source.size_bytes, path)
        for number in range(1, MAX_RANGES):
            if header.is_complete or _VOCABULARY_KEY in header.metadata:
                break
            prefix += source.fetch(len(prefix), (number + 1) * RANGE_BYTES)
            header = _header_of(prefix, source.size_bytes, path)
    return RemoteHeader(header, source.size_bytes, source.sha256, source.commit, source.requests, source.fetched_bytes)


def _header_of(prefix: bytes, size_bytes: int, path: str) -> GgufHeader:
    """Raises UserError as `read_prefix`, with the path, which that cannot know."""
    try:
        return read_prefix(prefix, size_bytes)
    except UserError as error:
        raise UserError(error.kind, path=path, **error.details) from None


class _Source:
    """One file on the hub, of which ranges are fetched."""

    def __init__(
        self, client: httpx2.Client, access: HubAccess, repo: str, path: str, commit: str, deadline_s: float
    ) -> None:
        from huggingface_hub import hf_hub_url

        self._client = client
        self._access = access
        self._names = (repo, path, commit)
        self._deadline_s = deadline_s
        self._url = hf_hub_url(repo, path, revision=commit, endpoint=access.endpoint)
        self._headers = {**headers(access), "Accept-Encoding": "identity"}  # a compressed answer has other bytes
        self.size_bytes = 0
        self.sha256: str | None = None
        self.commit = ""
        self.requests = 0
        self.fetched_bytes = 0

    def fetch(self, start: int, end: int) -> bytes:
        """Bytes `start` to `end`, or to the end of the file."""
        asked = {**self._headers, "Range": f"bytes={start}-{end - 1}"}
        with self._client.stream("GET", self._url, headers=asked) as response:
            self.requests += len(response.history) + 1
            if response.status_code == 416 and start == 0:  # there is no first byte
                raise UserError(ErrorKind.FILE_EMPTY, path=self._names[1])
            raise_for_status(response, self._access, *self._names)
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise self._strange("compressed")
            skipped = self._note_size(response, start)
            self._note_version(response)
            # The answer's own address: a signed one elsewhere, for which the token is not meant.
            if response.history and response.url.origin != response.history[0].url.origin:
                self._url = str(response.url)
                self._headers.pop("authorization", None)
            wanted = min(end, self.size_bytes) - start
            data = self._read(response, skipped + wanted)[skipped:]
        if len(data) < wanted:
            raise self._strange("fewer bytes than announced")
        return data

    def _read(self, response: httpx2.Response, count: int) -> bytes:
        """So many bytes of the answer at most; the rest stays where it is."""
        found = bytearray()
        for block in response.iter_raw():
            found += block
            self.fetched_bytes += len(block)
            if len(found) >= count:
                break
            if time.monotonic() > self._deadline_s:
                raise UserError(ErrorKind.HUB_UNREACHABLE, endpoint=self._access.endpoint, reason="timeout")
        return bytes(found[:count])

    def _note_size(self, response: httpx2.Response, start: int) -> int:
        """Learn the file's size; how many bytes of the answer come before those that were asked for."""
        if response.status_code == 206:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None or int(match[1]) != start:
                raise self._strange("another part than asked for")
            told, skipped = match[3], 0
        elif response.status_code == 200:  # ranges are ignored: what was asked for lies further in
            told, skipped = response.headers.get("Content-Length", "*"), start
        else:
            raise self._strange(f"status {response.status_code}")
        linked = response.history[0].headers.get("X-Linked-Size", "*") if response.history else "*"
        size = next((int(text) for text in (told, linked) if text.isascii() and text.isdigit() and len(text) < 20), -1)
        if not 0 <= size <= MAX_FILE_BYTES or (start and size != self.size_bytes):
            raise self._strange("no size")
        self.size_bytes = size
        return skipped

    def _note_version(self, response: httpx2.Response) -> None:
        """What the hub said first; whoever stores its files knows less."""
        answers = (*response.history, response)
        self.commit = self.commit or next((told for each in answers if (told := each.headers.get("X-Repo-Commit"))), "")
        for each in answers:
            for name in ("X-Linked-ETag", "ETag"):
                digest = digest_in(each.headers.get(name, ""))
                self.sha256 = self.sha256 or (digest if SHA256.fullmatch(digest) else None)

    def _strange(self, reason: str) -> UserError:
        return UserError(ErrorKind.HUB_ANSWER_STRANGE, endpoint=self._access.endpoint, reason=reason)
