"""The order in which a key goes through the parts of the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtWidgets import QApplication, QWidget


@dataclass(frozen=True, slots=True)
class WindowPart:
    """A part of the window, and how the keyboard gets into it."""

    widget: QWidget
    focus: Callable[[], object]


def focus_next_part(parts: Sequence[WindowPart]) -> None:
    """Go to the part after the one that has the focus, round and round; those that are not on screen are left out."""
    shown = [part for part in parts if part.widget.isVisible()]
    if not shown:
        return
    focus = QApplication.focusWidget()
    holding = (n for n, part in enumerate(shown) if focus and (part.widget is focus or part.widget.isAncestorOf(focus)))
    shown[(next(holding, -1) + 1) % len(shown)].focus()
