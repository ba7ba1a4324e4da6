from __future__ import annotations

import pytest

from app.core.stops import StopFinder


def feed_all(stops: list[str], pieces: list[str]) -> tuple[str, str | None]:
    finder = StopFinder(stops)
    text = "".join(finder.feed(piece) for piece in pieces)
    return text + finder.finish(), finder.found


def test_without_stops_everything_comes_through_at_once() -> None:
    finder = StopFinder([])
    assert finder.feed("<|im_") == "<|im_"
    assert finder.finish() == ""


@pytest.mark.parametrize("size", range(1, 12))
def test_a_stop_is_found_however_the_text_is_cut(size: int) -> None:
    text = "Hello <|im_ world<|im_end|> never seen"
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert feed_all(["<|im_end|>", "User:"], pieces) == ("Hello <|im_ world", "<|im_end|>")


def test_what_may_begin_a_stop_waits_and_comes_when_it_does_not() -> None:
    finder = StopFinder(["\nUser:"])
    assert finder.feed("one\nUs") == "one"
    assert finder.feed("ed") == "\nUsed"
    assert finder.feed("\n") == ""
    assert finder.finish() == "\n"


@pytest.mark.parametrize("length", [65, 66, 300, 100_000])
def test_a_very_long_stop(length: int) -> None:
    stop = "ab" * (length // 2) + "!"
    pieces = ["x", stop[:10], stop[10:-3], stop[-3:], "never seen"]
    assert feed_all([stop], pieces) == ("x", stop)
    almost = f"x{stop[:-1]}?{'y' * length}"
    assert feed_all([stop], [almost[:20], almost[20:]]) == (almost, None)


def test_the_earliest_stop_wins_and_the_longest_at_one_place() -> None:
    assert feed_all(["b", "abc"], ["xabc"]) == ("x", "abc")
    assert feed_all(["ab", "abc"], ["xabc"]) == ("x", "abc")


def test_overlapping_beginnings() -> None:
    assert feed_all(["aab"], ["a", "a", "a", "b", "c"]) == ("a", "aab")
    assert feed_all(["###"], ["## #", "# #"]) == ("## ## #", None)


def test_stops_are_plain_text_not_patterns() -> None:
    assert feed_all([".*"], ["anything", ".", "*"]) == ("anything", ".*")


def test_empty_stops_are_ignored() -> None:
    assert feed_all([""], ["text"]) == ("text", None)


def test_nothing_comes_after_the_stop() -> None:
    finder = StopFinder(["end"])
    assert finder.feed("the end of it") == "the "
    assert finder.feed("more") == ""
