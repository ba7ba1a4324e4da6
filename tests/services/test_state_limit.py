"""How much of the chats is kept ready on disk: what a person sets holds at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.services.profile import Profile
from tests.services.conftest import WAIT_MS

pytestmark = pytest.mark.engine


@pytest.fixture
def profile(qtbot: QtBot, build: Callable[..., Profile]) -> Profile:
    """With the real engine: it keeps the states."""
    profile = build()
    profile.start(None)
    qtbot.waitUntil(lambda: profile.models.info is not None, timeout=WAIT_MS)
    return profile


def kept_state(profile: Profile) -> Path:
    folder = profile.paths.states
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{'0' * 16}-{'1' * 16}-{'2' * 16}.state"
    path.write_bytes(b"what somebody wrote")
    return path


def test_nothing_is_kept_as_soon_as_that_is_chosen(qtbot: QtBot, profile: Profile) -> None:
    """Also while the model rests, when nothing else would tell the engine."""
    state = kept_state(profile)
    qtbot.waitUntil(lambda: not profile.engine.is_busy, timeout=WAIT_MS)
    profile.models.rest()
    assert profile.models.info is None
    profile.settings.set_value("model.state_limit_gb", 3)
    profile.settings.set_value("model.state_limit_gb", 0)
    qtbot.waitUntil(lambda: not state.exists(), timeout=WAIT_MS)
