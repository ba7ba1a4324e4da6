"""What is selected, by places in the messages: so it outlives the widgets that scroll out of sight."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal


@dataclass(frozen=True, slots=True, order=True)
class TextId:
    """One text of the transcript: row, part of the message (0 thought, 1 body), block."""

    row: int
    part: int
    block: int


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position between two characters (UTF-16 units, as in QTextCursor) of one text."""

    text: TextId
    position: int


class Selection(QObject):
    """From where to where the person selected. `changed` is emitted after every change."""

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._anchor: Place | None = None
        self._focus: Place | None = None
        self.is_all = False
        self.is_dragging = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is selected."""
        return not self.is_all and self.ends() is None

    def ends(self) -> tuple[Place, Place] | None:
        """First and last place; None when nothing, or everything, is selected."""
        if self.is_all or self._anchor is None or self._focus is None or self._anchor == self._focus:
            return None
        return min(self._anchor, self._focus), max(self._anchor, self._focus)

    def begin(self, place: Place) -> None:
        """Start at a place; what was selected is let go."""
        self._set(place, place)

    def extend(self, place: Place) -> None:
        """Move the far end."""
        self._set(self._anchor or place, place)

    def set_range(self, first: Place, last: Place) -> None:
        """Select from one place to another."""
        self._set(first, last)

    def select_all(self) -> None:
        """Select every message."""
        self.is_all = True
        self._anchor = self._focus = None
        self.changed.emit()

    def clear(self) -> None:
        """Select nothing."""
        if not self.is_empty or self._anchor is not None:
            self._set(None, None)

    def range_in(self, text: TextId, length: int) -> tuple[int, int]:
        """The selected positions (start, end) within one text of `length` positions; equal when there are none."""
        if self.is_all:
            return 0, length
        ends = self.ends()
        if ends is None or not ends[0].text <= text <= ends[1].text:
            return 0, 0
        first, last = ends
        start = first.position if first.text == text else 0
        end = last.position if last.text == text else length
        return min(start, length), min(end, length)

    def _set(self, anchor: Place | None, focus: Place | None) -> None:
        if (anchor, focus, False) != (self._anchor, self._focus, self.is_all):
            self._anchor, self._focus, self.is_all = anchor, focus, False
            self.changed.emit()
