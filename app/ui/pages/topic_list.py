"""The list of help topics: headings, and titles that wrap."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QShowEvent
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QListWidget,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from app.ui.row_ground import paint_row_ground
from app.ui.scroll_column import use_slim_scroll_bars
from app.ui.theme import colors, scaled_font

Index = QModelIndex | QPersistentModelIndex
PADDING_PX = 8
ROW_PADDING_PX = 4
HEADING_GAP_PX = 12
FIRST_ROWS = 3  # with these the top of the list is in view anyway
_FLOW = Qt.TextFlag.TextWordWrap


class TopicList(QListWidget):
    """Rows that cannot be chosen are headings; keys pass over them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Help topics"))
        self.setFrameShape(QListWidget.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.setMouseTracking(True)
        self.setItemDelegate(TopicDelegate(self))
        self.viewport().setAutoFillBackground(False)
        use_slim_scroll_bars(self)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.currentRow() <= FIRST_ROWS:
            self.scrollToTop()
        else:
            self.scrollToItem(self.currentItem())

    def moveCursor(self, action: QListWidget.CursorAction, modifiers: Qt.KeyboardModifier) -> QModelIndex:
        target = super().moveCursor(action, modifiers)
        if target.isValid() and not target.flags() & Qt.ItemFlag.ItemIsSelectable:
            return target.siblingAtRow(target.row() + 1)
        return target


class TopicDelegate(QStyledItemDelegate):
    """A row that cannot be chosen is a heading."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        heading = not index.flags() & Qt.ItemFlag.ItemIsSelectable
        font = _heading_font(option.font) if heading else option.font
        width = _viewport_width(option) - 2 * PADDING_PX
        words = str(index.data(Qt.ItemDataRole.DisplayRole))
        height = QFontMetrics(font).boundingRect(QRect(0, 0, max(1, width), 1 << 16), _FLOW, words).height()
        return QSize(0, height + 2 * ROW_PADDING_PX + (HEADING_GAP_PX if heading and index.row() else 0))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        theme = colors()
        heading = not index.flags() & Qt.ItemFlag.ItemIsSelectable
        words = str(index.data(Qt.ItemDataRole.DisplayRole))
        box = QRect(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not heading:
            paint_row_ground(painter, option, QRectF(box).adjusted(1, 1, -1, -1))
        painter.setFont(_heading_font(option.font) if heading else option.font)
        painter.setPen(QColor(theme.muted if heading else theme.text))
        inside = box.adjusted(PADDING_PX, ROW_PADDING_PX, -PADDING_PX, -ROW_PADDING_PX)
        edge = Qt.AlignmentFlag.AlignBottom if heading else Qt.AlignmentFlag.AlignTop
        painter.drawText(inside, Qt.AlignmentFlag.AlignLeading | edge | _FLOW, words)
        painter.restore()


def _heading_font(font: QFont) -> QFont:
    bold = scaled_font(font, 88)
    bold.setWeight(QFont.Weight.DemiBold)
    return bold


def _viewport_width(option: QStyleOptionViewItem) -> int:
    view = option.widget
    return view.viewport().width() if isinstance(view, QAbstractScrollArea) else option.rect.width()
