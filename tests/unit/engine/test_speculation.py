from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from random import Random

import pytest

from app.engine.worker.speculation import (
    MAX_DRAFT_TOKENS,
    AdaptiveControl,
    DecodeTimes,
    PromptLookup,
    Speculation,
)

Cost = Callable[[int], float]


def on_a_processor(drafted: int) -> float:
    return 0.02 * (1 + 0.25 * drafted)


def on_a_gpu(drafted: int) -> float:
    return 0.01 * (1 + 0.02 * drafted)


def with_a_step(drafted: int) -> float:
    """The second token doubles the price, the others cost little: processor, attention without flash attention."""
    return 0.02 * (1.8 + 0.2 * drafted) if drafted else 0.02


COSTS = [on_a_processor, on_a_gpu, with_a_step]


def write(prompt: Sequence[int], answer: Sequence[int], cost: Cost, control: AdaptiveControl) -> float:
    """Have `answer` written with guesses, at that cost; returns the speed as a multiple of the plain one."""
    speculation = Speculation(PromptLookup(), control)
    tokens, rest, seconds, count = list(prompt), list(answer), 0.0, 0
    while rest:
        last = rest.pop(0)
        guesses = speculation.guess(tokens, last, len(rest))
        accepted = 0
        while accepted < len(guesses) and guesses[accepted] == rest[accepted]:
            accepted += 1
        took = cost(len(guesses))
        tokens += [last, *rest[:accepted]]
        del rest[:accepted]
        seconds += took
        count += accepted + 1
        speculation.record(len(guesses), accepted, took)
    return count * cost(0) / seconds


def noise(count: int, words: int, seed: int) -> list[int]:
    random = Random(seed)
    return [random.randrange(words) for _ in range(count)]


def test_what_followed_the_same_words_is_proposed() -> None:
    text = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 50, 51, 1, 2, 3]
    assert PromptLookup().propose(text, 4, 5) == [5, 6, 7, 8, 9]


def test_nothing_is_proposed_after_new_words() -> None:
    lookup = PromptLookup()
    assert lookup.propose([], 1, 5) == []
    assert lookup.propose([1], 2, 5) == []
    assert lookup.propose([1, 2, 3, 4, 5, 6], 7, 5) == []
    assert lookup.propose([1, 2, 3, 4, 5, 6], 4, 0) == []


def test_the_latest_of_equal_matches_counts() -> None:
    text = [90, 1, 2, 3, 4, 70, 71, 91, 1, 2, 3, 4, 80, 81, 92, 1, 2, 3]
    assert PromptLookup().propose(text, 4, 2) == [80, 81]


def test_a_longer_match_counts_more_than_a_later_one() -> None:
    text = [90, 1, 2, 3, 4, 70, 71, 91, 1, 2, 3, 4, 80, 81, 90, 1, 2, 3]
    assert PromptLookup().propose(text, 4, 2) == [70, 71]


def test_a_repetition_is_continued_beyond_the_end_of_the_text() -> None:
    text = [1, 2, 3, 1, 2, 3, 1]
    assert PromptLookup().propose(text, 2, 7) == [3, 1, 2, 3, 1, 2, 3]


def test_after_an_exchanged_word_the_match_goes_on() -> None:
    text = [*range(100, 120), 1, *range(100, 110)]
    lookup = PromptLookup()
    assert lookup.propose(text, 110, 3) == [111, 112, 113]
    text += [110, 5]  # 5 instead of 111
    assert lookup.propose(text, 112, 3) == [113, 114, 115]


@pytest.mark.parametrize("change", ["cut", "replaced", "emptied"])
def test_a_text_that_was_changed_behind_its_back_is_noticed(change: str) -> None:
    text = [*noise(100, 1000, 1), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    lookup = PromptLookup()
    lookup.propose(text, 11, 4)
    if change == "cut":
        del text[60:]
    elif change == "replaced":
        text[:] = noise(200, 1000, 2)
    else:
        text.clear()
    text += [7, 7, 1, 2, 3, 4, 20, 21, 22, 1, 2, 3]
    assert lookup.propose(text, 4, 2) == PromptLookup().propose(text, 4, 2) == [20, 21]


def test_an_index_that_grew_with_the_text_proposes_what_a_new_one_does() -> None:
    text = noise(2000, 6, 3)
    lookup = PromptLookup()
    for end in range(0, len(text) - 1, 7):
        fresh = PromptLookup()
        grown = lookup.propose(text[:end], text[end], 10)
        wanted = fresh.propose(text[:end], text[end], 10)
        assert grown == wanted or not wanted, end


@pytest.mark.parametrize("cost", COSTS)
def test_copying_is_faster_by_half_at_least(cost: Cost) -> None:
    source = noise(600, 30_000, 1)
    assert write([0, *source, 0], source, cost, AdaptiveControl(DecodeTimes())) > 1.5


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("words", [4, 12, 60, 30_000])
def test_noise_is_hardly_slower(cost: Cost, words: int) -> None:
    speed = write(noise(1000, words, 1), noise(1500, words, 2), cost, AdaptiveControl(DecodeTimes()))
    assert speed > 0.98


@pytest.mark.parametrize("cost", COSTS)
def test_pieces_that_break_off_are_hardly_slower(cost: Cost) -> None:
    """The worst that can happen: matches just long enough to be believed."""
    source, new = noise(2000, 30_000, 1), iter(noise(4000, 10**9, 2))
    random = Random(3)
    answer: list[int] = []
    for _ in range(150):
        start = random.randrange(1900)
        answer += [*source[start : start + 5], *(next(new) for _ in range(5))]
    assert write(source, answer, cost, AdaptiveControl(DecodeTimes())) > 0.98


def test_the_same_calls_give_the_same_choices() -> None:
    source = noise(300, 50, 1)
    answer = [*source[:150], *noise(100, 50, 2), *source[150:]]
    speeds = {write(source, answer, on_a_processor, AdaptiveControl(DecodeTimes())) for _ in range(3)}
    assert len(speeds) == 1


def test_nothing_is_guessed_before_a_time_is_known() -> None:
    assert AdaptiveControl(DecodeTimes()).length() == 0


def test_guesses_that_are_right_become_more_and_wrong_ones_fewer() -> None:
    times = DecodeTimes()
    control = AdaptiveControl(times)
    control.record(0, 0, 0.02)
    control.observe(8, 8)
    lengths = [control.length()]
    for _ in range(20):
        control.record(lengths[-1], lengths[-1], on_a_processor(lengths[-1]))
        lengths.append(control.length())
    assert lengths[0] > 0
    assert lengths[-1] == MAX_DRAFT_TOKENS
    for _ in range(20):
        length = control.length()
        control.record(length, 0, on_a_processor(length))
    assert control.length() == 0


def test_where_guesses_are_dear_none_are_made() -> None:
    control = AdaptiveControl(DecodeTimes())
    control.record(0, 0, 0.01)
    control.observe(8, 8)
    length = control.length()
    control.record(length, length, 0.01 * (length + 1) * 1.2)
    control.observe(8, 8)
    assert control.length() == 0


def test_without_a_shadow_one_guess_is_tried_now_and_then() -> None:
    control = AdaptiveControl(DecodeTimes(), has_shadow=False)
    tried = []
    for place in range(4000):
        length = control.length()
        if length:
            tried.append(place)
        control.record(length, 0, 0.02 * (1 + length))
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert tried[0] <= 16
    assert pauses == sorted(pauses)
    assert pauses[-1] > 1000


def test_without_a_shadow_good_guesses_are_noticed_soon_and_stay() -> None:
    control = AdaptiveControl(DecodeTimes(keeps_slope=True), has_shadow=False)
    lengths = []
    for _ in range(1000):
        length = control.length()
        lengths.append(length)
        control.record(length, length, on_a_processor(length))
    assert min(lengths[100:200]) > 3
    assert sum(length > 3 for length in lengths) > 900


def test_what_guesses_cost_is_remembered_where_nothing_else_tells_that_they_are_dear() -> None:
    """Their times are forgotten, and the guesses are right: they would be tried again and again."""
    decodes = {}
    for keeps_slope in (False, True):
        control = AdaptiveControl(DecodeTimes(keeps_slope=keeps_slope), has_shadow=False)
        decodes[keeps_slope] = 0
        for _ in range(2000):
            length = control.length()
            decodes[keeps_slope] += length > 0
            control.record(length, length, 0.02 * (1 + 1.2 * length))
    assert decodes[True] < 12 < decodes[False]


def test_a_time_that_was_disturbed_does_no_harm() -> None:
    times = DecodeTimes()
    for index in range(9):
        times.add(0, 5.0 if index == 4 else 0.02)
        times.add(4, 0.03)
    table = times.of_all()
    assert table is not None
    assert table[0] == 0.02
    assert table[2] == pytest.approx(0.025)
    assert len(table) == MAX_DRAFT_TOKENS + 1


class Oracle:
    """Knows the answer; counts how often it was asked."""

    def __init__(self, answer: Sequence[int]) -> None:
        self.answer = list(answer)
        self.asked = 0
        self.is_free = False
        self.unread = 0  # how many pieces it has to read first
        self.is_closed = False

    def decoded(self, tokens: Sequence[int], position: int, index: int) -> None: ...

    def catch_up(self, tokens: Sequence[int]) -> bool:
        self.unread = max(self.unread - 1, 0)
        return not self.unread

    def close(self) -> None:
        self.is_closed = True

    def propose(self, tokens: Sequence[int], last: int, limit: int) -> list[int]:
        self.asked += 1
        return self.answer[len(tokens) + 1 :][:limit]


def test_a_drafter_that_costs_time_is_not_asked_in_vain() -> None:
    oracle = Oracle(range(1000))
    speculation = Speculation(oracle, AdaptiveControl(DecodeTimes(), has_shadow=False))
    for place in range(8):
        assert speculation.guess(list(range(place)), place, 10) == []
        speculation.record(0, 0, 0.02)
    assert oracle.asked == 0


def test_no_more_is_guessed_than_is_allowed() -> None:
    source = noise(200, 30_000, 1)
    control = AdaptiveControl(DecodeTimes())
    for _ in range(5):
        control.record(0, 0, 0.02)
        control.observe(15, 15)
    assert control.length() > 3
    assert len(Speculation(PromptLookup(), control, 3).guess([*source, 0, *source[:20]], source[20], 10)) == 3
    assert len(Speculation(PromptLookup(), control).guess([*source, 0, *source[:20]], source[20], 2)) == 2
    assert Speculation(PromptLookup(), control).guess([*source, 0, *source[:20]], source[20], 0) == []


def test_a_drafter_is_asked_only_when_it_has_read_everything() -> None:
    oracle = Oracle(range(1000))
    control = AdaptiveControl(DecodeTimes(), has_shadow=False)
    for _ in range(8):
        control.record(0, 0, 0.02)
    speculation = Speculation(oracle, control)
    oracle.unread = 4
    asked = []
    for place in range(6):
        asked.append(bool(speculation.guess(list(range(place)), place, 10)))
        speculation.record(0, 0, 0.02)
    assert asked == [False, False, False, True, True, True]


def both(first_guesses: int, second_guesses: int) -> tuple[Speculation, list[AdaptiveControl], list[Oracle]]:
    """Two drafters, the second behind the first, both under controls that want guesses."""
    answers = [list(range(count)) for count in (first_guesses, second_guesses)]
    oracles = [Oracle(answer) for answer in answers]
    controls = [AdaptiveControl(DecodeTimes(), has_shadow=False) for _ in oracles]
    for control in controls:
        for _ in range(8):
            control.record(0, 0, 0.02)
            control.observe(15, 15)
    second = Speculation(oracles[1], controls[1])
    return Speculation(oracles[0], controls[0], otherwise=second), controls, oracles


def test_the_second_drafter_is_asked_where_the_first_has_no_idea() -> None:
    speculation, _, oracles = both(10, 100)
    assert speculation.guess([0, 1, 2], 3, 5) == [4, 5, 6, 7, 8]
    assert oracles[1].asked == 0
    tokens = list(range(20))
    assert speculation.guess(tokens, 20, 5) == [21, 22, 23, 24, 25]
    assert speculation.guess(list(range(200)), 200, 5) == []


def test_each_drafter_is_judged_by_its_own_guesses() -> None:
    speculation, controls, oracles = both(10, 100)
    wanted = controls[1].length()
    while controls[0].length():
        guesses = speculation.guess([0, 1, 2], 3, 5)
        speculation.record(len(guesses), 0, 0.05)
    assert oracles[1].asked == 0
    assert controls[1].length() == wanted > 3
    for _ in range(10):
        guesses = speculation.guess([0, 1, 2], 3, 5)
        speculation.record(len(guesses), 0, 0.05)
    assert oracles[1].asked > 0
    assert controls[1].length() < 3


def test_plain_decodes_are_told_to_both_drafters() -> None:
    speculation, controls, oracles = both(0, 0)
    assert speculation.guess([0], 1, 5) == []
    assert [oracle.asked for oracle in oracles] == [1, 1]
    before = [control._plain_decodes for control in controls]
    speculation.record(0, 0, 0.02)
    assert [control._plain_decodes for control in controls] == [count + 1 for count in before]
    speculation.close()
    assert all(oracle.is_closed for oracle in oracles)
