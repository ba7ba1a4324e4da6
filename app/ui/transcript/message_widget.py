"""What questions and answers have in common as rows of the transcript."""

from __future__ import annotations

from abc import abstractmethod

from PySide6.QtCore import QEvent, QRect, Qt
from PySide6.QtGui import QEnterEvent, QFocusEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.ui.transcript.block_column import BlockColumn
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.footer import Footer, footer_height
from app.ui.transcript.quiet_button import PADDING_PX as BUTTON_PADDING_PX
from app.ui.transcript.row_state import RowState
from app.ui.transcript.style import MARGIN_PX
from app.ui.transcript.text_view import TextView

BODY_PART = 1
"""The number of the body among the parts of a message, see `TextId`."""
PADDING_PX = 6  # above and below a message
BOUNDARY_PX = 40
_DESCRIPTION_LIMIT_CHARS = 20_000


class MessageWidget(QWidget):  # abstract to mypy alone: a QWidget cannot have ABCMeta
    """One row: a body of blocks, a footer that shows itself when it is wanted, and the context boundary above.

    Geometry: the transcript calls `layout_for(width)` whenever `height_changed` was emitted or the width changed, and
    `realise(top, bottom)` for the part that is on screen.
    """

    def __init__(self, context: TranscriptContext, state: RowState, row: int, parent: QWidget) -> None:
        super().__init__(parent)
        self.context = context
        self.state = state
        self.message_id = str(state.base.message.id)
        self._footer: Footer | None = None
        self._footer_rect = QRect()
        self._boundary = False
        self._is_last = False
        self._shows_focus = False
        self._by_keyboard = False  # the keyboard's focus came by the Tab key, so a ring shows where it is
        self._width = 0
        self._column_rect = QRect()
        self.body = BlockColumn(context, self, BODY_PART, plain=self.shows_plain_text())
        self.body.height_changed.connect(self.report_height)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.set_row(row)

    # -- to be said by questions and answers

    @abstractmethod
    def shows_plain_text(self) -> bool:
        """Whether the body shows text as typed."""

    @abstractmethod
    def refresh(self) -> None:
        """Show the present state of the row."""

    @abstractmethod
    def place(self, column: QRect) -> int:
        """Lay out everything but the footer from `column.top()` down; the y where it ends."""

    def inner_tab_stops(self) -> list[QWidget]:
        """What the keyboard reaches between the message itself and its footer."""
        views = (view for _part, column in self.columns() for view in column.views())
        return [stop for view in views for stop in _tab_stops_of(view)]

    def columns(self) -> list[tuple[int, BlockColumn]]:
        """The parts with text, from top to bottom."""
        return [(BODY_PART, self.body)]

    # -- geometry

    def layout_for(self, width: int) -> int:
        """Place everything for a width; the height of the row."""
        self._width = width
        column = min(self.context.style.column_px, width - 2 * MARGIN_PX)
        top = PADDING_PX + (BOUNDARY_PX if self._boundary else 0)
        self._column_rect = QRect((width - column) // 2, top, column, 0)
        y = self.place(self._column_rect)
        self._footer_rect = QRect(self._column_rect.x(), y, column, self._footer_height())
        if self._footer is not None:
            self._place_footer(self._footer)
        return y + self._footer_rect.height() + PADDING_PX

    def realise(self, top: int, bottom: int, limit: int | None = None, *, from_end: bool = False) -> bool:
        """Make the texts between two heights of this row; whether the height of the row may have changed.

        `from_end`: from the lowest to the highest, as fits a screen that stays at the end.
        """
        changed = False
        for _part, column in self.columns():
            y = column.mapTo(self, column.rect().topLeft()).y()
            changed |= column.realise(top - y, bottom - y, limit, from_end=from_end)
        return changed

    def has_unmade(self, top: int, bottom: int) -> bool:
        """Whether a text between two heights of this row does not exist yet."""
        for _part, column in self.columns():
            y = column.mapTo(self, column.rect().topLeft()).y()
            if column.has_unmade(top - y, bottom - y):
                return True
        return False

    def made_block_in(self, top: int, bottom: int) -> tuple[int, int] | None:
        """Part and number of the first text that exists in a range of heights."""
        for part, column in self.columns():
            y = column.mapTo(self, column.rect().topLeft()).y()
            if (block := column.made_block_in(top - y, bottom - y)) is not None:
                return part, block
        return None

    def top_of(self, part: int, block: int) -> int:
        """Where a block begins in this row."""
        for number, column in self.columns():
            if number == part:
                return column.mapTo(self, column.rect().topLeft()).y() + column.top_of(block)
        return 0

    def report_height(self) -> None:
        """Ask the transcript to lay out this row again."""
        self.context.height_changed.emit(self.message_id)

    # -- parts

    def set_row(self, row: int) -> None:
        """Tell the texts their row."""
        for _part, column in self.columns():
            column.set_row(row)

    def texts(self) -> list[TextView]:
        """The texts that exist, from top to bottom."""
        return [text for _part, column in self.columns() for text in column.texts()]

    def set_boundary(self, shown: bool) -> None:
        """Draw the line "The model no longer sees what is above" over this message."""
        if shown != self._boundary:
            self._boundary = shown
            self.report_height()
            self.update()

    def set_last(self, is_last: bool) -> None:
        """The last answer always shows its footer."""
        if is_last != self._is_last:
            self._is_last = is_last
            self.report_height()
            self.refresh_footer()

    def tab_stops(self) -> list[QWidget]:
        """Everything the keyboard reaches in this row, in order; the row itself comes first."""
        stops = [self, *self.inner_tab_stops()]
        if self._footer_height():
            footer = self._make_footer()
            footer.show()  # the keyboard may enter from below
            stops += footer.tab_stops()
        return [stop for stop in stops if stop.isEnabled()]

    def release(self) -> None:
        """Let go of everything that others hold of this widget; to be called before it is deleted."""
        self.state.block_width, self.state.block_heights = self.body.remembered_heights()
        for _part, column in self.columns():
            column.drop_all()

    def describe(self, name: str, text: str) -> None:
        """Say to screen readers who speaks and what."""
        self.setAccessibleName(name)
        self.setAccessibleDescription(text[:_DESCRIPTION_LIMIT_CHARS])

    # -- footer

    def shows_footer_space(self) -> bool:
        """Whether this row has a footer at all now."""
        return True

    def _footer_height(self) -> int:
        return footer_height(self.state.base, is_last=self._is_last) if self.shows_footer_space() else 0

    def _make_footer(self) -> Footer:
        if self._footer is None:
            self._footer = Footer(self.context, self.state.item, self, is_last=self._is_last)
            self._place_footer(self._footer)
        return self._footer

    def _place_footer(self, footer: Footer) -> None:
        footer.setGeometry(
            self._footer_rect.adjusted(-BUTTON_PADDING_PX, 0, BUTTON_PADDING_PX, 0)
        )  # words align with text

    def refresh_footer(self) -> None:
        """Bring the footer up to date."""
        if self._footer is not None:
            self._footer.set_item(self.state.item, is_last=self._is_last)
        self._update_footer()

    def _update_footer(self) -> None:
        """Show the footer when this is the last answer, under the mouse, or where the keyboard is."""
        wanted = self._footer_height() > 0 and (self._is_last or self.underMouse() or self._holds_focus())
        if wanted:
            self._make_footer().show()
        elif self._footer is not None:
            self._footer.hide()

    def _holds_focus(self) -> bool:
        focused = self.window().focusWidget()
        return focused is not None and (focused is self or self.isAncestorOf(focused))

    def on_focus_moved(self) -> None:
        """The keyboard came to this row or left it."""
        self._update_footer()

    # -- Qt

    def enterEvent(self, event: QEnterEvent) -> None:
        self._update_footer()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self._update_footer()

    def focusInEvent(self, event: QFocusEvent) -> None:
        by_keyboard = (
            Qt.FocusReason.TabFocusReason,
            Qt.FocusReason.BacktabFocusReason,
            Qt.FocusReason.ShortcutFocusReason,
        )
        returns = event.reason() in (Qt.FocusReason.ActiveWindowFocusReason, Qt.FocusReason.PopupFocusReason)
        if not returns:
            self._by_keyboard = event.reason() in by_keyboard
        self._shows_focus = self._by_keyboard
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._shows_focus = False
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not (self._shows_focus or self._boundary):
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._boundary:
            self._paint_boundary(painter)
        if self._shows_focus:
            top = BOUNDARY_PX if self._boundary else 0
            ring = self._column_rect.adjusted(-10, 0, 10, 0)
            painter.setPen(QPen(self.context.style.accent, 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(ring.x(), top + 2, ring.width(), self.height() - top - 4, 10, 10)
        painter.end()

    def _paint_boundary(self, painter: QPainter) -> None:
        style = self.context.style
        words = self.tr("The model no longer sees what is above")
        painter.setFont(style.small_font)
        text_px = painter.fontMetrics().horizontalAdvance(words) + 24
        left, right = self._column_rect.left(), self._column_rect.right()
        middle = (left + right) // 2
        y = BOUNDARY_PX // 2
        painter.setPen(style.border)
        painter.drawLine(left, y, max(left, middle - text_px // 2), y)
        painter.drawLine(min(right, middle + text_px // 2), y, right, y)
        painter.setPen(style.quiet)
        painter.drawText(QRect(left, 0, right - left, BOUNDARY_PX), Qt.AlignmentFlag.AlignCenter, words)


def _tab_stops_of(view: QWidget) -> list[QWidget]:
    """A text is a stop when it has links; code has its copy button."""
    if isinstance(view, TextView):
        return [view] if view.focusPolicy() & Qt.FocusPolicy.TabFocus else []
    button = getattr(view, "copy_button", None)
    return [button] if isinstance(button, QWidget) else []
