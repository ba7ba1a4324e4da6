"""Files that are read while nobody waits for it, in real threads."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from app.core.errors import ErrorKind, UserError
from app.services.quiet_reading import QuietReading

WAIT_S = 10.0
CONTENT = bytes(range(256)) * 50_000  # some blocks
Begin = Callable[[QuietReading], "Future[str]"]


@pytest.fixture
def begin() -> Iterator[Begin]:
    readings: list[QuietReading] = []
    with ThreadPoolExecutor() as pool:

        def submit(reading: QuietReading) -> Future[str]:
            readings.append(reading)
            return pool.submit(reading.compute_hash)

        yield submit
        for reading in readings:
            reading.stop()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.gguf"
    path.write_bytes(CONTENT)
    return path


def held(begin: Begin, path: Path) -> tuple[QuietReading, Future[str]]:
    """A reading that stands still in the middle of a file."""
    reading = QuietReading(str(path))
    reading.hold(True)
    outcome = begin(reading)
    deadline_s = time.monotonic() + WAIT_S
    while not is_open(path):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    return reading, outcome


def is_open(path: Path) -> bool:
    return str(path) in {each.path for each in psutil.Process().open_files()}


def test_the_hash_is_that_of_the_file(begin: Begin, path: Path) -> None:
    assert begin(QuietReading(str(path))).result(WAIT_S) == hashlib.sha256(CONTENT).hexdigest()


def test_it_stands_still_while_it_is_held(begin: Begin, path: Path) -> None:
    reading, outcome = held(begin, path)
    with pytest.raises(TimeoutError):
        outcome.result(0.3)
    reading.hold(False)
    assert outcome.result(WAIT_S) == hashlib.sha256(CONTENT).hexdigest()


def test_who_is_stopped_lets_the_file_go(begin: Begin, path: Path) -> None:
    reading, outcome = held(begin, path)
    reading.stop()
    reading.hold(True)  # of a timer that comes too late
    assert outcome.result(WAIT_S) == ""
    assert not is_open(path)


def test_a_file_that_changes_meanwhile_has_no_hash(begin: Begin, path: Path) -> None:
    reading, outcome = held(begin, path)
    with path.open("ab") as file:
        file.write(b"more")
    reading.hold(False)
    assert outcome.result(WAIT_S) == ""


def test_a_file_that_is_gone_is_told(begin: Begin, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        begin(QuietReading(str(tmp_path / "none.gguf"))).result(WAIT_S)
    assert told.value.kind is ErrorKind.FILE_MISSING
