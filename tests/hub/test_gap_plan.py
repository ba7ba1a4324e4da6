"""Whatever connections come, go and break, every missing byte is fetched, and by one alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.byte_ranges import ByteRanges
from app.hub.download import gap_plan
from app.hub.download.gap_plan import Claim, GapPlan

SIZE = 200
STEP = 4  # what a connection brings at a time: less than the smallest share


@given(st.data())
def test_every_byte_comes_once(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as small:
        small.setattr(gap_plan, "BLOCK_BYTES", 30)
        small.setattr(gap_plan, "_SMALLEST_SHARE_BYTES", 8)
        spans = data.draw(st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, 40))))
        there = ByteRanges.of((begin, min(SIZE, begin + length)) for begin, length in spans).upto(SIZE)
        plan = GapPlan(SIZE, there)
        fetched: Counter[int] = Counter()
        lanes: list[Claim | None] = [None] * 4
        for _ in range(300):
            number = data.draw(st.integers(0, 3)) if any(lanes) else 0
            claim = lanes[number]
            if claim is None:
                plan.share()
                lanes[number] = claim = plan.claim(is_alone=data.draw(st.booleans()))
                if claim is None and not any(lanes):
                    break
                continue
            if claim.position == claim.end or data.draw(st.integers(0, 9)) == 0:  # over, or broken
                plan.give_back(claim)
                lanes[number] = None
                continue
            count = min(STEP, claim.end - claim.position)
            fetched.update(range(claim.position, claim.position + count))
            plan.advance(claim, count)
        for claim in filter(None, lanes):
            plan.give_back(claim)
        while claim := plan.claim(is_alone=True):
            fetched.update(range(claim.position, claim.end))
            plan.advance(claim, claim.end - claim.position)
            plan.give_back(claim)
        missing = {byte for begin, end in there.gaps(SIZE) for byte in range(begin, end)}
        assert set(fetched) == missing
        assert max(fetched.values(), default=1) == 1
