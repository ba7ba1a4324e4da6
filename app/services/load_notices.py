"""What is told of a load: not again when the same model comes back after a rest, and no longer than it is so."""

from __future__ import annotations

from app.core.errors import NoticeKind
from app.services.explain import explain_notice

_ABOUT_CHOICES = frozenset(
    {
        NoticeKind.ADAPTERS_UNUSED,
        NoticeKind.CACHE_TYPE_UNFIT,
        NoticeKind.DRAFT_UNUSED,
        NoticeKind.OWN_TEMPLATE_BROKEN,
    }
)
"""Of what the person chose and can choose otherwise. The others tell what happened: the next load does not undo it."""


class LoadNotices:
    """The notices of the last load and of the one under way."""

    def __init__(self) -> None:
        self._last: dict[str, NoticeKind] = {}
        self._now: dict[str, NoticeKind] = {}
        self._is_return = False

    def begin(self, *, is_return: bool) -> None:
        """Another load is sent; `is_return`: of the model that rested, as it was."""
        self._now = {}
        self._is_return = is_return

    def words_for(self, kind: NoticeKind, details: dict[str, object]) -> str:
        """What to tell now; empty: it was told before the model rested."""
        words = explain_notice(kind, details)
        self._now[words] = kind
        return "" if self._is_return and words in self._last else words

    def settle(self) -> list[str]:
        """The model is loaded: what was told and is not so any more."""
        over = [words for words, kind in self._last.items() if kind in _ABOUT_CHOICES and words not in self._now]
        self._last = self._now
        return over
