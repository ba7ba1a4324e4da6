"""A column of widgets that scrolls, centred and no wider than can be read well; and slim scroll bars."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QColor, QFocusEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame, QScrollArea, QScrollBar, QVBoxLayout, QWidget

from app.ui.theme import colors

SIDE_MARGIN_PX = 24
READING_CHARS = 80
BAR_PX = 10
RING_PX = 2
RADIUS_PX = 6


class SlimScrollBar(QScrollBar):
    """A scroll bar without arrows and without a ground of its own."""

    def __init__(self, orientation: Qt.Orientation, parent: QWidget | None = None) -> None:
        super().__init__(orientation, parent)
        self._shown_in: str | None = None
        self._update_style()

    def _update_style(self) -> None:
        theme = colors()
        if self._shown_in == theme.field_border:
            return
        self._shown_in = theme.field_border
        self.setStyleSheet(
            f"QScrollBar {{ background: transparent; border: none; margin: 0; }}"
            f"QScrollBar:vertical {{ width: {BAR_PX}px; }} QScrollBar:horizontal {{ height: {BAR_PX}px; }}"
            f"QScrollBar::handle {{ background: {theme.field_border}; border-radius: 3px; margin: 2px; }}"
            f"QScrollBar::handle:hover {{ background: {theme.muted}; }}"
            "QScrollBar::handle:vertical { min-height: 32px; } QScrollBar::handle:horizontal { min-width: 32px; }"
            "QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }"
            "QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }"
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.maximum() > self.minimum():  # else there is nothing to scroll, and the handle would fill the bar
            super().paintEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._update_style()


def reading_margin_px(widget: QWidget, width_in_chars: int = READING_CHARS) -> int:
    """What to leave free on each side of a widget so that the middle holds lines of `width_in_chars`."""
    return max(0, (widget.width() - widget.fontMetrics().averageCharWidth() * width_in_chars) // 2)


def use_slim_scroll_bars(area: QAbstractScrollArea) -> None:
    """Give a scrolling widget slim bars."""
    area.setVerticalScrollBar(SlimScrollBar(Qt.Orientation.Vertical, area))
    area.setHorizontalScrollBar(SlimScrollBar(Qt.Orientation.Horizontal, area))


class ScrollColumn(QScrollArea):
    """Scrolls vertically only. Put widgets into `column`, with `inside` or this as their parent."""

    def __init__(self, parent: QWidget | None = None, *, width_in_chars: int = READING_CHARS) -> None:
        super().__init__(parent)
        self._width_in_chars = width_in_chars
        self._ring_hidden = False
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        use_slim_scroll_bars(self)
        self.inside = QWidget(self)
        self.column = QVBoxLayout(self.inside)
        self.column.setSpacing(8)
        self.column.setContentsMargins(*(4 * [SIDE_MARGIN_PX]))
        self.setWidget(self.inside)
        self.viewport().setAutoFillBackground(False)
        self.inside.setAutoFillBackground(False)

    def _update_margins(self) -> None:
        side_px = max(SIDE_MARGIN_PX, reading_margin_px(self.viewport(), self._width_in_chars))
        self.column.setContentsMargins(side_px, SIDE_MARGIN_PX, side_px, SIDE_MARGIN_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if QApplication.focusWidget() is self and not self._ring_hidden:  # the keys scroll it
            with QPainter(self.viewport()) as painter:
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                painter.setPen(QPen(QColor(colors().accent), RING_PX))
                inset = RING_PX / 2
                box = QRectF(self.viewport().rect()).adjusted(inset, inset, -inset, -inset)
                painter.drawRoundedRect(box, RADIUS_PX, RADIUS_PX)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() != Qt.FocusReason.ActiveWindowFocusReason:
            self._ring_hidden = event.reason() == Qt.FocusReason.MouseFocusReason  # as with a button
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._update_margins()
        super().resizeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange and hasattr(self, "column"):
            self._update_margins()

    def focusNextPrevChild(self, next_child: bool) -> bool:
        moved = super().focusNextPrevChild(next_child)
        focused = self.window().focusWidget()
        if moved and focused is not None and self.isAncestorOf(focused):
            self.ensureWidgetVisible(focused)
        return moved
