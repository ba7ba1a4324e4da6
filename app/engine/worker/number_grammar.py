"""Grammars of the whole numbers in a range, digit by digit."""

from __future__ import annotations


def natural_numbers(low: int, high: int) -> str:
    """The decimal numbers from `low` to `high`, without leading zeros."""
    ways = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (digits - 1) if digits > 1 else 0)
        last = min(high, 10**digits - 1)
        ways.append(_digits(str(first), str(last)))
    return " | ".join(ways)


def _digits(low: str, high: str) -> str:
    """The numbers between two of the same length."""
    count = len(low) - 1
    if not count:
        return f"[{low}-{high}]"
    if low[0] == high[0]:
        return f'"{low[0]}" ({_digits(low[1:], high[1:])})'
    first, last = int(low[0]), int(high[0])
    ways = []
    if set(low[1:]) != {"0"}:
        ways.append(f'"{first}" ({_digits(low[1:], "9" * count)})')
        first += 1
    if set(high[1:]) != {"9"}:
        ways.append(f'"{last}" ({_digits("0" * count, high[1:])})')
        last -= 1
    if first <= last:
        ways.append(f"[{first}-{last}] [0-9]{{{count}}}")
    return " | ".join(ways)
