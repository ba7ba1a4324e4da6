"""How to reach the hub: one value, made from the person's settings and the environment, that every part is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from app.core.errors import ErrorKind, UserError

HUB_ENDPOINT = "https://huggingface.co"
DIRECT = "direct"  # as proxy: none, whatever the environment says
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class HubAccess:
    """Where the hub is and how to get there."""

    endpoint: str = HUB_ENDPOINT  # without a slash at its end
    token: str | None = field(default=None, repr=False)  # the environment's; sent to the endpoint alone
    proxy: str = ""  # an address, `DIRECT`, or empty: as the environment or the system says
    offline: bool = False
    cache_folder: Path | None = None  # where answers are kept; None: nowhere
    find_token: Callable[[], str | None] | None = field(default=None, repr=False, compare=False)  # in the keyring

    def require_online(self) -> None:
        """Raises UserError OFFLINE when the person has switched the network off."""
        if self.offline:
            raise UserError(ErrorKind.OFFLINE)

    def resolve_token(self) -> str | None:
        """The token to send: the one in the keyring, else the environment's. May wait: for worker threads only."""
        found = self.find_token() if self.find_token is not None else None
        return found or self.token

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

    The token of the environment goes to the hub and to the endpoint of the environment only, never to an address that
    was typed into the settings. Proxy variables are read when the connection is made. Raises UserError ADDRESS_INVALID.
    """
    from_environment = environment.get("HF_ENDPOINT", "").strip()
    chosen = normal_endpoint(endpoint or from_environment)
    is_trusted = chosen in (HUB_ENDPOINT, _endpoint_or_none(from_environment))
    return HubAccess(
        chosen,
        token_of(environment) if is_trusted else None,
        normal_proxy(proxy),
        offline or environment.get("HF_HUB_OFFLINE", "").strip().lower() in _TRUE,
        cache_folder,
    )


def token_of(environment: Mapping[str, str]) -> str | None:
    """The token that the environment gives, under the names that the hub's own programs use."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := environment.get(name, "").strip():
            return token
    return None


def normal_endpoint(text: str) -> str:
    """An endpoint as it is used; the hub's own for an empty text. Raises UserError ADDRESS_INVALID."""
    if not text.strip():
        return HUB_ENDPOINT
    return _address(text, ("http", "https"), "https").rstrip("/")


def normal_proxy(text: str) -> str:
    """A proxy as it is used: an address, `DIRECT` or empty. Raises UserError ADDRESS_INVALID."""
    if text.strip().lower() in ("", DIRECT):
        return text.strip().lower()
    return _address(text, PROXY_SCHEMES, "http").rstrip("/")


def _address(text: str, schemes: tuple[str, ...], usual: str) -> str:
    """Raises UserError ADDRESS_INVALID for what is no address of a host."""
    text = text.strip()
    if "://" not in text:
        text = f"{usual}://{text}"
    try:
        parts = urlsplit(text)
        port_is_legal = parts.port != 0
    except ValueError:
        raise UserError(ErrorKind.ADDRESS_INVALID, address=text) from None
    is_plain = not any(letter.isspace() or not letter.isprintable() for letter in text)
    if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment or not is_plain:
        raise UserError(ErrorKind.ADDRESS_INVALID, address=text)
    if not port_is_legal:
        raise UserError(ErrorKind.ADDRESS_INVALID, address=text)
    return text


def _endpoint_or_none(text: str) -> str | None:
    try:
        return normal_endpoint(text) if text else None
    except UserError:
        return None
