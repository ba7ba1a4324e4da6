from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from app.core.errors import ErrorKind, UserError
from app.core.messages import Role
from app.core.prompt import fit_messages, prompt_limit


@dataclass(frozen=True)
class Sized:
    id: str
    role: Role
    tokens: int


def count(messages: Sequence[Sized]) -> int:
    return sum(message.tokens for message in messages)


def conversation(exchanges: int, each: int = 10, system: int = 5) -> list[Sized]:
    """A system prompt, exchanges of twice `each` tokens, and a last question."""
    messages = [Sized("s", Role.SYSTEM, system)] if system else []
    for index in range(exchanges):
        messages.append(Sized(f"u{index}", Role.USER, each))
        messages.append(Sized(f"a{index}", Role.ASSISTANT, each))
    return [*messages, Sized(f"u{exchanges}", Role.USER, each)]


def test_everything_stays_while_it_fits() -> None:
    messages = conversation(4)
    fit = fit_messages(messages, 95, count)
    assert fit.messages == tuple(messages)
    assert (fit.tokens, fit.first_visible_id) == (95, None)


def test_oldest_exchanges_fall_out_and_the_system_prompt_stays() -> None:
    fit = fit_messages(conversation(5), 100, count)
    assert [m.id for m in fit.messages][:2] == ["s", "u2"]
    assert fit.first_visible_id == "u2"
    assert fit.tokens == 75  # at most three quarters


def test_the_cut_stays_where_it_was_until_the_context_is_full_again() -> None:
    first = fit_messages(conversation(5), 100, count).first_visible_id
    cuts = []
    for exchanges in range(5, 12):
        first = fit_messages(conversation(exchanges), 100, count, first).first_visible_id
        cuts.append(first)
    assert cuts == ["u2", "u2", "u4", "u4", "u6", "u6", "u8"]


def test_an_exchange_falls_out_whole() -> None:
    messages = [
        Sized("u0", Role.USER, 10),
        Sized("a0", Role.ASSISTANT, 50),
        Sized("a1", Role.ASSISTANT, 50),
        Sized("u1", Role.USER, 10),
    ]
    fit = fit_messages(messages, 110, count)
    assert [m.id for m in fit.messages] == ["u1"]


def test_a_cut_that_no_longer_exists_is_forgotten() -> None:
    fit = fit_messages(conversation(2), 100, count, "gone")
    assert fit.first_visible_id is None


def test_a_larger_context_brings_the_past_back() -> None:
    fit = fit_messages(conversation(5), 1000, count, "u3")
    assert fit.first_visible_id is None


def test_too_long_even_alone() -> None:
    messages = [*conversation(3), Sized("a3", Role.ASSISTANT, 1), Sized("u9", Role.USER, 200)]
    with pytest.raises(UserError) as raised:
        fit_messages(messages, 100, count)
    assert raised.value == UserError(ErrorKind.PROMPT_TOO_LONG, tokens=205, limit_tokens=100)


def test_the_last_exchange_alone_may_fill_more_than_three_quarters() -> None:
    messages = [*conversation(3), Sized("a3", Role.ASSISTANT, 1), Sized("u9", Role.USER, 90)]
    assert [m.id for m in fit_messages(messages, 100, count).messages] == ["s", "u9"]


def test_no_message_is_an_empty_prompt() -> None:
    with pytest.raises(UserError) as raised:
        fit_messages([Sized("s", Role.SYSTEM, 5)], 100, count)
    assert raised.value.kind is ErrorKind.EMPTY_PROMPT


def test_a_long_conversation_is_not_counted_message_by_message() -> None:
    calls = 0

    def counting(messages: Sequence[Sized]) -> int:
        nonlocal calls
        calls += 1
        return count(messages)

    fit_messages(conversation(1000), 500, counting)
    assert calls <= 12


def test_room_for_the_answer() -> None:
    assert prompt_limit(8192, 0) == 8192 - 512
    assert prompt_limit(512, 0) == 384
    assert prompt_limit(8192, 100) == 8092
    assert prompt_limit(8192, 100_000) == 6144


def test_room_is_made_before_anything_falls_out() -> None:
    asked: list[tuple[int, int]] = []

    def make_room(whole: int, least: int) -> int:
        asked.append((whole, least))
        return 200

    messages = conversation(5)
    fit = fit_messages(messages, 100, count, make_room=make_room)
    assert asked == [(115, 15)]
    assert (fit.messages, fit.first_visible_id) == (tuple(messages), None)
    assert fit_messages(messages, 120, count, make_room=make_room).first_visible_id is None
    assert len(asked) == 1, "not where all fits"


def test_as_much_is_seen_as_there_is_room_made_for() -> None:
    def first_visible(room: int) -> str | None:
        return fit_messages(conversation(9), 60, count, "u6", lambda whole, least: room).first_visible_id

    assert first_visible(60) == "u8"
    assert first_visible(160) == "u4", "also what had fallen out before"
    assert first_visible(195) is None
