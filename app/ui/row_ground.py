"""What lies under the words of a row in a list, the same in every list that Hearth paints itself."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyleOptionViewItem

from app.ui.theme import colors

RADIUS_PX = 6


def paint_row_ground(
    painter: QPainter, option: QStyleOptionViewItem, box: QRectF, *, is_chosen: bool | None = None
) -> None:
    """Fill a row that is chosen or pointed at, and draw a ring around the one that keys go to.

    `is_chosen`: where that is not what the list calls selected.
    """
    theme, state = colors(), option.state
    ground = None
    if bool(state & QStyle.StateFlag.State_Selected) if is_chosen is None else is_chosen:
        ground = theme.selected
    elif state & QStyle.StateFlag.State_MouseOver:
        ground = theme.hover
    if ground is not None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(ground))
        painter.drawRoundedRect(box, RADIUS_PX, RADIUS_PX)
    if state & QStyle.StateFlag.State_HasFocus:
        painter.setPen(QPen(QColor(theme.accent), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box.adjusted(1, 1, -1, -1), RADIUS_PX, RADIUS_PX)
