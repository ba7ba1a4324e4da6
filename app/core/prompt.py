"""Which messages of a conversation the model sees, when not all of them fit into its context."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from app.core.errors import ErrorKind, UserError
from app.core.messages import Role

_KEPT_SHARE = 0.75
"""How full the prompt may be after exchanges fell out: room for some turns before the next cut, since each cut
makes the model read everything behind it again."""

_GROWN_SHARE = _KEPT_SHARE / 2
"""A prompt that fills less than this behind an old cut shows that there is more room than when it was made."""

_ANSWER_TOKENS = 512
"""Room kept for an answer whose length is not limited."""


class PromptMessage(Protocol):
    """What this module needs to know of a message."""

    @property
    def id(self) -> str: ...

    @property
    def role(self) -> Role: ...


M = TypeVar("M", bound=PromptMessage)


@dataclass(frozen=True, slots=True)
class Fit(Generic[M]):
    """The messages that fit; `first_visible_id` names the first that is no system message if others fell out."""

    messages: tuple[M, ...]
    tokens: int
    first_visible_id: str | None


def prompt_limit(context_tokens: int, max_tokens: int) -> int:
    """How long a prompt may be so that an answer has room: `max_tokens` (0: unlimited), a quarter at most."""
    return context_tokens - min(max_tokens or _ANSWER_TOKENS, context_tokens // 4)


def longer_lengths(context_tokens: int, longest_tokens: int) -> Iterator[int]:
    """Twice the length of a context, twice that ..., and the longest in the end."""
    while context_tokens < longest_tokens:
        context_tokens = min(2 * context_tokens, longest_tokens)
        yield context_tokens


def fit_messages(
    messages: Sequence[M],
    limit_tokens: int,
    count: Callable[[Sequence[M]], int],
    first_visible_id: str | None = None,
    make_room: Callable[[int, int], int] | None = None,
) -> Fit[M]:
    """Let the oldest exchanges fall out until the prompt fits.

    System messages at the beginning always stay. An exchange is a person's message with what follows it up to the
    next. The cut stays at `first_visible_id`, where it was the last time, as long as that fits; a new cut leaves the
    context at most three quarters full. `count` gives the tokens of a prompt; more messages must not count less.
    `make_room` is asked before a new cut: it gets how long the prompt is as a whole and how long at least, and returns
    what the limit is then.
    Raises UserError(PROMPT_TOO_LONG) when even the last exchange is too long, EMPTY_PROMPT when there is none.
    """
    head_length = next((i for i, m in enumerate(messages) if m.role is not Role.SYSTEM), len(messages))
    head, turns = tuple(messages[:head_length]), tuple(messages[head_length:])
    if not turns:
        raise UserError(ErrorKind.EMPTY_PROMPT)
    cuts = [0, *(i for i, message in enumerate(turns) if i > 0 and message.role is Role.USER)]
    counted: dict[int, int] = {}

    def tokens_from(cut: int) -> int:
        if cut not in counted:
            counted[cut] = count((*head, *turns[cut:]))
        return counted[cut]

    def fit_from(cut: int) -> Fit[M]:
        return Fit((*head, *turns[cut:]), tokens_from(cut), turns[cut].id if cut else None)

    old_cut = next((cut for cut in cuts if turns[cut].id == first_visible_id), 0)
    has_grown = old_cut > 0 and tokens_from(old_cut) < limit_tokens * _GROWN_SHARE
    if not has_grown and tokens_from(old_cut) <= limit_tokens:
        return fit_from(old_cut)
    if make_room is not None and (limit := make_room(tokens_from(0), tokens_from(cuts[-1]))) > limit_tokens:
        limit_tokens, has_grown = limit, True
        if tokens_from(0) <= limit_tokens:
            return fit_from(0)
    candidates = cuts if has_grown else cuts[cuts.index(old_cut) :]
    budget = int(limit_tokens * _KEPT_SHARE)
    found = bisect_left(candidates, True, key=lambda cut: tokens_from(cut) <= budget)
    cut = candidates[min(found, len(candidates) - 1)]
    if tokens_from(cut) > limit_tokens:
        raise UserError(ErrorKind.PROMPT_TOO_LONG, tokens=tokens_from(cut), limit_tokens=limit_tokens)
    return fit_from(cut)
