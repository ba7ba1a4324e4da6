"""Fetches a newer catalogue of models from an address that the person chose, if it is exactly the one they expect."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from app.core.catalog import Catalog
from app.core.digests import SHA256
from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess, host_of
from app.hub.catalog_file import MAX_BYTES, decode_catalog, keep_catalog, read_catalog_file, too_large
from app.hub.failures import as_user_errors, retry_after_s
from app.hub.http_client import open_client

PATIENCE_S = 120.0  # for the whole file


@dataclass(frozen=True, slots=True)
class CatalogSource:
    """Where a catalogue comes from, and the SHA-256 that it must have: who controls the address cannot change it."""

    url: str
    sha256: str

    def require_pinned(self) -> None:
        """Raises UserError CATALOG_NOT_PINNED for an address without a SHA-256."""
        if not SHA256.fullmatch(self.sha256):
            raise UserError(ErrorKind.CATALOG_NOT_PINNED, url=self.url)


def load_kept(path: Path, source: CatalogSource) -> Catalog | None:
    """The catalogue that `update_catalog` kept, if it is the one of this source; None otherwise."""
    try:
        data = read_catalog_file(path)
        if hashlib.sha256(data).hexdigest() == source.sha256:
            return decode_catalog(data, str(path))
    except UserError:  # never fetched, or of a format that only an older Hearth read
        return None
    return None


def update_catalog(access: HubAccess, source: CatalogSource, path: Path) -> Catalog:
    """Fetch, check and keep the catalogue of `source`. Until it is known to be good, nothing on the disk changes.

    The hub's token stays here. Raises UserError CATALOG_NOT_PINNED, CATALOG_INVALID (of another SHA-256, too large,
    broken, not to be kept), OFFLINE and those of the network.
    """
    source.require_pinned()
    if not _is_web_address(source.url):
        raise _invalid(source, "it is no address that begins with https://")
    data = _fetch(access, source.url)
    found = hashlib.sha256(data).hexdigest()
    if found != source.sha256:
        raise _invalid(source, f"its SHA-256 is {found}, and the one in the settings is {source.sha256}")
    catalog = decode_catalog(data, source.url)
    try:
        keep_catalog(data, path)
    except OSError as error:
        raise UserError(ErrorKind.CATALOG_INVALID, path=str(path), where="", reason=str(error.strerror)) from error
    return catalog


def _fetch(access: HubAccess, url: str) -> bytes:
    deadline = time.monotonic() + PATIENCE_S
    found = bytearray()
    with as_user_errors(access), open_client(access) as client, client.stream("GET", url) as response:
        if response.status_code == 429:
            raise UserError(ErrorKind.RATE_LIMITED, retry_in_s=retry_after_s(response.headers))
        if response.status_code != 200:
            raise _invalid(CatalogSource(url, ""), f"the server answered {response.status_code}")
        for block in response.iter_bytes():
            found += block
            if len(found) > MAX_BYTES:
                raise too_large(url)
            if time.monotonic() > deadline:
                raise UserError(ErrorKind.HUB_UNREACHABLE, endpoint=url, reason="timeout")
    return bytes(found)


def _is_web_address(url: str) -> bool:
    try:
        scheme, host = urlsplit(url).scheme, host_of(url)
    except ValueError:
        return False
    is_plain = url.isprintable() and not any(letter.isspace() for letter in url)
    return scheme in ("http", "https") and bool(host) and is_plain


def _invalid(source: CatalogSource, reason: str) -> UserError:
    return UserError(ErrorKind.CATALOG_INVALID, path=source.url, where="", reason=reason)
