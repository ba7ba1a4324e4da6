"""The services of a real profile: a real database, a real child process that plays from a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shiboken6
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.bootstrap import build_profile
from app.paths import choose_paths
from app.services.profile import Profile

WAIT_MS = 15_000
StartProfile = Callable[..., Profile]


@pytest.fixture
def start_profile(qtbot: QtBot, tmp_path: Path) -> Iterator[StartProfile]:
    """Builds and starts a profile; keyword arguments are the fields of the script."""
    owner = QObject()
    running: list[Profile] = []

    def start(*, folder: str = "data", wait: bool = True, model: str | None = None, **script: Any) -> Profile:
        file = tmp_path / f"script-{len(running)}.json"
        file.write_text(json.dumps(script), "utf-8")
        paths = choose_paths(str(tmp_path / folder))
        paths.data.mkdir(exist_ok=True)
        profile = build_profile(paths, owner, f"scripted:{file}")
        running.append(profile)
        profile.start(model)
        if wait:
            qtbot.waitUntil(lambda: profile.store.is_open and profile.models.info is not None, timeout=WAIT_MS)
        return profile

    yield start
    for profile in running:
        profile.shut_down()
    shiboken6.delete(owner)


@pytest.fixture
def end_profile() -> Callable[[Profile], None]:
    """Ends a profile as closing the window does; ending it again after the test does no harm."""
    return lambda profile: profile.shut_down()
