"""The way of the Tab key through a window: as one reads, container by container, whatever was made first."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

OWN_ORDER = "ownTabOrder"
"""A property of widgets that lead the Tab key through their children themselves."""


def tab_stops(container: QWidget) -> Iterator[QWidget]:
    """What Tab reaches in a container now: from top to bottom, beside each other from left to right."""
    children = [child for child in container.children() if isinstance(child, QWidget)]
    shown = [child for child in children if child.isVisible() and child.isEnabled() and not child.isWindow()]
    for child in sorted(shown, key=lambda child: (child.y(), child.x())):
        if child.focusPolicy() & Qt.FocusPolicy.TabFocus and child.focusProxy() is None:
            yield child
        if not child.property(OWN_ORDER):
            yield from tab_stops(child)


def stop_beside(container: QWidget, current: QWidget | None, *, forward: bool) -> QWidget | None:
    """The stop after (or before) `current`, which may also be inside a stop; round and round. None if there is none."""
    stops = list(tab_stops(container))
    if not stops:
        return None
    at = next((n for n, stop in enumerate(stops) if stop is current), None)
    if at is None and current is not None:
        at = next((n for n, stop in enumerate(stops) if stop.isAncestorOf(current)), None)
    if at is None:
        return stops[0 if forward else -1]
    return stops[(at + (1 if forward else -1)) % len(stops)]
