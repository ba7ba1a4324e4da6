"""The one place that tells what goes wrong on the way to the hub from bugs of ours."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.http_client import proxy_in_use
from app.hub.proxy_address import without_name

if TYPE_CHECKING:
    import httpx2

RETRY_DEFAULT_S = 60  # when the hub does not say how long it wants to be left alone
RETRY_MAX_S = 24 * 60 * 60
_NO_NETWORK_ERRNOS = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}
_LINK_LOCAL = ("169.254.", "fe80:")
_LOOPBACK = ("127.", "::1")


@contextmanager
def as_user_errors(access: HubAccess, repo: str = "", path: str = "", revision: str = "") -> Iterator[None]:
    """Turn what the network and the hub do wrong inside the block into UserError; bugs pass through unchanged."""
    import httpx2

    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as error:
        raise user_error_of(error, access, repo, path, revision) from error


def raise_for_status(
    response: httpx2.Response, access: HubAccess, repo: str = "", path: str = "", revision: str = ""
) -> None:
    """Raises the UserError that an answer of 400 or more means. Its headers tell; its body is not read."""
    if response.status_code < 400:
        return
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import hf_raise_for_status

    # As they came: not every header is ASCII.
    told = [(name, value) for name, value in response.headers.raw if not name.lower().startswith(b"content-")]
    try:
        hf_raise_for_status(httpx2.Response(response.status_code, headers=told, request=response.request))
    except HfHubHTTPError as error:
        raise user_error_of(error, access, repo, path, revision) from error


def user_error_of(error: Exception, access: HubAccess, repo: str = "", path: str = "", revision: str = "") -> UserError:
    """What a person is told about an error of httpx2 or huggingface_hub.

    A UnicodeError is raised for the name of a host that cannot be one: somebody was sent there.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    endpoint = _address_of(error) or access.endpoint
    if isinstance(error, HfHubHTTPError):
        return _from_answer(error, access, repo, path, revision)
    if isinstance(error, httpx2.ProxyError):
        return _from_proxy(access, endpoint, str(error))
    if isinstance(error, (httpx2.TooManyRedirects, httpx2.UnsupportedProtocol, httpx2.DecodingError, UnicodeError)):
        return UserError(ErrorKind.HUB_ANSWER_STRANGE, endpoint=endpoint, reason=type(error).__name__)
    if isinstance(error, httpx2.InvalidURL):
        return UserError(ErrorKind.ADDRESS_INVALID, address=endpoint)
    return _from_connection(error, access, endpoint)


def retry_after_s(headers: httpx2.Headers) -> int:
    """For how long an answer of 429 or 503 asks to be left alone, in seconds."""
    from huggingface_hub.utils import parse_ratelimit_headers

    found = re.fullmatch(r"\s*(\d{1,9})\s*", headers.get("Retry-After", ""))
    if found:
        return min(int(found[1]), RETRY_MAX_S)
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return min(limit.reset_in_seconds, RETRY_MAX_S)
    return RETRY_DEFAULT_S


def _from_answer(error: Exception, access: HubAccess, repo: str, path: str, revision: str) -> UserError:
    """Of an answer of 400 or more."""
    from huggingface_hub import errors

    assert isinstance(error, errors.HfHubHTTPError)
    response = error.response
    status = response.status_code
    if status in (401, 403) and (problem := access.secret_problem()):
        return problem
    if isinstance(error, errors.GatedRepoError):  # before RepositoryNotFoundError, whose subclass it is
        has_token = int(access.resolve_token() is not None)
        return UserError(ErrorKind.GATED, repo=repo, url=access.page_url(repo), has_token=has_token)
    is_unknown = response.headers.get("X-Error-Code") == "RepoNotFound"
    if status == 401 and not is_unknown and access.resolve_token() is not None:
        return UserError(ErrorKind.TOKEN_REJECTED, endpoint=access.endpoint)
    if isinstance(error, (errors.RepositoryNotFoundError, errors.DisabledRepoError)) or status in (401, 410, 451):
        return UserError(ErrorKind.NOT_ON_HUB, repo=repo, path="", revision="")
    if isinstance(error, (errors.RevisionNotFoundError, errors.EntryNotFoundError)) or status == 404:
        return UserError(ErrorKind.NOT_ON_HUB, repo=repo, path=path, revision=revision)
    if status == 407:
        return _from_proxy(access, str(response.request.url), "407")
    if status == 429:
        return UserError(ErrorKind.RATE_LIMITED, retry_in_s=retry_after_s(response.headers))
    return UserError(ErrorKind.HUB_FAILED, status=status)


def _from_proxy(access: HubAccess, url: str, said: str) -> UserError:
    """Of a proxy that does not let through; 407 is its way to ask for a name and a password."""
    is_locked_out = said.startswith("407")
    if is_locked_out and (problem := access.secret_problem()):
        return problem
    proxy = proxy_in_use(access, url) or without_name(access.proxy)
    return UserError(ErrorKind.PROXY_FAILED, proxy=proxy, reason="password" if is_locked_out else said)


def _from_connection(error: Exception, access: HubAccess, endpoint: str) -> UserError:
    """Of a connection that was not made, or ended too soon."""
    import httpx2

    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return UserError(ErrorKind.CERTIFICATE_REFUSED, endpoint=endpoint, reason=cause.verify_message)
        if isinstance(cause, OSError) and cause.errno in _NO_NETWORK_ERRNOS:
            return UserError(ErrorKind.NO_NETWORK)
        if isinstance(cause, socket.gaierror) and (cause.errno == socket.EAI_AGAIN or not has_network()):
            return UserError(ErrorKind.NO_NETWORK)
    reason = _reason(error)
    connecting = (httpx2.ConnectError, httpx2.ConnectTimeout)
    if isinstance(error, connecting) and (proxy := proxy_in_use(access, endpoint)):
        return UserError(ErrorKind.PROXY_FAILED, proxy=proxy, reason=reason)
    return UserError(ErrorKind.HUB_UNREACHABLE, endpoint=endpoint, reason=reason)


def _reason(error: Exception) -> str:
    """Why a connection failed: a code that `app.services.explain_hub` has words for."""
    import httpx2

    if isinstance(error, httpx2.TimeoutException):
        return "timeout"
    if isinstance(error, httpx2.ConnectError):
        for cause in _causes(error):
            if isinstance(cause, socket.gaierror):
                return "name_unknown"
            if isinstance(cause, ConnectionRefusedError):
                return "refused"
        return "no_answer"
    return "broken_off"


def has_network() -> bool:
    """Whether any interface but loopback is up and has an address that others can reach."""
    try:
        states, addresses = psutil.net_if_stats(), psutil.net_if_addrs()
    except OSError:  # not allowed to look
        return True
    return any(
        address.family in (socket.AF_INET, socket.AF_INET6)
        and not address.address.lower().startswith((*_LOOPBACK, *_LINK_LOCAL))
        for name, found in addresses.items()
        if name in states and states[name].isup
        for address in found
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and everything that led to it."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _address_of(error: Exception) -> str:
    """The host that was asked, which after a redirect is not the endpoint; empty when nobody was asked yet."""
    import httpx2

    try:
        url = error.request.url if isinstance(error, httpx2.RequestError) else None
    except RuntimeError:
        return ""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}" if url is not None else ""
