"""What copying threads did together, whatever other programs took of the cores meanwhile."""

from __future__ import annotations

import pytest

from app.services.memory_bandwidth import best_rate, measure_copy_bandwidth

WINDOW_S = 0.002


def thread(*phases: tuple[float, float], start_s: float = 100.0) -> list[float]:
    """The moments of a thread that goes through phases: so many seconds, so many blocks per second (0: it waits)."""
    moments = [start_s]
    now_s = start_s
    for seconds, rate in phases:
        if not rate:
            now_s += seconds  # the block under way takes so much longer
            continue
        for _ in range(round(seconds * rate)):
            now_s += 1 / rate
            moments.append(now_s)
    return moments


def test_threads_that_run_together_count_together() -> None:
    assert best_rate([thread((0.1, 10_000)), thread((0.1, 10_000))], WINDOW_S) == pytest.approx(20_000, rel=0.01)


def test_threads_that_never_run_together_do_not() -> None:
    """Each has the memory to itself, and would be twice as fast as it can be beside the other."""
    by_turns = [
        thread(*[(0.004, 10_000), (0.004, 0)] * 12),
        thread(*[(0.004, 0), (0.004, 10_000)] * 12),
    ]
    assert best_rate(by_turns, WINDOW_S) == pytest.approx(10_000, rel=0.1)


def test_what_other_programs_take_makes_it_no_less() -> None:
    """One core is shared with a program that computes all the time, four milliseconds each."""
    disturbed = thread(*[(0.004, 10_000), (0.004, 0)] * 12)
    assert best_rate([disturbed, thread((0.1, 10_000))], WINDOW_S) == pytest.approx(20_000, rel=0.02)


def test_a_computer_that_slept_in_the_middle_is_no_slower() -> None:
    slept = [thread((0.1, 10_000), (1e9, 0), (0.1, 10_000))] * 2
    assert best_rate(slept, WINDOW_S) == pytest.approx(20_000, rel=0.01)


def test_nothing_to_go_by_is_no_speed() -> None:
    assert best_rate([], WINDOW_S) == 0
    assert best_rate([[], []], WINDOW_S) == 0
    assert best_rate([[5.0]], WINDOW_S) == 0
    assert best_rate([thread((0.001, 10_000))], WINDOW_S) == 0  # too short to tell


@pytest.mark.parametrize(
    ("where", "error"), [("ctypes.create_string_buffer", MemoryError()), ("threading.Thread.start", RuntimeError())]
)
def test_one_that_has_nothing_left_to_measure_with_has_none(
    monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(where, refuse)
    assert measure_copy_bandwidth(0.05) == 0


def test_this_computer_has_one() -> None:
    assert 1e8 < measure_copy_bandwidth(0.05) < 1e13
