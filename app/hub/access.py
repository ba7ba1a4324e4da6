"""How to reach the hub: one value, made from the person's settings and the environment, that every part is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from app.core.errors import ErrorKind, UserError
from app.hub.proxy_address import has_name, split_password, with_password, without_name

HUB_ENDPOINT = "https://huggingface.co"
DIRECT = "direct"  # as proxy: none, whatever the environment says
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class HubAccess:
    """Where the hub is and how to get there."""

    endpoint: str = HUB_ENDPOINT  # without a slash at its end
    token: str | None = field(default=None, repr=False)  # the environment's; sent to the endpoint alone
    proxy: str = ""  # an address without password, `DIRECT`, or empty: as the environment or the system says
    offline: bool = False
    cache_folder: Path | None = None  # where answers are kept; None: nowhere
    # In the keyring; both may wait, and raise UserError KEYRING_CLOSED.
    find_token: Callable[[], str | None] | None = field(default=None, repr=False, compare=False)
    find_proxy_password: Callable[[], str | None] | None = field(default=None, repr=False, compare=False)

    def require_online(self) -> None:
        """Raises UserError OFFLINE when the person has switched the network off."""
        if self.offline:
            raise UserError(ErrorKind.OFFLINE)

    def resolve_token(self) -> str | None:
        """The token to send: the one in the keyring, else the environment's. May wait: for worker threads only.

        Without the keyring most of the hub can be used all the same: `secret_problem` tells when it matters.
        """
        with suppress(UserError):
            return (self.find_token() if self.find_token is not None else None) or self.token
        return self.token

    def resolve_proxy(self) -> str:
        """The proxy as connections need it, with its password. May wait: for worker threads only."""
        password = None
        if self.find_proxy_password is not None and has_name(self.proxy):
            with suppress(UserError):
                password = self.find_proxy_password()
        return with_password(self.proxy, password or "")

    def secret_problem(self) -> UserError | None:
        """Why the keyring did not give the token or the password of the proxy; None if it did. May wait."""
        for find in (self.find_token, self.find_proxy_password):
            try:
                if find is not None:
                    find()
            except UserError as error:
                return error
        return None

    def page_url(self, repo: str) -> str:
        """The page of a repository, where its terms are accepted."""
        return f"{self.endpoint}/{repo}"


def choose_access(
    environment: Mapping[str, str],
    endpoint: str = "",
    proxy: str = "",
    offline: bool = False,
    cache_folder: Path | None = None,
) -> HubAccess:
    """The person's settings; where they are empty, `HF_ENDPOINT`. `HF_HUB_OFFLINE` and `HF_TOKEN` always count.

    A password in `proxy` is found by `resolve_proxy` and is nowhere else.

    The token of the environment goes to the hub and to the endpoint of the environment only, never to an address that
    was typed into the settings. Proxy variables are read when the connection is made. Raises UserError ADDRESS_INVALID.
    """
    from_environment = environment.get("HF_ENDPOINT", "").strip()
    chosen = normal_endpoint(endpoint or from_environment)
    is_trusted = chosen in (HUB_ENDPOINT, _endpoint_or_none(from_environment))
    _, password = split_password(proxy)
    return HubAccess(
        chosen,
        token_of(environment) if is_trusted else None,
        normal_proxy(proxy),
        offline or environment.get("HF_HUB_OFFLINE", "").strip().lower() in _TRUE,
        cache_folder,
        find_proxy_password=(lambda: password) if password else None,
    )


def token_of(environment: Mapping[str, str]) -> str | None:
    """The token that the environment gives, under the names that the hub's own programs use."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := environment.get(name, "").strip():
            return token
    return None


def normal_endpoint(text: str) -> str:
    """An endpoint as it is used; the hub's own for an empty text. Raises UserError ADDRESS_INVALID.

    A name and a password in it are refused: the hub knows people by tokens, and addresses are shown and logged.
    """
    if not text.strip():
        return HUB_ENDPOINT
    if has_name(text):
        raise UserError(ErrorKind.ADDRESS_INVALID, address=without_name(text))
    return _address(text, ("http", "https"), "https").rstrip("/")


def normal_proxy(text: str) -> str:
    """A proxy as it is used: an address without password, `DIRECT` or empty. Raises UserError ADDRESS_INVALID."""
    address, _ = split_password(text.strip())
    if address.lower() in ("", DIRECT):
        return address.lower()
    return _address(address, PROXY_SCHEMES, "http").rstrip("/")


def host_of(address: str) -> str:
    """The host in an address; empty if there is none. Raises ValueError for what nobody can connect to."""
    host = urlsplit(address).hostname or ""
    host.encode("idna")  # as connecting will do it
    return host


def _address(text: str, schemes: tuple[str, ...], usual: str) -> str:
    """Raises UserError ADDRESS_INVALID for what is no address of a host."""
    text = text.strip()
    if "://" not in text:
        text = f"{usual}://{text}"
    try:
        parts, host = urlsplit(text), host_of(text)
        port_is_legal = parts.port != 0
    except ValueError:
        raise UserError(ErrorKind.ADDRESS_INVALID, address=text) from None
    is_plain = not any(letter.isspace() or not letter.isprintable() for letter in text)
    if parts.scheme not in schemes or not host or parts.query or parts.fragment or not is_plain:
        raise UserError(ErrorKind.ADDRESS_INVALID, address=text)
    if not port_is_legal:
        raise UserError(ErrorKind.ADDRESS_INVALID, address=text)
    return text


def _endpoint_or_none(text: str) -> str | None:
    try:
        return normal_endpoint(text) if text else None
    except UserError:
        return None
