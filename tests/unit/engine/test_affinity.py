"""Which cores are for writing, and how Windows is told."""

from __future__ import annotations

import struct

import pytest

from app.engine.worker.affinity import FastCores, WindowsBinding, cpu_set_ids
from app.engine.worker.processors import Core, Processors

BIG = [Core(frozenset({0, 1}), 2), Core(frozenset({2, 3}), 2)]
SMALL = [Core(frozenset({4})), Core(frozenset({5})), Core(frozenset({6}))]
CORES = FastCores(2, 5, frozenset({0, 1, 2, 3}))


def test_all_hardware_threads_of_the_fast_cores_are_for_writing() -> None:
    assert FastCores.of(Processors((*BIG, *SMALL))) == CORES


def test_cores_that_are_alike_are_for_everything() -> None:
    assert FastCores.of(Processors(tuple(BIG))) is None
    assert FastCores.of(Processors(tuple(SMALL))) is None
    assert FastCores.of(Processors(())) is None


def cpu_set(set_id: int, group: int, index: int, kind: int = 0) -> bytes:
    return struct.pack("<IIIHBBBBBBIQ", 32, kind, set_id, group, index, 0, 0, 0, 0, 0, 0, 0)


def test_windows_numbers_processors_within_groups() -> None:
    answer = (
        cpu_set(256, 0, 0) + cpu_set(257, 0, 1) + cpu_set(320, 1, 0) + cpu_set(321, 1, 1) + cpu_set(9, 0, 1, kind=1)
    )
    assert cpu_set_ids(answer, {0, 65}) == [256, 321]
    assert cpu_set_ids(answer[:40], {0, 1, 65}) == [256]
    assert cpu_set_ids(b"", {0}) == []


def windows(answer: bytes, *, works: bool = True) -> tuple[WindowsBinding, list[list[int]]]:
    """A binding, and what the system was told."""
    told: list[list[int]] = []

    def assign(ids: list[int]) -> bool:
        told.append(ids)
        return works

    return WindowsBinding(CORES, lambda: answer, assign), told


def test_windows_is_told_when_a_prompt_follows_single_tokens_and_the_other_way_round() -> None:
    binding, told = windows(b"".join(cpu_set(256 + number, 0, number) for number in range(7)))
    for threads in (5, 2, 2, 2, 5, 5, 1):
        with binding.computing(threads, 2):
            pass
    assert told == [[256, 257, 258, 259], [], [256, 257, 258, 259]]


@pytest.mark.logs_warnings
def test_a_windows_that_knows_no_cpu_sets_is_left_alone() -> None:
    binding, told = windows(b"")
    with binding.computing(2, 2):
        pass
    assert told == []
    binding, told = windows(cpu_set(256, 0, 0), works=False)
    for _ in range(3):
        with binding.computing(2, 2):
            pass
    assert told == [[256], []]
