"""A list row of two lines: a title and, smaller and muted, what there is to say about it."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.ui.theme import colors, scaled_font

SECOND_LINE_ROLE = Qt.ItemDataRole.UserRole + 1
PADDING_PX = 8
RADIUS_PX = 6


class TwoLineDelegate(QStyledItemDelegate):
    """Selected rows are filled, the one with the keyboard's focus has a ring."""

    def sizeHint(self, option: QStyleOptionViewItem, _index: QModelIndex | QPersistentModelIndex) -> QSize:
        second = QFontMetrics(scaled_font(option.font, 88)).height()
        return QSize(0, QFontMetrics(option.font).height() + second + 2 * PADDING_PX)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        theme = colors()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRect(option.rect).adjusted(1, 1, -1, -1)
        ground = None
        if option.state & QStyle.StateFlag.State_Selected:
            ground = theme.selected
        elif option.state & QStyle.StateFlag.State_MouseOver:
            ground = theme.hover
        if ground is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(ground))
            painter.drawRoundedRect(QRectF(box), RADIUS_PX, RADIUS_PX)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(QColor(theme.accent), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(box).adjusted(1, 1, -1, -1), RADIUS_PX, RADIUS_PX)
        inside = box.adjusted(PADDING_PX, PADDING_PX - 1, -PADDING_PX, 1 - PADDING_PX)
        align = Qt.AlignmentFlag.AlignLeading
        for line, size_percent, color, edge in (
            (index.data(Qt.ItemDataRole.DisplayRole), 100, theme.text, Qt.AlignmentFlag.AlignTop),
            (index.data(SECOND_LINE_ROLE), 88, theme.muted, Qt.AlignmentFlag.AlignBottom),
        ):
            font = scaled_font(option.font, size_percent)
            painter.setFont(font)
            painter.setPen(QColor(color))
            shown = QFontMetrics(font).elidedText(str(line), Qt.TextElideMode.ElideRight, inside.width())
            painter.drawText(inside, align | edge | Qt.TextFlag.TextSingleLine, shown)
        painter.restore()
