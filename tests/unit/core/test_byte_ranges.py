from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.byte_ranges import ByteRanges

SIZE = 60
spans = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda pair: (min(pair), max(pair)))


def covered(ranges: ByteRanges) -> set[int]:
    return {byte for begin, end in ranges.spans for byte in range(begin, end)}


@given(st.lists(spans))
def test_spans_are_a_set_of_bytes(found: list[tuple[int, int]]) -> None:
    expected = {byte for begin, end in found for byte in range(begin, end)}
    ranges = ByteRanges()
    for begin, end in found:
        ranges = ranges.plus(begin, end)
    assert ranges == ByteRanges.of(found)
    assert covered(ranges) == expected
    assert ranges.total_bytes == len(expected)
    gaps = {byte for begin, end in ranges.gaps(SIZE) for byte in range(begin, end)}
    assert gaps == set(range(SIZE)) - expected
    assert set(range(ranges.prefix_bytes)) <= expected
    assert ranges.prefix_bytes not in expected
    assert ranges.end == max(expected, default=-1) + 1
    assert covered(ranges.upto(30)) == expected & set(range(30))
    assert all(one[1] < other[0] for one, other in zip(ranges.spans, ranges.spans[1:], strict=False))


@pytest.mark.parametrize("span", [(5, 3), (-1, 4)])
def test_nonsense_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a span from"):
        ByteRanges.of([span])
