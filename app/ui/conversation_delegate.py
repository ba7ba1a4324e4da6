"""How a row of the sidebar is painted and renamed in place."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QTextOption
from PySide6.QtWidgets import QLineEdit, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.ui.conversation_list import ROW_ROLE, ConversationRow, HeadingRow
from app.ui.row_ground import paint_row_ground
from app.ui.theme import colors, scaled_font

Index = QModelIndex | QPersistentModelIndex
LONGEST_TITLE_CHARS = 200
INSET_PX = 4


class ConversationDelegate(QStyledItemDelegate):
    """Paints headings small and muted, conversations as one line with a dot while an answer is being written."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row = index.data(ROW_ROLE)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if isinstance(row, HeadingRow):
            _paint_heading(painter, option, row.title)
        elif isinstance(row, ConversationRow):
            title = str(index.data(Qt.ItemDataRole.DisplayRole))
            _paint_conversation(painter, option, row, title)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, _index: Index) -> QSize:
        # The same for every row, headings included: so the list need not ask for thousands of heights.
        return QSize(0, round(QFontMetrics(option.font).height() * 1.8))

    def createEditor(self, parent: QWidget, _option: QStyleOptionViewItem, _index: Index) -> QWidget:
        editor = QLineEdit(parent)
        editor.setMaxLength(LONGEST_TITLE_CHARS)
        editor.setAccessibleName(self.tr("Title of the chat"))
        return editor

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        if isinstance(editor, QLineEdit):
            editor.setText(str(index.data(Qt.ItemDataRole.EditRole)))
            editor.selectAll()

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, _index: Index) -> None:
        box = QRect(option.rect)
        editor.setGeometry(box.adjusted(INSET_PX, 1, -INSET_PX, -1))


def _paint_heading(painter: QPainter, option: QStyleOptionViewItem, title: str) -> None:
    font = scaled_font(option.font, 88)
    font.setWeight(QFont.Weight.DemiBold)
    painter.setFont(font)
    painter.setPen(QColor(colors().muted))
    metrics = QFontMetrics(font)
    margin = _margin_px(option)
    box = QRect(option.rect).adjusted(margin, 0, -margin, -metrics.descent())
    shown = metrics.elidedText(title, Qt.TextElideMode.ElideRight, box.width())
    painter.drawText(box, Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignBottom, shown)


def _paint_conversation(painter: QPainter, option: QStyleOptionViewItem, row: ConversationRow, title: str) -> None:
    theme = colors()
    box = QRectF(QRect(option.rect)).adjusted(INSET_PX, 1, -INSET_PX, -1)
    paint_row_ground(painter, option, box, is_chosen=row.opened)
    metrics = QFontMetrics(option.font)
    margin = _margin_px(option) - INSET_PX
    text_box = box.adjusted(margin, 0, -margin, 0)
    if row.streaming:
        dot_px = metrics.height() * 0.45
        left = text_box.right() - dot_px
        if option.direction == Qt.LayoutDirection.RightToLeft:
            left = text_box.left()
            text_box.setLeft(left + 2 * dot_px)
        else:
            text_box.setRight(left - dot_px)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.accent))
        painter.drawEllipse(QRectF(left, box.center().y() - dot_px / 2, dot_px, dot_px))
    painter.setFont(option.font)
    painter.setPen(QColor(theme.text))
    flow = QTextOption(Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignVCenter)
    flow.setTextDirection(Qt.LayoutDirection.LayoutDirectionAuto)
    flow.setWrapMode(QTextOption.WrapMode.NoWrap)
    shown = metrics.elidedText(title, Qt.TextElideMode.ElideRight, int(text_box.width()))
    painter.drawText(text_box, shown, flow)


def _margin_px(option: QStyleOptionViewItem) -> int:
    return INSET_PX + max(6, QFontMetrics(option.font).height() // 2)
