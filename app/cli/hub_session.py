"""What the commands about models share: settings, the way to the hub, and how errors are told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from app.cli.console import write_json
from app.core.errors import ErrorKind, UserError
from app.core.settings import Value
from app.hub.access import HubAccess
from app.hub.client import HubClient
from app.hub.secret_store import SecretStore
from app.paths import Paths
from app.services.explain import explain
from app.services.hub_access import access_of
from app.services.settings import SettingsService


def in_words(error: UserError) -> str:
    """What happened, on one line; with the page where something is to be done, and where a token goes in a terminal."""
    words = explain(error)
    told = [f"{words.title}. {words.text}", error.string("url")]
    if error.kind in (ErrorKind.GATED, ErrorKind.TOKEN_REJECTED):
        told.append("In a terminal, put the token into the environment variable HF_TOKEN.")
    return " ".join(filter(None, told))


def print_json(value: Any) -> None:
    """Print one JSON value on a line of its own."""
    write_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def settings_of(paths: Paths) -> Mapping[str, Value]:
    """The settings of the window, which count here as well."""
    settings = SettingsService(paths.settings)
    try:
        return settings.values()
    finally:
        settings.close()


def access_to_hub(paths: Paths, settings: Mapping[str, Value]) -> HubAccess:
    """How the hub is reached: settings, environment, keyring. Raises UserError ADDRESS_INVALID."""
    return access_of(settings.get, SecretStore(), paths.hub_answers)


@contextmanager
def hub_client(access: HubAccess) -> Iterator[HubClient]:
    """A client for the length of a command."""
    client = HubClient(access)
    try:
        yield client
    finally:
        client.close()
