"""The heights of all rows of a long list, and where each row begins."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable


class RowHeights:
    """Row heights in pixels with their running sum; the sum is brought up to date only as far as it is asked for."""

    def __init__(self, heights: Iterable[int] = ()) -> None:
        self._heights = array("i", heights)
        self._tops = array("q", [0])  # _tops[i] is where row i begins; valid for the rows up to len(_tops) - 1

    def __len__(self) -> int:
        return len(self._heights)

    def __getitem__(self, row: int) -> int:
        return self._heights[row]

    @property
    def total(self) -> int:
        """The height of all rows together."""
        return self.top_of(len(self._heights))

    def top_of(self, row: int) -> int:
        """Where a row begins; for `row == len` where the last one ends."""
        tops = self._tops
        if row >= len(tops):
            top = tops[-1]
            for height in self._heights[len(tops) - 1 : row]:
                top += height
                tops.append(top)
        return tops[row]

    def row_at(self, y: int) -> int:
        """The row that covers `y`; the first or last row for a `y` outside. Needs at least one row."""
        self.top_of(len(self._heights))
        return min(max(bisect_right(self._tops, y) - 1, 0), len(self._heights) - 1)

    def set(self, row: int, height: int) -> None:
        """Change one height."""
        self._heights[row] = height
        del self._tops[row + 1 :]

    def append(self, height: int) -> None:
        """Add a row at the end."""
        self._heights.append(height)

    def truncate(self, length: int) -> None:
        """Drop the rows from `length` on."""
        del self._heights[length:]
        del self._tops[length + 1 :]
