"""Connections to the hub: our own timeouts, the proxy of `HubAccess`, and huggingface_hub's headers.

huggingface_hub's functions share one connection pool for the whole process, without timeouts. Hearth makes a client of
its own for each `HubAccess`, so that a change of proxy or endpoint leaks nowhere; of the library it uses headers,
addresses and the meaning of errors. httpx2 and huggingface_hub are imported when the first client is made.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from app import __version__
from app.core.errors import ErrorKind, UserError
from app.hub.access import DIRECT, HubAccess, host_of
from app.hub.proxy_address import without_name

if TYPE_CHECKING:
    import httpx2

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 20.0  # between two blocks of an answer
_LIBRARY_SETTINGS = (
    "HF_HUB_DISABLE_XET",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_HUB_DISABLE_SYMLINKS",
    "HF_HUB_DISABLE_PROGRESS_BARS",
)
_SCHEMES = ("http://", "https://", "all://")


def prepare_library() -> None:
    """Call before huggingface_hub is imported: no statistics, no token that nobody chose, no helper programs.

    What a person looks for belongs into no log, so httpx2 must not log addresses.
    """
    for name in _LIBRARY_SETTINGS:
        os.environ[name] = "1"
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def open_client(access: HubAccess, read_timeout_s: float = READ_TIMEOUT_S) -> httpx2.Client:
    """A connection pool, for any number of threads; to be closed by whoever opened it. May wait for the keyring.

    It follows redirects and takes `Authorization` away when they leave the host. It sends no token by itself: see
    `headers`. Raises UserError OFFLINE; of the environment PROXY_FAILED for a proxy that cannot be used, and
    CERTIFICATE_REFUSED for certificates (SSL_CERT_FILE, SSL_CERT_DIR) that cannot be read.
    """
    access.require_online()
    import httpx2

    limits = httpx2.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S)
    user_agent = headers(HubAccess(access.endpoint))
    try:
        if access.proxy == DIRECT:
            return httpx2.Client(
                timeout=limits, follow_redirects=True, headers=user_agent, mounts=dict.fromkeys(_SCHEMES)
            )
        host_of(proxy_in_use(access, access.endpoint))
        proxy = access.resolve_proxy() or None
        return httpx2.Client(timeout=limits, follow_redirects=True, headers=user_agent, proxy=proxy)
    except (ValueError, httpx2.InvalidURL):  # of the environment: those of the settings were looked at
        shown = proxy_in_use(access, access.endpoint)
        # What the error says may hold a piece of a password.
        raise UserError(ErrorKind.PROXY_FAILED, proxy=shown, reason="address") from None
    except OSError as error:
        named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR", "")
        reason = f"{named}: {error.strerror or error}"
        raise UserError(ErrorKind.CERTIFICATE_REFUSED, endpoint=access.endpoint, reason=reason) from error


def headers(access: HubAccess) -> dict[str, str]:
    """What every request to the hub carries: who asks, and the token if there is one. May wait for the keyring.

    Raises UserError TOKEN_REJECTED for a token that no header can hold.
    """
    prepare_library()
    from huggingface_hub.utils import build_hf_headers

    token = access.resolve_token()
    if token is not None and not (token.isascii() and token.isprintable()):
        raise UserError(ErrorKind.TOKEN_REJECTED, endpoint=access.endpoint)
    return build_hf_headers(token=token or False, library_name="hearth", library_version=__version__)


def proxy_in_use(access: HubAccess, url: str) -> str:
    """The proxy between here and `url`, without name and password; empty if there is none."""
    if access.proxy == DIRECT:
        return ""
    proxy = access.proxy
    if not proxy:
        parts = urlsplit(url)
        if parts.hostname is None or proxy_bypass(parts.hostname):
            return ""
        known = getproxies()
        proxy = known.get(parts.scheme) or known.get("all", "")
    shown = without_name(proxy).rstrip("/")
    return shown if "://" in shown or not shown else f"http://{shown}"
