from __future__ import annotations

import pytest

from app.core.downloads import (
    SPEED_WINDOW_S,
    Download,
    DownloadId,
    DownloadState,
    SpeedMeter,
    is_within_hours,
    progress_of,
)


def test_speed_is_that_of_the_last_seconds() -> None:
    meter = SpeedMeter()
    assert (meter.bytes_per_second, meter.seconds_left(100)) == (0.0, None)
    for second in range(60):
        meter.note(float(second), second * 10)
    assert meter.bytes_per_second == pytest.approx(10)
    for second in range(60, 60 + 2 * int(SPEED_WINDOW_S)):
        meter.note(float(second), 600 + (second - 60) * 1000)
    assert meter.bytes_per_second == pytest.approx(1000)
    assert meter.seconds_left(5000) == pytest.approx(5)


def test_a_pause_does_not_count_and_a_new_beginning_is_one() -> None:
    meter = SpeedMeter()
    meter.note(0.0, 0)
    meter.note(1.0, 100)
    meter.forget()
    meter.note(1000.0, 100)
    meter.note(1001.0, 150)
    assert meter.bytes_per_second == pytest.approx(50)
    meter.note(1002.0, 0)
    assert meter.bytes_per_second == 0.0
    meter.note(1002.0, 5)  # the clock did not move
    assert meter.bytes_per_second == 0.0


@pytest.mark.parametrize(
    ("hour", "begin", "end", "expected"),
    [
        (23, 23, 7, True),
        (0, 23, 7, True),
        (6, 23, 7, True),
        (7, 23, 7, False),
        (22, 23, 7, False),
        (9, 9, 17, True),
        (17, 9, 17, False),
        (3, 5, 5, True),
    ],
)
def test_hours_may_go_over_midnight(hour: int, begin: int, end: int, expected: bool) -> None:
    assert is_within_hours(hour, begin, end) is expected


def download(state: DownloadState, done: int, total: int) -> Download:
    return Download(DownloadId("a"), "Model", "maker/model", "Q4_0", (), "/models", state, done, total)


def test_progress_is_that_of_what_is_on_its_way() -> None:
    resting = [download(DownloadState.DONE, 9, 9), download(DownloadState.PAUSED, 1, 9)]
    assert progress_of(resting) is None
    coming = [download(DownloadState.RUNNING, 30, 60), download(DownloadState.QUEUED, 0, 40)]
    assert progress_of([*resting, *coming]) == pytest.approx(0.3)
    assert progress_of([download(DownloadState.RUNNING, 0, 0)]) == 0.0  # its size is not known yet
