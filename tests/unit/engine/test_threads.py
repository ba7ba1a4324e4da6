"""Which cores there are, how many threads compute, and when another number is tried."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from app.engine.worker.processors import (
    Core,
    Processors,
    find_processors,
    linux_cores,
    linux_quota,
    macos_cores,
    windows_cores,
)
from app.engine.worker.threads import ThreadCounts, ThreadTuner, choose_counts, choose_threads, reading_threads


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def write_processors(devices: Path, siblings: list[str], capacities: list[int] | None = None) -> None:
    for number, listed in enumerate(siblings):
        folder = devices / "system" / "cpu" / f"cpu{number}"
        write(folder / "topology" / "thread_siblings_list", listed)
        if capacities:
            write(folder / "cpu_capacity", str(capacities[number]))


def test_two_hardware_threads_are_one_core(tmp_path: Path) -> None:
    write_processors(tmp_path, ["0,2", "1,3", "0,2", "1,3"])
    cores = linux_cores(tmp_path, {0, 1, 2, 3})
    assert [sorted(core.processors) for core in cores] == [[0, 2], [1, 3]]
    assert choose_counts(Processors(tuple(cores))) == ThreadCounts(2, 2)


def test_only_cores_that_the_process_may_use_count(tmp_path: Path) -> None:
    write_processors(tmp_path, ["0-1", "0-1", "2-3", "2-3"])
    assert linux_cores(tmp_path, {2}) == [Core(frozenset({2}))]


def test_intels_two_kinds_of_cores_are_told_apart(tmp_path: Path) -> None:
    write_processors(tmp_path, ["0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"])
    write(tmp_path / "cpu_core" / "cpus", "0-3")
    write(tmp_path / "cpu_atom" / "cpus", "4-7")
    processors = Processors(tuple(linux_cores(tmp_path, set(range(8)))))
    assert choose_counts(processors) == ThreadCounts(writing=2, reading=6)


def test_small_cores_alone_are_used_all(tmp_path: Path) -> None:
    write_processors(tmp_path, [str(number) for number in range(8)])
    write(tmp_path / "cpu_core" / "cpus", "0-3")
    write(tmp_path / "cpu_atom" / "cpus", "4-7")
    assert choose_counts(Processors(tuple(linux_cores(tmp_path, {4, 5, 6})))) == ThreadCounts(3, 3)


def test_arms_cores_are_told_apart_by_capacity_and_boosted_ones_are_not(tmp_path: Path) -> None:
    write_processors(tmp_path, [str(number) for number in range(8)], [1024, 960, 960, 960, 400, 400, 400, 400])
    assert choose_counts(Processors(tuple(linux_cores(tmp_path, set(range(8)))))) == ThreadCounts(4, 8)


def test_a_third_kind_of_intels_cores_is_not_fast(tmp_path: Path) -> None:
    write_processors(tmp_path, [str(number) for number in range(4)])
    write(tmp_path / "cpu_core" / "cpus", "0-1")
    write(tmp_path / "cpu_atom" / "cpus", "2")
    write(tmp_path / "cpu_lowpower" / "cpus", "3")
    assert choose_counts(Processors(tuple(linux_cores(tmp_path, set(range(4)))))) == ThreadCounts(2, 4)


def test_a_single_fast_core_takes_the_next_of_three_kinds_with_it(tmp_path: Path) -> None:
    write_processors(tmp_path, [str(number) for number in range(8)], [1024, 740, 740, 740, 300, 300, 300, 300])
    assert choose_counts(Processors(tuple(linux_cores(tmp_path, set(range(8)))))) == ThreadCounts(4, 8)
    assert choose_counts(Processors(tuple(linux_cores(tmp_path, {0, 4, 5})))) == ThreadCounts(1, 3)


def test_a_system_without_topology_has_a_core_for_each_processor(tmp_path: Path) -> None:
    assert len(linux_cores(tmp_path, {0, 1, 5})) == 3


@pytest.mark.parametrize(
    ("files", "membership", "quota"),
    [
        ({"cpu.max": "150000 100000"}, "0::/", 1.5),
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, "0::/a/b", 2.0),
        ({"a/b/cpu.max": "100000 100000", "a/cpu.max": "200000 100000"}, "0::/a/b", 1.0),
        ({"cpu,x/a/cpu.cfs_quota_us": "50000", "cpu,x/a/cpu.cfs_period_us": "100000"}, "4:cpu,x:/a", 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "1:cpu:/", None),
        ({}, "2:memory:/x\n0::/", None),
    ],
)
def test_the_time_that_a_container_gets(
    tmp_path: Path, files: dict[str, str], membership: str, quota: float | None
) -> None:
    for name, text in files.items():
        write(tmp_path / name, text)
    assert linux_quota(tmp_path, membership) == quota


def test_a_container_with_the_time_of_two_processors_gets_two_threads() -> None:
    cores = tuple(Core(frozenset({number})) for number in range(16))
    assert choose_counts(Processors(cores, quota=2.0)) == ThreadCounts(2, 2)
    assert choose_counts(Processors(cores, quota=0.3)) == ThreadCounts(1, 1)


def test_macs_write_on_performance_cores() -> None:
    assert choose_counts(Processors(tuple(macos_cores(10, 8)))) == ThreadCounts(8, 10)
    assert choose_counts(Processors(tuple(macos_cores(4, 4)))) == ThreadCounts(4, 4)


def windows_core(efficiency_class: int, *masks: tuple[int, int]) -> bytes:
    groups = b"".join(struct.pack("<QH6x", mask, group) for group, mask in masks)
    body = struct.pack("<BB20xH", 1, efficiency_class, len(masks)) + groups
    return struct.pack("<II", 0, 8 + len(body)) + body


def test_windows_tells_cores_by_efficiency_class_and_group() -> None:
    answer = windows_core(1, (0, 0b11)) + windows_core(0, (0, 0b100)) + windows_core(1, (1, 0b1))
    cores = windows_cores(answer, {0, 1, 2, 64})
    assert cores == [Core(frozenset({0, 1}), 2), Core(frozenset({2}), 1), Core(frozenset({64}), 2)]
    assert choose_counts(Processors(tuple(cores))) == ThreadCounts(2, 3)
    assert windows_cores(answer, {2}) == [Core(frozenset({2}), 1)]
    assert windows_cores(b"", {0}) == []


def test_a_persons_wish_counts_up_to_the_number_of_processors() -> None:
    processors = Processors((Core(frozenset({0, 1}), 2), Core(frozenset({2}), 1)))
    assert choose_counts(processors, 2) == ThreadCounts(2, 2)
    assert choose_counts(processors, 100_000) == ThreadCounts(3, 3)
    assert choose_counts(processors, -1) == choose_counts(processors)


def test_this_computer_has_cores() -> None:
    processors = find_processors()
    assert 1 <= choose_threads(0) <= len(processors.cores) <= processors.threads
    assert choose_threads(1) == reading_threads(1) == 1 or len(processors.cores) > 1


def play(tuner: ThreadTuner, seconds: Callable[[int], float], tokens: int) -> list[int]:
    """Write so many tokens, each of which takes as long as so many threads need; returns the counts they had."""
    counts = []
    for length in range(tokens):
        counts.append(tuner.threads)
        tuner.record(seconds(tuner.threads), length)
    return counts


def quiet(threads: int) -> float:
    return 0.1 / threads


def crowded(threads: int) -> float:
    """Another program holds one of four cores: four threads wait for it."""
    return 0.5 if threads == 4 else 0.1 / threads


def test_steady_times_change_nothing() -> None:
    assert set(play(ThreadTuner(4), quiet, 500)) == {4}


def test_single_slow_tokens_change_nothing() -> None:
    tuner = ThreadTuner(4)
    for number in range(600):
        assert tuner.record(0.5 if number % 5 == 4 else 0.025, number) is None


def test_one_thread_less_is_kept_where_it_is_faster_and_all_come_back() -> None:
    tuner = ThreadTuner(4)
    play(tuner, quiet, 50)
    busy = play(tuner, crowded, 400)
    assert busy.count(4) < 100
    assert busy[-1] == 3
    assert play(tuner, quiet, 1000)[-1] == 4


def test_a_trial_of_what_is_still_slow_is_short_and_rare() -> None:
    tuner = ThreadTuner(4)
    play(tuner, quiet, 50)
    counts = play(tuner, crowded, 4000)
    assert counts[100:].count(4) < 30


def test_half_of_the_threads_are_tried_too() -> None:
    tuner = ThreadTuner(8)
    play(tuner, quiet, 50)
    assert play(tuner, lambda threads: 0.5 if threads > 4 else 0.1 / threads, 400)[-1] == 4


def test_a_text_that_grows_slower_by_its_length_keeps_its_threads() -> None:
    tuner = ThreadTuner(4)
    counts = [
        tuner.record(0.025 * (1 + token / 500) * 4 / tuner.threads, token) or tuner.threads for token in range(4000)
    ]
    assert counts.count(4) > 0.95 * len(counts)
    assert counts[-1] == 4


def test_short_answers_to_long_questions_keep_their_threads() -> None:
    """Measured with 1.1B: after 4,000 tokens one more takes 1.6 times as long as after 400."""
    tuner = ThreadTuner(2)
    for turn in range(20):
        for length in range(turn * 400, turn * 400 + 24):
            assert tuner.record(0.026 * (1 + length / 6000), length) is None, length


def test_a_trial_has_proven_nothing() -> None:
    tuner = ThreadTuner(4)
    play(tuner, quiet, 50)
    during_trials = set()
    for length in range(100):
        if tuner.record(0.5, length) is not None:
            during_trials.add((tuner.threads, tuner.proven))
    assert during_trials == {(3, 4), (2, 4), (4, 4)}


def test_one_thread_stays_one() -> None:
    tuner = ThreadTuner(1)
    assert {tuner.record(seconds, 100) for seconds in (0.1, 5.0) for _ in range(100)} == {None}


def test_the_same_times_lead_to_the_same_counts() -> None:
    runs = []
    for _ in range(2):
        tuner = ThreadTuner(4)
        runs.append(play(tuner, quiet, 50) + play(tuner, crowded, 300))
    assert runs[0] == runs[1]


def test_a_second_program_takes_another_thread() -> None:
    tuner = ThreadTuner(4)
    play(tuner, quiet, 50)
    assert play(tuner, crowded, 300)[-1] == 3
    assert play(tuner, lambda threads: 0.5 if threads > 2 else 0.1 / threads, 300)[-1] == 2


def test_little_gain_is_no_reason_for_fewer_threads() -> None:
    tuner = ThreadTuner(2)
    play(tuner, quiet, 50)
    counts = play(tuner, lambda threads: 0.12 if threads == 2 else 0.1, 1000)
    assert counts.count(1) < 100
