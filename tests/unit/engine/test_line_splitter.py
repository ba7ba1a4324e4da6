import random

import pytest

from app.engine.line_splitter import LineSplitter


@pytest.mark.parametrize("seed", range(20))
def test_lines_come_out_whole_however_they_arrive(seed: int) -> None:
    rng = random.Random(seed)
    lines = [bytes(rng.choices(b"abc\xff\0", k=rng.randrange(40))) for _ in range(200)]
    data = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter(limit_bytes=64)
    found: list[bytes | None] = []
    while data:
        size = rng.choice([1, 2, 3, 10, 500])
        found += splitter.feed(data[:size])
        data = data[size:]
    assert found == lines


def test_a_line_over_the_limit_is_missed_and_the_next_is_whole() -> None:
    splitter = LineSplitter(limit_bytes=10)
    assert splitter.feed(b"a" * 8) == []
    assert splitter.feed(b"a" * 8) == []
    assert splitter.feed(b"a" * 8 + b"\nnext\n" + b"b" * 11 + b"\nlast\nop") == [None, b"next", None, b"last"]
    assert splitter.feed(b"en\n") == [b"open"]


def test_a_line_of_exactly_the_limit_passes() -> None:
    splitter = LineSplitter(limit_bytes=4)
    assert splitter.feed(b"1234\n12") == [b"1234"]
    assert splitter.feed(b"34\n12345\n") == [b"1234", None]


def test_a_flood_without_an_end_is_not_kept() -> None:
    splitter = LineSplitter(limit_bytes=1000)
    for _ in range(1000):
        splitter.feed(b"x" * 1000)
    assert sum(map(len, splitter._pieces)) <= 1000
