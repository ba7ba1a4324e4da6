"""The real main window over a real profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import shiboken6
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.paths import resources
from app.services.profile import Profile
from app.ui.application import dress
from app.ui.import_ahead import MODELS_PAGE
from app.ui.main_window import MainWindow
from app.ui.theme import apply_theme
from tests.fixtures.profiles import build
from tests.ui.window.person import Person
from tests.unit.storage.conftest import read_only, small_disk
from tests.watchdog import Watchdog

__all__ = ["build", "read_only", "small_disk"]

OpenWindow = Callable[..., Person]
SIZE_PX = (1000, 720)


@pytest.fixture(scope="session", autouse=True)
def _dressed(qapp: QApplication) -> None:
    dress(qapp)


@pytest.fixture
def open_window(
    qtbot: QtBot, qapp: QApplication, build: Callable[..., Profile], responsive: Watchdog
) -> Iterator[OpenWindow]:
    """Starts Hearth as `app.bootstrap.run_window` does; the fields of a script, or none for the real engine."""
    windows: list[MainWindow] = []

    def start(
        *, folder: str = "data", wait: bool = True, model: Path | None = None, settings: dict[str, Any] | None = None,
        **script: Any,
    ) -> Person:  # fmt: skip
        profile = build(folder, **script)
        for key, value in (settings or {}).items():
            profile.settings.set_value(key, value)
        with responsive.paused():
            window = MainWindow(profile, resources())
            for name in MODELS_PAGE:  # nobody opens that page before the window has come to rest
                import_module(name)
        windows.append(window)
        window.resize(*SIZE_PX)
        with qtbot.waitActive(window):
            window.show()
        profile.start(str(model) if model else None)
        if wait:
            qtbot.waitUntil(lambda: profile.store.is_open and profile.models.info is not None, timeout=20_000)
        return Person(qtbot, window, profile)

    yield start
    for window in windows:
        if shiboken6.isValid(window):
            quit_hearth(window, window._profile)
    apply_theme(qapp, "light", 100)


def quit_hearth(window: MainWindow, profile: Profile) -> None:
    """What `run_window` does when the window is closed."""
    window.close()
    window.remember()
    profile.shut_down()
    shiboken6.delete(window)
