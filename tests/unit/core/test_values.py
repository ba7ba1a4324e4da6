"""Settings, sampling, titles, text, parts and errors."""

import math

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.messages import (
    ReasoningPart,
    TextPart,
    UnknownPart,
    Usage,
    part_from_json,
    part_to_json,
)
from app.core.sampling import RANGE_OF, RANGES, Sampling
from app.core.settings import SETTING_OF, SETTINGS, read_settings, sampling_overrides
from app.core.text import clean_text
from app.core.titles import MAX_TITLE_LENGTH, title_from


@pytest.mark.parametrize("part", [TextPart("a\nb 🦊"), ReasoningPart(""), UnknownPart({"kind": "image", "x": [1]})])
def test_parts_survive_storage(part: TextPart | ReasoningPart | UnknownPart) -> None:
    assert part_from_json(part_to_json(part)) == part


def test_a_text_part_without_text_is_kept_as_it_is() -> None:
    assert part_from_json({"kind": "text"}) == UnknownPart({"kind": "text"})


def test_errors_survive_the_pipe() -> None:
    error = UserError(ErrorKind.NOT_ENOUGH_MEMORY, needed_bytes=5, path="x")
    assert UserError.from_json(error.to_json()) == error


def test_an_error_of_a_newer_version_is_still_an_error() -> None:
    assert UserError.from_json({"kind": "sunspots"}).string("reason") == "sunspots"


def test_every_setting_accepts_its_default_and_its_limits() -> None:
    for setting in SETTINGS:
        assert setting.accepts(setting.default), setting.key
        if math.isfinite(setting.maximum):
            assert setting.accepts(setting.kind(setting.maximum)), setting.key
            assert not setting.accepts(setting.kind(setting.maximum + 1)), setting.key


def test_illegal_stored_settings_become_defaults() -> None:
    read = read_settings(
        {
            "appearance.theme": "purple",
            "appearance.text_percent": True,
            "sampling.temperature": "hot",
            "model.context_length": -4,
            "unknown": 1,
        }
    )
    assert read == {setting.key: setting.default for setting in SETTINGS}


def test_legal_stored_settings_are_taken() -> None:
    read = read_settings({"appearance.theme": "dark", "sampling.temperature": 1, "sampling.seed": 7})
    assert read["appearance.theme"] == "dark"
    assert sampling_overrides(read) == {"temperature": 1, "seed": 7}


def test_every_sampling_range_has_a_setting() -> None:
    assert {f"sampling.{spec.name}" for spec in RANGES} <= SETTING_OF.keys()


def test_sampling_brings_values_into_their_range() -> None:
    merged = Sampling().merged(
        {"temperature": 99, "top_k": 3.6, "top_p": float("nan"), "seed": -1, "min_p": None, "nonsense": 1}
    )
    assert (merged.temperature, merged.top_k, merged.top_p) == (5.0, 4, 0.0)
    assert merged.seed == 0xFFFFFFFF
    assert merged.min_p == Sampling().min_p


def test_numbers_beyond_all_measure_are_brought_into_range() -> None:
    most = Sampling().merged({"temperature": 10**400, "top_k": math.inf, "seed": math.nan})
    assert (most.temperature, most.top_k, most.seed) == (5.0, RANGE_OF["top_k"].maximum, 0)
    assert isinstance(most.temperature, float)
    assert Sampling().merged({"seed": 10**400}).seed == 10**400 % 2**32


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("how do tides work?", "How do tides work?"),
        ("Hello there, can you help me?", "Can you help me?"),
        ("Hello there", "Hello there"),
        ("Hi-fi or hello.py?", "Hi-fi or hello.py?"),
        ("How do I sort in C#?", "How do I sort in C#?"),
        ("why is `a_name` not 2*3?", "Why is a_name not 2*3?"),
        ("> **quoted** _words_", "Quoted words"),
        ("hi", "Hi"),
        ("## **Plan** for `June`\nmore", "Plan for June"),
        ("\n\n   \n second line", "Second line"),
        ("?!…", ""),
        ("", ""),
        ("مرحبا بالعالم", "مرحبا بالعالم"),
        ("🦊 fox", "🦊 fox"),
    ],
)
def test_titles(text: str, title: str) -> None:
    assert title_from(text) == title


def test_a_long_title_is_cut_at_a_word() -> None:
    title = title_from("please explain in detail the difference between prompt reading and generation")
    assert len(title) <= MAX_TITLE_LENGTH
    assert title == "Please explain in detail the difference…"


def test_a_title_without_spaces_is_cut_all_the_same() -> None:
    assert len(title_from("x" * 5000)) <= MAX_TITLE_LENGTH


def test_text_is_made_fit_for_storage() -> None:
    assert clean_text("a\r\nb\rc\u2029d\x00\ud800\U0001f98a") == "a\nb\nc\nd\ufffd\ufffd\U0001f98a"
    assert clean_text("\u202bעברית\u202c").encode()


def test_usage_of_a_continued_answer_adds_up() -> None:
    first = Usage(100, 0, 20, 50.0, 1000.0, 60.0)
    total = first.plus(Usage(120, 119, 10, 1.0, 500.0, 5.0))
    assert (total.prompt_tokens, total.completion_tokens, total.first_token_ms) == (100, 30, 60.0)
    assert total.tokens_per_second == pytest.approx(20.0)
    assert Usage(completion_tokens=1, generation_ms=1.0).tokens_per_second is None


def test_usage_of_an_answer_stopped_before_its_prompt_was_read_takes_the_prompt_of_the_continuation() -> None:
    assert Usage().plus(Usage(120, 119, 10)) == Usage(120, 119, 10)
