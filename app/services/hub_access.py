"""How the hub is reached now: settings, environment and keyring together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from app.core.settings import Value
from app.hub.access import HubAccess, choose_access
from app.hub.token_store import TokenStore

ENDPOINT, PROXY, OFFLINE = "hub.endpoint", "hub.proxy", "hub.offline"
TOKEN_ENDPOINTS = "hub.token_endpoints"
ACCESS_SETTINGS = frozenset({ENDPOINT, PROXY, OFFLINE, TOKEN_ENDPOINTS})
_BETWEEN = " "  # endpoints hold no blanks


def access_of(
    value: Callable[[str], Value],
    tokens: TokenStore,
    cache_folder: Path | None,
    environment: Mapping[str, str] = os.environ,
) -> HubAccess:
    """The access that the settings mean. The keyring is asked only for an endpoint whose token is known to be there.

    It is asked when a request is made, not here. Raises UserError ADDRESS_INVALID.
    """
    access = choose_access(
        environment, str(value(ENDPOINT) or ""), str(value(PROXY) or ""), value(OFFLINE) is True, cache_folder
    )
    endpoint = access.endpoint
    if endpoint in kept_endpoints(value):
        return replace(access, find_token=lambda: tokens.token(endpoint))
    return replace(access, find_token=lambda: tokens.held(endpoint))


def kept_endpoints(value: Callable[[str], Value]) -> tuple[str, ...]:
    """The endpoints whose tokens were put into the keyring."""
    return tuple(str(value(TOKEN_ENDPOINTS) or "").split(_BETWEEN))


def with_endpoint(kept: tuple[str, ...], endpoint: str, is_kept: bool) -> str:
    """The setting after a token was put into the keyring or taken out."""
    others = [name for name in kept if name and name != endpoint]
    return _BETWEEN.join([*others, endpoint] if is_kept else others)
