"""Guessing tokens ahead, so that several are decoded in the time of one.

Every guess is checked: the model's own choice is sampled at each guessed place, and the first guess that differs ends
them. What is said is what would have been said without guesses; only its speed changes.
"""

from __future__ import annotations

from app.engine.worker.speculation.draft_control import AdaptiveControl, DecodeTimes
from app.engine.worker.speculation.prompt_lookup import PromptLookup
from app.engine.worker.speculation.speculation import MAX_DRAFT_TOKENS, DraftControl, Drafter, Speculation

__all__ = [
    "MAX_DRAFT_TOKENS",
    "AdaptiveControl",
    "DecodeTimes",
    "DraftControl",
    "Drafter",
    "PromptLookup",
    "Speculation",
]
