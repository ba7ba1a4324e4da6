"""What stopped a connection: something to wait out, something a fresh address cures, or the end."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.core.downloads import WaitReason
from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.failures import retry_after_s, user_error_of

if TYPE_CHECKING:
    import httpx2

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_WORN_OUT = frozenset({400, 401, 403, 404, 410, 416})  # how storage answers a signed address that has run out
_DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_WINDOWS_IN_USE = frozenset({32, 33})  # ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
_WAIT_FOR = {
    ErrorKind.NO_NETWORK: WaitReason.NETWORK,
    ErrorKind.HUB_UNREACHABLE: WaitReason.NETWORK,
    ErrorKind.PROXY_FAILED: WaitReason.NETWORK,
    ErrorKind.RATE_LIMITED: WaitReason.RATE_LIMIT,
    ErrorKind.OFFLINE: WaitReason.OFFLINE,
}
_NETWORK_ERRORS = (ConnectionError, TimeoutError, ssl.SSLError, socket.gaierror)  # all of them OSErrors


@dataclass(frozen=True, slots=True)
class Trouble:
    """What to do about an error: wait for `reason`, perhaps with a fresh address, or give up when there is none.

    `error` is what a person is told when it is given up, or asks why nothing moves.
    """

    error: UserError
    reason: WaitReason = WaitReason.NONE
    retry_after_s: float = 0.0  # asked for by the server
    needs_fresh_link: bool = False
    is_hopeless: bool = False  # worth a few attempts only, however often the connection itself succeeds
    host: str = ""  # with its port: who asked for a pause


class TroubleError(Exception):
    """Carries what an answer meant to whoever decides."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble)
        self.trouble = trouble


def trouble_of(problem: Exception, access: HubAccess, repo: str, path: str) -> Trouble | None:
    """What an exception on the way of a file means; None when it is a bug or the disk's."""
    import httpx2

    if isinstance(problem, TroubleError):
        return problem.trouble
    if isinstance(problem, (httpx2.StreamError, *_NETWORK_ERRORS)):  # closed under its reader, for example
        return broken_off(access)
    if isinstance(problem, UnicodeError):  # raised for the name of a host that cannot be one
        return strange_answer(access, "redirect")
    if isinstance(problem, (httpx2.HTTPError, httpx2.InvalidURL)):
        problem = user_error_of(problem, access, repo, path)
    if not isinstance(problem, UserError):
        return None
    reason = _WAIT_FOR.get(problem.kind, WaitReason.NONE)
    if problem.kind is ErrorKind.HUB_FAILED and problem.integer("status") in _BUSY:
        reason = WaitReason.SERVER_BUSY
    return Trouble(problem, reason, problem.integer("retry_in_s"))


def busy_answer(response: httpx2.Response) -> Trouble | None:
    """What an answer means that asks to come back later; None for any other."""
    if response.status_code not in _BUSY:
        return None
    if response.status_code == 429:
        pause_s = retry_after_s(response.headers)
        host = response.request.url.netloc.decode("ascii")
        return Trouble(UserError(ErrorKind.RATE_LIMITED, retry_in_s=pause_s), WaitReason.RATE_LIMIT, pause_s, host=host)
    pause_s = retry_after_s(response.headers) if "Retry-After" in response.headers else 0
    return Trouble(UserError(ErrorKind.HUB_FAILED, status=response.status_code), WaitReason.SERVER_BUSY, pause_s)


def storage_refusal(response: httpx2.Response) -> Trouble | None:
    """What an answer of 400 or more to a signed address means; None for a good one."""
    if response.status_code < 400:
        return None
    if busy := busy_answer(response):
        return busy
    error = UserError(ErrorKind.HUB_FAILED, status=response.status_code)
    if response.status_code in _WORN_OUT:
        return Trouble(error, WaitReason.SERVER_BUSY, needs_fresh_link=True, is_hopeless=True)
    return Trouble(error)


def strange_answer(access: HubAccess, reason: str) -> Trouble:
    """An answer that does not fit what was asked: another part, another length, another encoding."""
    error = UserError(ErrorKind.HUB_ANSWER_STRANGE, endpoint=access.endpoint, reason=reason)
    return Trouble(error, WaitReason.SERVER_BUSY, needs_fresh_link=True, is_hopeless=True)


def broken_off(access: HubAccess) -> Trouble:
    """An answer that ended before its time, or hardly moved."""
    error = UserError(ErrorKind.HUB_UNREACHABLE, endpoint=access.endpoint, reason="broken_off")
    return Trouble(error, WaitReason.NETWORK)


def only_begins_anew(access: HubAccess) -> Trouble:
    """An answer that ended before its time, from a server that sends files from their beginning only."""
    error = UserError(ErrorKind.HUB_UNREACHABLE, endpoint=access.endpoint, reason="no_ranges")
    return Trouble(error, WaitReason.NETWORK, is_hopeless=True)


def is_of_hub(trouble: Trouble, access: HubAccess) -> bool:
    """Whether the hub itself asked for the pause, without which no download can begin."""
    import httpx2

    return trouble.host == httpx2.URL(access.endpoint).netloc.decode("ascii")


def is_of_disk(problem: Exception | None) -> bool:
    """Whether the disk refused something; no other connection would do better."""
    return isinstance(problem, OSError) and not isinstance(problem, _NETWORK_ERRORS)


def disk_trouble(problem: OSError, path: str, needed_bytes: int, free_bytes: int) -> UserError:
    """The words for what the disk refused."""
    if problem.errno in _DISK_FULL:
        return UserError(ErrorKind.DISK_SPACE, needed_bytes=needed_bytes, free_bytes=free_bytes, path=path)
    if problem.errno == errno.EFBIG:
        return UserError(ErrorKind.FILE_TOO_LARGE, path=path, size_bytes=needed_bytes)
    if getattr(problem, "winerror", None) in _WINDOWS_IN_USE:
        return UserError(ErrorKind.FILE_IN_USE, path=path)
    if problem.errno in _NOT_ALLOWED:
        return UserError(ErrorKind.FOLDER_READ_ONLY, path=path)
    return UserError(ErrorKind.WRITE_FAILED, path=path, reason=problem.strerror or type(problem).__name__)
