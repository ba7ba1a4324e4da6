"""A list of models with two lines each, painted by a delegate: thousands of rows cost what a screenful costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QFontMetrics, QHelpEvent, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolTip,
    QWidget,
)

from app.services.explain_fit import FitLevel
from app.ui.models.fit_sign import paint_fit_sign, sign_px
from app.ui.row_ground import paint_row_ground
from app.ui.scroll_column import use_slim_scroll_bars
from app.ui.theme import colors, scaled_font

Index = QModelIndex | QPersistentModelIndex
ROW_ROLE = int(Qt.ItemDataRole.UserRole) + 1
LINE_PERCENT = 92  # of the second line
INSET_PX = 4
_ONE_LINE = Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextSingleLine
_LEADING, _TRAILING = _ONE_LINE | Qt.AlignmentFlag.AlignLeading, _ONE_LINE | Qt.AlignmentFlag.AlignTrailing


class Row(Protocol):
    """What a list shows. Rows are compared by value, and asked for their words when they are painted."""

    @property
    def key(self) -> str:
        """What the row stands for; empty: it is the heading of a group."""

    @property
    def title(self) -> str:
        """The first line."""

    @property
    def text(self) -> str:
        """The second line."""

    @property
    def note(self) -> str:
        """At the trailing edge, e.g. the size."""

    @property
    def state(self) -> str:
        """Below the note, e.g. "Runs here"."""

    @property
    def level(self) -> FitLevel:
        """The sign before `state`, which says the same in words."""


@dataclass(frozen=True, slots=True)
class ListRow:
    """A row whose words are known: a model, or the heading of a group."""

    key: str
    title: str
    text: str = ""
    note: str = ""
    state: str = ""
    level: FitLevel = FitLevel.UNKNOWN


def spoken_words(row: Row) -> str:
    """A row as a screen reader says it."""
    return ". ".join(part for part in (row.title, row.text, row.note, row.state) if part)


class RowModel(QAbstractListModel):
    """Rows that are changed in place where only their words are others, and else replaced as a whole."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[Row, ...] = ()

    def change_rows(self, rows: Sequence[Row]) -> bool:
        """Show these if they stand for the same as those shown; from the first that differs to the last all change."""
        if [row.key for row in rows] != [row.key for row in self.rows]:
            return False
        changed = [place for place, row in enumerate(rows) if row != self.rows[place]]
        if changed:
            self.rows = tuple(rows)
            self.dataChanged.emit(self.index(changed[0]), self.index(changed[-1]))
        return True

    def replace_rows(self, rows: Sequence[Row]) -> None:
        """Show these in place of the others."""
        self.beginResetModel()
        self.rows = tuple(rows)
        self.endResetModel()

    def place_of(self, key: str) -> int | None:
        """Where a model stands."""
        return next((place for place, row in enumerate(self.rows) if row.key == key), None)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  as Qt declares it
        return 0 if parent.isValid() else len(self.rows)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> object:
        row = self.rows[index.row()]
        if role == ROW_ROLE:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return row.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return spoken_words(row)
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not self.rows[index.row()].key:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable


class RowList(QListView):
    """Arrows choose, Enter opens."""

    chosen = Signal(str)  # key of the row that is current now
    opened = Signal(str)  # key of the row on which Enter was pressed, or that was clicked
    end_reached = Signal()  # scrolled to the last rows

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self._rows = RowModel(self)
        self._is_restoring = False
        self._opened_by = Qt.FocusReason.OtherFocusReason
        self.setModel(self._rows)
        self._delegate = _RowDelegate(self)
        self.setItemDelegate(self._delegate)
        self.setFrameShape(QListView.Shape.NoFrame)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)
        use_slim_scroll_bars(self)
        self.clicked.connect(self._on_clicked)
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)

    @property
    def rows(self) -> tuple[Row, ...]:
        """What it shows."""
        return self._rows.rows

    @property
    def current_key(self) -> str:
        """The row that is chosen; empty: none."""
        index = self.currentIndex()
        return self._rows.rows[index.row()].key if index.isValid() else ""

    @property
    def opened_by(self) -> Qt.FocusReason:
        """How the last row was opened: with the mouse, or by a key, where the keyboard wants to follow."""
        return self._opened_by

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these; the row that was chosen stays so if it is among them, and nothing is emitted for it."""
        if self._rows.change_rows(rows):
            return
        key, top = self.current_key, self.verticalScrollBar().value()
        self._rows.replace_rows(rows)
        if key:
            self._is_restoring = True
            self.choose(key)
            self._is_restoring = False
        self.verticalScrollBar().setValue(top)

    def set_header_px(self, header_px: int) -> None:
        """Leave room above the first row, for something that scrolls with the rows."""
        if header_px != self._delegate.header_px:
            self._delegate.header_px = header_px
            self.setUniformItemSizes(header_px == 0)
            self.doItemsLayout()

    def choose(self, key: str) -> bool:
        """Make a row current and bring it into view; False when it is not there."""
        place = self._rows.place_of(key)
        if place is None:
            return False
        self.setCurrentIndex(self._rows.index(place))
        return True

    def choose_none(self) -> None:
        """No row is current any more; nothing is emitted for it."""
        self.setCurrentIndex(QModelIndex())

    def choose_first(self) -> None:
        """Make the first model current."""
        first = next((row.key for row in self._rows.rows if row.key), None)
        if first is not None:
            self.choose(first)

    def dataChanged(self, first: Index, last: Index, roles: Sequence[int] = ()) -> None:
        """A row has its height whatever it says: all rows need not be laid out again, as they are by QListView."""
        QAbstractItemView.dataChanged(self, first, last, roles)

    def currentChanged(self, current: Index, previous: Index) -> None:
        super().currentChanged(current, previous)
        if current.isValid() and not self._is_restoring and (key := self._rows.rows[current.row()].key):
            self.chosen.emit(key)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.current_key:
            self._opened_by = Qt.FocusReason.OtherFocusReason
            self.opened.emit(self.current_key)
            event.accept()
        else:
            super().keyPressEvent(event)

    def _on_clicked(self, index: Index) -> None:
        if key := self._rows.rows[index.row()].key:
            self._opened_by = Qt.FocusReason.MouseFocusReason
            self.opened.emit(key)

    def _on_scrolled(self, value: int) -> None:
        if value >= self.verticalScrollBar().maximum() - self.viewport().height() // 2:
            self.end_reached.emit()


class _RowDelegate(QStyledItemDelegate):
    """A heading is one line, small and muted, at the bottom of its row; `header_px` are left free above the first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.header_px = 0

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        above_px = self.header_px if index.row() == 0 else 0
        return QSize(0, round(QFontMetrics(option.font).height() * 2.9) + above_px)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row: Row = index.data(ROW_ROLE)
        if index.row() == 0 and self.header_px:
            option = QStyleOptionViewItem(option)
            option.rect = QRect(option.rect).adjusted(0, self.header_px, 0, 0)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not row.key:
            _paint_heading(painter, option, row)
        else:
            box = QRectF(QRect(option.rect)).adjusted(INSET_PX, 1, -INSET_PX, -1)
            paint_row_ground(painter, option, box)
            _paint_row(painter, option, row)
        painter.restore()

    def helpEvent(self, event: QHelpEvent, view: QAbstractItemView, option: QStyleOptionViewItem, index: Index) -> bool:
        if event.type() != QEvent.Type.ToolTip or not index.isValid():
            return super().helpEvent(event, view, option, index)
        row: Row = index.data(ROW_ROLE)
        width_px = _text_box(option).width()
        is_cut = any(line.is_cut(width_px) for line in _lines_of(option, row))
        words = "\n".join(part for part in (row.title, row.text, row.note, row.state) if part)
        QToolTip.showText(event.globalPos(), words if is_cut else "", view.viewport(), option.rect)
        return True


def _paint_heading(painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
    font = scaled_font(option.font, 88)
    font.setWeight(QFont.Weight.DemiBold)
    metrics = QFontMetrics(font)
    box = _text_box(option)
    box.setBottom(box.bottom() - metrics.height() // 3)
    painter.setFont(font)
    painter.setPen(QColor(colors().muted))
    text = metrics.elidedText(row.title, Qt.TextElideMode.ElideRight, box.width())
    painter.drawText(box, Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignBottom, text)


def _paint_row(painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
    metrics = QFontMetrics(option.font)
    box = _text_box(option)
    spare = max(0, box.height() - 2 * metrics.height() - 2)
    upper = QRect(box.left(), box.top() + spare // 2, box.width(), metrics.height())
    lower = QRect(box.left(), upper.bottom() + 2, box.width(), metrics.height())
    first, second = _lines_of(option, row)
    _paint_line(painter, upper, first)
    taken = _paint_line(painter, lower, second)
    if row.state and row.level is not FitLevel.UNKNOWN:
        side = sign_px(QFontMetrics(second.trailing_font))
        place = QRect(lower.right() + 1 - taken, lower.center().y() - side // 2, side, side)
        paint_fit_sign(painter, row.level, QRectF(QStyle.visualRect(option.direction, lower, place)))


@dataclass(frozen=True, slots=True)
class _Line:
    """Two texts at the ends of a line; the trailing one, with room for a sign before it, is muted."""

    leading_font: QFont
    leading: str
    leading_colour: str
    trailing_font: QFont
    trailing: str
    has_sign: bool = False

    def fit(self, width_px: int) -> tuple[str, str, int]:
        """What is seen of both, and the width of the trailing one in px; it is not cut before it takes half of all."""
        shown, taken, room = "", 0, width_px
        if self.trailing:
            metrics = QFontMetrics(self.trailing_font)
            shown = metrics.elidedText(self.trailing, Qt.TextElideMode.ElideRight, width_px // 2)
            taken = metrics.horizontalAdvance(shown) + (sign_px(metrics) * 3 // 2 if self.has_sign else 0)
            room -= taken + metrics.averageCharWidth() * 2
        leading = QFontMetrics(self.leading_font).elidedText(self.leading, Qt.TextElideMode.ElideRight, max(0, room))
        return leading, shown, taken

    def is_cut(self, width_px: int) -> bool:
        """Whether some of it is not seen."""
        leading, trailing, _ = self.fit(width_px)
        return (leading, trailing) != (self.leading, self.trailing)


def _lines_of(option: QStyleOptionViewItem, row: Row) -> tuple[_Line, _Line]:
    theme = colors()
    bold = QFont(option.font)
    bold.setWeight(QFont.Weight.DemiBold)
    small = scaled_font(option.font, LINE_PERCENT)
    has_sign = row.level is not FitLevel.UNKNOWN
    return (
        _Line(bold, row.title, theme.text, small, row.note),
        _Line(small, row.text, theme.muted, small, row.state, has_sign),
    )


def _paint_line(painter: QPainter, box: QRect, line: _Line) -> int:
    """The width of the trailing text in px, with room for its sign."""
    leading, trailing, taken = line.fit(box.width())
    for font, colour, text, side in (
        (line.trailing_font, colors().muted, trailing, Qt.AlignmentFlag.AlignTrailing),
        (line.leading_font, line.leading_colour, leading, Qt.AlignmentFlag.AlignLeading),
    ):
        if text:
            painter.setFont(font)
            painter.setPen(QColor(colour))
            painter.drawText(box, _ONE_LINE | side, text)
    return taken


def _text_box(option: QStyleOptionViewItem) -> QRect:
    margin = INSET_PX + QFontMetrics(option.font).height() // 2
    return QRect(option.rect).adjusted(margin, 2, -margin, -2)
