"""How the hub is reached now: settings, environment and keyring together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.core.settings import Value
from app.hub.access import HubAccess, choose_access
from app.hub.proxy_address import split_password
from app.hub.secret_store import SecretStore

ENDPOINT, PROXY, OFFLINE = "hub.endpoint", "hub.proxy", "hub.offline"
TOKEN_ENDPOINTS = "hub.token_endpoints"
PROXY_PASSWORD_KEPT = "hub.proxy_password_kept"
_BETWEEN = " "  # endpoints hold no blanks


def access_of(
    value: Callable[[str], Value],
    secrets: SecretStore,
    cache_folder: Path | None,
    environment: Mapping[str, str] = os.environ,
) -> HubAccess:
    """The access that the settings mean. The keyring is asked only for what is known to be there.

    It is asked when a request is made, not here. Raises UserError ADDRESS_INVALID.
    """
    proxy = str(value(PROXY) or "")
    access = choose_access(environment, str(value(ENDPOINT) or ""), proxy, value(OFFLINE) is True, cache_folder)
    find_token = secrets.secret if access.endpoint in kept_endpoints(value) else secrets.held
    access = replace(access, find_token=partial(find_token, access.endpoint))
    if access.find_proxy_password is not None:  # settings of an older version, which no window has seen yet
        return access
    find_password = secrets.secret if value(PROXY_PASSWORD_KEPT) is True else secrets.held
    return replace(access, find_proxy_password=partial(find_password, proxy_secret_name(proxy)))


def proxy_secret_name(proxy: str) -> str:
    """The name under which the password of a proxy is kept; no endpoint begins so."""
    address, _ = split_password(proxy)
    return f"proxy {address}"


def kept_endpoints(value: Callable[[str], Value]) -> tuple[str, ...]:
    """The endpoints whose tokens were put into the keyring."""
    return tuple(str(value(TOKEN_ENDPOINTS) or "").split(_BETWEEN))


def with_endpoint(kept: tuple[str, ...], endpoint: str, is_kept: bool) -> str:
    """The setting after a token was put into the keyring or taken out."""
    others = [name for name in kept if name and name != endpoint]
    return _BETWEEN.join([*others, endpoint] if is_kept else others)
