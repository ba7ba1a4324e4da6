"""The services of a real profile: a real database, a real child process that plays from a script."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.services.profile import Profile
from tests.fixtures.profiles import WAIT_MS, StartProfile, build, start_profile

__all__ = ["WAIT_MS", "StartProfile", "build", "start_profile"]


@pytest.fixture
def end_profile() -> Callable[[Profile], None]:
    """Ends a profile as closing the window does; ending it again after the test does no harm."""
    return lambda profile: profile.shut_down()
