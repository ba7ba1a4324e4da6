"""A child that hangs is ended, one that is merely slow is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QEventLoop, QTimer

from app.core.errors import ErrorKind, UserError
from app.core.events import Loaded
from app.engine.stall_watch import StallLimits, StallWatch
from tests.engine.engine_driver import EngineDriver, write_script

pytestmark = pytest.mark.engine
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")
QUICK = StallLimits(load_s=0.6, answer_s=0.6, interval_s=0.1)


@pytest.fixture
def driver(qapp: object, tmp_path: Path) -> Iterator[EngineDriver]:
    driver = EngineDriver(tmp_path, stall_limits=QUICK)
    yield driver
    driver.close()


@posix
def test_a_load_that_hangs_is_ended_and_the_next_one_works(driver: EngineDriver, models: Path) -> None:
    good = models / "qwen2.gguf"
    assert isinstance(driver.load(good), Loaded)
    driver.settle(1.0)  # with nothing to do, nothing is expected
    assert driver.client.pid is not None
    os.kill(driver.client.pid, signal.SIGSTOP)
    driver.send_load(models / "llama-2.gguf")
    driver.wait(lambda: driver.deaths)
    stalled = UserError(ErrorKind.LOAD_STALLED, path=str(models / "llama-2.gguf"), seconds=1)
    assert driver.deaths == [stalled]
    assert isinstance(driver.load(good), Loaded)


def test_an_answer_that_hangs_is_ended(qapp: object, tmp_path: Path) -> None:
    script = write_script(tmp_path, answers=[{"text": "one two three", "hang_at_token": 2}])
    driver = EngineDriver(tmp_path, f"scripted:{script}", stall_limits=QUICK)
    try:
        driver.load("/model.gguf")
        request_id = driver.send_question()
        driver.wait(lambda: driver.deaths)
        assert driver.deaths == [UserError(ErrorKind.ENGINE_UNRESPONSIVE)]
        assert driver.text(request_id) == "one two"
    finally:
        driver.close()


def test_a_slow_load_that_tells_of_its_progress_is_left_alone(qapp: object, tmp_path: Path) -> None:
    script = write_script(tmp_path, loads=[{"duration_ms": 2500}])
    driver = EngineDriver(tmp_path, f"scripted:{script}", stall_limits=StallLimits(1.0, 1.0, 0.1))
    try:
        assert isinstance(driver.load("/model.gguf"), Loaded)
    finally:
        driver.close()


_FILLS_MEMORY = """
import sys, time
held = []
for _ in range(40):
    held.append(bytearray(b"x") * 500_000)
    time.sleep(0.05)
print("full", flush=True)
time.sleep(60)
"""


def test_a_process_that_fills_memory_moves_on_without_a_word(qapp: object) -> None:
    """So does the child while the system maps a file of which ggml says nothing."""
    process = subprocess.Popen([sys.executable, "-c", _FILLS_MEMORY], stdout=subprocess.PIPE)
    assert process.stdout is not None
    loop = QEventLoop()
    watch = StallWatch(StallLimits(interval_s=0.1), loop.quit)
    try:
        watch.watch(process.pid, 1.0)
        QTimer.singleShot(20_000, loop, lambda: loop.exit(1))
        assert loop.exec() == 0
        os.set_blocking(process.stdout.fileno(), False)
        assert process.stdout.read() == b"full\n"  # else it was ended while it still moved on
    finally:
        watch.end()
        process.kill()
        process.communicate()
