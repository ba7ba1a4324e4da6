"""What holds for every test with widgets: the window stays responsive and nothing of it is left behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QTimer
from PySide6.QtWidgets import QApplication

from tests.watchdog import Watchdog


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.ui)


@pytest.fixture(autouse=True)
def responsive(request: pytest.FixtureRequest) -> Iterator[Watchdog]:
    """No code of ours keeps the main thread for more than 100 ms."""
    with Watchdog() as watchdog:
        yield watchdog
    assert not watchdog.blocks, f"the main thread was blocked: {watchdog.blocks}"


@pytest.fixture(autouse=True)
def no_widgets_left(qapp: QApplication) -> Iterator[None]:
    """Windows and running timers of a test are gone after it; pytest-qt has closed the registered ones by then."""
    widgets = set(map(id, QApplication.topLevelWidgets()))
    timers = {id(timer) for timer in _running_timers()}
    yield
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    QCoreApplication.processEvents()
    gc.collect()
    left = [w for w in QApplication.topLevelWidgets() if id(w) not in widgets and w.isVisible()]
    assert not left, f"windows left open: {left}"
    running = [t for t in _running_timers() if id(t) not in timers]
    assert not running, f"timers left running: {[(t, t.parent(), t.interval()) for t in running]}"


def _running_timers() -> list[QTimer]:
    return [
        timer
        for timer in gc.get_objects()
        if isinstance(timer, QTimer) and shiboken6.isValid(timer) and timer.isActive()
    ]
