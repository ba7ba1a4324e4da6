"""What holds for every test: nothing logged as a warning, nothing left behind."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Iterator

import hypothesis
import psutil
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

hypothesis.settings.register_profile("any computer", deadline=None)  # a busy one takes longer for an example
hypothesis.settings.load_profile("any computer")

LEAK_GRACE_S = 3.0


@pytest.fixture(autouse=True, scope="session")
def collect_on_the_main_thread() -> Iterator[None]:
    """As the application does (`app.collector`): no thread may destroy another's widgets and timers."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def collect_between_tests(collect_on_the_main_thread: None) -> Iterator[None]:
    yield
    gc.collect(1)


@pytest.fixture(autouse=True)
def no_logged_warnings(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    if request.node.get_closest_marker("logs_warnings"):
        return
    records = [record for when in ("setup", "call", "teardown") for record in caplog.get_records(when)]
    told = [f"{r.name}: {r.getMessage()}" for r in records if r.levelno >= logging.WARNING]
    assert not told, f"logged: {told}"


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Threads and child processes must have ended; a few seconds' grace for those that are just ending."""
    threads = set(threading.enumerate())
    process = psutil.Process()
    children = set(process.children(recursive=True))
    yield
    deadline = time.monotonic() + LEAK_GRACE_S
    while (left := _left(threads, process, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left, f"left behind: {left}"


def _left(threads: set[threading.Thread], process: psutil.Process, children: set[psutil.Process]) -> list[str]:
    left = [f"thread {t.name}" for t in threading.enumerate() if t not in threads and t.is_alive()]
    for child in set(process.children(recursive=True)) - children:
        try:
            if child.status() != psutil.STATUS_ZOMBIE:
                left.append(f"process {child.pid} {child.name()}")
        except psutil.NoSuchProcess:
            continue
    return left
