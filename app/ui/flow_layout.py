"""A layout that goes on in a new row where the width ends, as words do."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtWidgets import QLayout, QLayoutItem, QWidget


class FlowLayout(QLayout):
    """Items in their preferred size from left to right (or right to left), in as many rows as it takes."""

    def __init__(self, parent: QWidget | None = None, *, spacing_px: int = 8) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self._heights: dict[int, int] = {}  # by width: a window that is laid out asks for the same ones many times
        self.setSpacing(spacing_px)
        self.setContentsMargins(0, 0, 0, 0)

    def _arrange(self, rect: QRect, *, apply: bool) -> int:
        """Places the items if `apply`, in the middle of their row; returns the height they take in px."""
        margins = self.contentsMargins()
        inside = rect.marginsRemoved(margins)
        left, top, row_px = inside.left(), inside.top(), 0
        row: list[tuple[QLayoutItem, QRect]] = []
        for item in self._items:
            if item.isEmpty():  # hidden
                continue
            size = item.sizeHint().boundedTo(QSize(inside.width(), 1 << 20)).expandedTo(QSize(1, 1))
            if left > inside.left() and left + size.width() > inside.right() + 1:
                if apply:
                    self._place(row, row_px, inside)
                row = []
                left, top, row_px = inside.left(), top + row_px + self.spacing(), 0
            row.append((item, QRect(left, top, size.width(), size.height())))
            left += size.width() + self.spacing()
            row_px = max(row_px, size.height())
        if apply:
            self._place(row, row_px, inside)
        return top + row_px - rect.top() + margins.bottom()

    def _place(self, row: list[tuple[QLayoutItem, QRect]], row_px: int, inside: QRect) -> None:
        for item, box in row:
            item.setGeometry(self._mirrored(box.translated(0, (row_px - box.height()) // 2), inside))

    def _mirrored(self, box: QRect, inside: QRect) -> QRect:
        parent = self.parentWidget()
        if parent is not None and parent.layoutDirection() == Qt.LayoutDirection.RightToLeft:
            box.moveRight(inside.right() - (box.left() - inside.left()))
        return box

    def addItem(self, item: QLayoutItem) -> None:
        self._items.append(item)
        self._heights.clear()

    def count(self) -> int:
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:
        self._heights.clear()
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:
        return Qt.Orientation(0)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        if width not in self._heights:
            self._heights[width] = self._arrange(QRect(0, 0, width, 0), apply=False)
        return self._heights[width]

    def invalidate(self) -> None:
        self._heights.clear()
        super().invalidate()

    def setGeometry(self, rect: QRect) -> None:
        super().setGeometry(rect)
        self._arrange(rect, apply=True)

    def sizeHint(self) -> QSize:
        sizes = [item.sizeHint() for item in self._items if not item.isEmpty()]
        width = sum(s.width() for s in sizes) + max(0, len(sizes) - 1) * self.spacing()
        return QSize(width, max((s.height() for s in sizes), default=0))

    def minimumSize(self) -> QSize:
        widest = QSize(0, 0)
        for item in self._items:
            if item.isEmpty():
                continue
            widest = widest.expandedTo(item.minimumSize())
        return widest
