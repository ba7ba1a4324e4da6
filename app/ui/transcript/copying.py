"""The text that a selection covers."""

from __future__ import annotations

from app.ui.transcript.rows import Rows
from app.ui.transcript.selection import Place, Selection


def shown_text(rows: Rows, selection: Selection) -> str:
    """Whole messages as their Markdown, which keeps tables and formulas; parts of messages as they are shown."""
    if selection.is_all:
        return "\n\n".join(text for state in rows.states if (text := state.item.message.text.strip("\n")))
    ends = selection.ends()
    if ends is None:
        return ""
    first, last = ends
    parts = []
    for row in range(first.text.row, last.text.row + 1):
        if first.text.row < row < last.text.row:
            parts.append(rows.states[row].item.message.text.strip("\n"))
        else:
            parts.append(_part_of_row(rows, row, first, last))
    return "\n\n".join(part for part in parts if part)


def _part_of_row(rows: Rows, row: int, first: Place, last: Place) -> str:
    widget = rows.widget_for(row)
    copied = between = ""
    for part, column in widget.columns():
        for index in range(len(column.blocks)):
            key = (row, part, index)
            first_key = (first.text.row, first.text.part, first.text.block)
            last_key = (last.text.row, last.text.part, last.text.block)
            if first_key <= key <= last_key:
                start = first.position if key == first_key else 0
                end = last.position if key == last_key else None
                if text := column.text_of(index, start, end):
                    copied += between + text if copied else text
                between = column.break_after(index)
    return copied
