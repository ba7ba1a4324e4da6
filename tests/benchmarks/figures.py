"""How measurements are summed up: medians, spread, and ratios of what ran one after the other."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median with the lowest and the highest."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of each round: both sides of a round ran in the same minute."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
