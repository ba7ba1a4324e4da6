from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import tqdm

for name in ("XET", "TELEMETRY", "IMPLICIT_TOKEN", "SYMLINKS", "PROGRESS_BARS"):
    os.environ.setdefault(f"HF_HUB_DISABLE_{name}", "1")  # read when the library is imported
tqdm.tqdm.monitor_interval = 0  # else its first bar leaves a thread behind, shown or not

from tests.hub.hub_server import HubServer  # noqa: E402  # imports the library, which reads the variables above


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """The hub on loopback, empty."""
    with HubServer() as server:
        yield server
