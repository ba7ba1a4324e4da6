"""The way of the Tab key through a window: as one reads, container by container, whatever was made first."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

OWN_ORDER = "ownTabOrder"
"""A property of widgets that lead the Tab key through their children themselves."""


def tab_stops(container: QWidget, leaving: QWidget | None = None) -> Iterator[QWidget]:
    """What Tab reaches in a container now: from top to bottom, beside each other from left to right, upper layer first.

    Also `leaving`, in its place, although it may just have been hidden or disabled.
    """
    children = [child for child in container.children() if isinstance(child, QWidget) and not child.isWindow()]
    on_the_way = [child for child in children if leaving is not None and _holds(child, leaving)]
    shown = [child for child in children[::-1] if (child.isVisible() and child.isEnabled()) or child in on_the_way]
    for child in sorted(shown, key=lambda child: (child.y(), child.x())):
        if child.focusPolicy() & Qt.FocusPolicy.TabFocus and child.focusProxy() is None:
            yield child
        if not child.property(OWN_ORDER):
            yield from tab_stops(child, leaving)


def stop_beside(container: QWidget, current: QWidget | None, *, forward: bool) -> QWidget | None:
    """The stop after (or before) `current`, which may also be inside a stop; round and round. None if there is none."""
    stops = list(tab_stops(container, current))
    at = next((n for n, stop in enumerate(stops) if stop is current), None)
    if at is None and current is not None:
        at = next((n for n, stop in enumerate(stops) if stop.isAncestorOf(current)), None)
    if not forward:
        stops, at = stops[::-1], None if at is None else len(stops) - 1 - at
    ring = stops if at is None else [*stops[at + 1 :], *stops[: at + 1]]
    return next((stop for stop in ring if stop.isVisible() and stop.isEnabled()), None)


def _holds(widget: QWidget, other: QWidget) -> bool:
    return widget is other or widget.isAncestorOf(other)
