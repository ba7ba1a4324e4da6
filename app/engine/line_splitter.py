"""Cuts what arrives on a pipe into lines, without holding more than a line may be long."""

from __future__ import annotations


class LineSplitter:
    """Feed it chunks as they come; it gives back the lines that became whole."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._too_long = False

    def feed(self, chunk: bytes) -> list[bytes | None]:
        """The lines that `chunk` completes, without their ends; None in place of one over the limit."""
        first, *rest = chunk.split(b"\n")
        if not rest:
            self._hold(first)
            return []
        *whole, last = rest
        lines = [self._close(first), *(line if len(line) <= self._limit_bytes else None for line in whole)]
        self._hold(last)
        return lines

    def _hold(self, piece: bytes) -> None:
        """Keep a piece of a line whose end has not come yet."""
        self._held_bytes += len(piece)
        if self._held_bytes > self._limit_bytes:
            self._too_long = True
            self._pieces.clear()
        elif piece:
            self._pieces.append(piece)

    def _close(self, piece: bytes) -> bytes | None:
        """The held line, which ends with `piece`; None when it was too long."""
        self._hold(piece)
        line = None if self._too_long else b"".join(self._pieces)
        self._pieces.clear()
        self._held_bytes = 0
        self._too_long = False
        return line
