"""The way of the keyboard through the messages: from top to bottom, whatever the order in which widgets were made."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from app.ui.tab_order import stop_beside
from app.ui.transcript.rows import Rows


def move_focus(area: QAbstractScrollArea, rows: Rows, *, forward: bool) -> bool:
    """Give the keyboard to the next stop (or the one before); False when there is none outside either."""
    reason = Qt.FocusReason.TabFocusReason if forward else Qt.FocusReason.BacktabFocusReason
    stop = _next_stop(area, rows, forward=forward)
    if stop is None:
        leaves = forward or area.hasFocus()
        stop = stop_beside(area.window(), area, forward=forward) if leaves else area
    if stop is None or (stop is area and area.hasFocus()):
        return False
    stop.setFocus(reason)
    return True


def _next_stop(area: QAbstractScrollArea, rows: Rows, *, forward: bool) -> QWidget | None:
    focused = area.window().focusWidget()
    row = next((row for row, w in rows.live.items() if focused is not None and holds(w, focused)), None)
    if row is None:
        return _entry(area, rows) if forward else None
    stops = rows.live[row].tab_stops()
    step = 1 if forward else -1
    index = stops.index(focused) + step if focused in stops else 0
    if 0 <= index < len(stops):
        stop = stops[index]
    else:
        row += step
        if not 0 <= row < len(rows.states):
            return None
        rows.scroll_to_row(row)
        stop = rows.widget_for(row).tab_stops()[0 if forward else -1]
    rows.scroll_to_row(row, stop)
    return stop


def _entry(area: QAbstractScrollArea, rows: Rows) -> QWidget | None:
    """Where the keyboard enters: the first message whose beginning is on screen."""
    on_screen = [row for row in sorted(rows.live) if rows.live[row].geometry().bottom() > 0]
    begin_on_screen = [row for row in on_screen if rows.live[row].y() >= 0]
    row = next(iter(begin_on_screen or on_screen), None)
    return None if row is None else rows.live[row]


def holds(widget: QWidget, other: QWidget) -> bool:
    """Whether `other` is a widget or inside it."""
    return other is widget or widget.isAncestorOf(other)
