"""The watchdog of the UI tests bites: without this, a test that it guards could not fail."""

from __future__ import annotations

import time

from tests.watchdog import APP, Watchdog

SOURCE = """
import time

def work(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass

def shut_down(seconds):
    work(seconds)
"""
LIMIT_MS = 60


def run(call: str, times: int = 1) -> list[str]:
    """Runs a call of code that claims to lie in the app's folder; what the watchdog says of it."""
    namespace: dict[str, object] = {}
    exec(compile(SOURCE, f"{APP}/made_up.py", "exec"), namespace)
    with Watchdog(LIMIT_MS) as watchdog:
        for _ in range(times):
            eval(call, namespace)
            time.sleep(0.03)  # back in the event loop, so to speak
    return watchdog.blocks


def test_one_long_call_is_told_once_with_its_place() -> None:
    (block,) = run("work(0.4)")
    assert block.startswith("made_up.py")
    assert "work" in block


def test_many_short_calls_are_no_block() -> None:
    assert run("work(0.01)", times=20) == []


def test_the_end_of_the_application_may_wait() -> None:
    assert run("shut_down(0.4)") == []
