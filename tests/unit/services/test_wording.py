"""Figures as a person reads them."""

from __future__ import annotations

import pytest

from app.services.wording import file_size, memory_size

MIB, GIB = 1024**2, 1024**3


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (16 * GIB, "16 GB"),  # in steps of 1000 it would be 17
        (8 * GIB, "8.0 GB"),
        (24 * GIB - 300 * MIB, "24 GB"),  # what a system leaves of 24 GB
        (round(9.94 * GIB), "9.9 GB"),
        (round(9.96 * GIB), "10 GB"),
        (512 * MIB, "512 MB"),
    ],
)
def test_memory_is_told_as_it_is_sold(value: int, words: str) -> None:
    assert memory_size(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (16 * GIB, "17.2 GB"),
        (806_100_000, "806 MB"),
        (2_000_000_000, "2.0 GB"),
        (99_960_000_000, "100 GB"),
        (1_000_000_000_000, "1.0 TB"),
    ],
)
def test_files_are_told_as_drives_and_the_hub_count(value: int, words: str) -> None:
    assert file_size(value) == words
