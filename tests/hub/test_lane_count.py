"""One more connection is kept only where the whole becomes faster."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.hub.download.lane_count import MOST_LANES, LaneCount

FAR = 10**12


def run(
    count: LaneCount,
    rate_of: Callable[[int], float],
    seconds: int,
    *,
    left_bytes: int = FAR,
    is_held_up: bool = False,
    start: tuple[int, int] = (0, 0),
) -> list[int]:
    """How many connections were wanted in each tenth of a second, where so many bring `rate_of` bytes per second."""
    moment, received = start
    wanted = []
    for tick in range(seconds * 10):
        received += int(rate_of(count.wanted) / 10)
        wanted.append(count.update(moment + tick / 10, received, left_bytes, is_held_up))
    return wanted


def test_where_each_connection_is_limited_all_are_used() -> None:
    assert run(LaneCount(), lambda lanes: 1e6 * lanes, 60)[-1] == MOST_LANES


def test_where_the_line_is_the_limit_one_is_kept() -> None:
    wanted = run(LaneCount(), lambda lanes: 1e6, 60)
    assert wanted[-1] == 1
    assert 2 in wanted  # it was tried
    assert wanted.count(2) < 100


def test_where_two_fill_the_line_two_are_kept() -> None:
    wanted = run(LaneCount(), lambda lanes: min(2, lanes) * 1e6, 60)
    assert wanted[-1] == 2


def test_lines_change() -> None:
    count = LaneCount()
    assert run(count, lambda lanes: 1e6, 60)[-1] == 1
    assert run(count, lambda lanes: 1e6 * lanes, 400, start=(60, 60_000_000))[-1] == MOST_LANES


@pytest.mark.parametrize(
    ("most", "rate", "left_bytes", "is_held_up"),
    [(1, 1e6, FAR, False), (4, 1e9, FAR, False), (4, 1e6, 1000, False), (4, 1e6, FAR, True)],
    ids=["one is allowed", "fast enough", "nearly done", "limited by the person"],
)
def test_no_more_than_one(most: int, rate: float, left_bytes: int, is_held_up: bool) -> None:
    wanted = run(LaneCount(most), lambda lanes: rate * lanes, 60, left_bytes=left_bytes, is_held_up=is_held_up)
    assert set(wanted) == {1}


def test_a_lost_connection_is_not_replaced_at_once() -> None:
    count = LaneCount()
    run(count, lambda lanes: 1e6 * lanes, 60)
    count.one_was_lost(60.0, 2)
    assert run(count, lambda lanes: 1e6 * lanes, 100, start=(60, 0))[-1] == 2
    count.only_one()
    assert run(count, lambda lanes: 1e6 * lanes, 400, start=(160, 0))[-1] == 1
