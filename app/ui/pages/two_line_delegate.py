"""A list row of two lines: a title and, smaller and muted, what there is to say about it."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from app.ui.row_ground import paint_row_ground
from app.ui.theme import colors, scaled_font

SECOND_LINE_ROLE = Qt.ItemDataRole.UserRole + 1
PADDING_PX = 8


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
        paint_row_ground(painter, option, QRectF(box))
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
