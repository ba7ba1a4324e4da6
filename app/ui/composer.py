"""Where a message is written: the box, Send or Stop, the context meter, and what stands in the way of sending."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedLayout, QVBoxLayout, QWidget

from app.services.explanation import Explanation
from app.ui.buttons import Button, ButtonKind
from app.ui.cards import ErrorCard
from app.ui.context_meter import ContextMeter
from app.ui.message_edit import MessageEdit
from app.ui.theme import colors
from app.ui.transcript.style import TextStyle

RADIUS_PX = 10
BOX_PADDING_PX = 12


class _Box(QWidget):
    """The rounded frame around the text and the row below it; it shows the focus of the text."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.edit = MessageEdit(self)
        self.edit.focus_changed.connect(self.update)
        self.setCursor(Qt.CursorShape.IBeamCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.edit.setFocus(Qt.FocusReason.MouseFocusReason)
        event.accept()

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        focused = self.edit.hasFocus()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setBrush(QColor(theme.raised))
            painter.setPen(QPen(QColor(theme.accent if focused else theme.field_border), 1.5 if focused else 1))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), RADIUS_PX, RADIUS_PX)


class Composer(QWidget):
    """Never clears by itself: whoever stores the message takes it out when that has worked."""

    submitted = Signal(str)
    stop_requested = Signal()
    text_edited = Signal()
    action_requested = Signal(object)  # app.services.explanation.Action

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._streaming = False
        self._card: ErrorCard | None = None
        self._build()
        self.setFocusProxy(self._edit)
        self._update_controls()

    def text(self) -> str:
        """What is written, without NUL and lone surrogates."""
        return self._edit.text()

    def set_text(self, text: str) -> None:
        """Replace what is written, e.g. by a draft; the cursor goes to the end. Not reported as an edit."""
        self._edit.set_text(text)

    def clear(self) -> None:
        """Empty the box and drop the error, if any."""
        self.set_text("")
        self.show_error(None)

    def focus(self) -> None:
        """Go to the box."""
        self._edit.setFocus(Qt.FocusReason.OtherFocusReason)

    def set_streaming(self, streaming: bool) -> None:
        """While an answer is being written the Send button is a Stop button."""
        if streaming == self._streaming:
            return
        had_focus = self._send.hasFocus() or self._stop.hasFocus()
        self._streaming = streaming
        self._buttons.setCurrentWidget(self._stop if streaming else self._send)
        self._update_controls()
        if had_focus:
            (self._stop if streaming else self._edit).setFocus(Qt.FocusReason.OtherFocusReason)

    def set_context(self, used_tokens: int | None, total_tokens: int | None, longest_tokens: int = 0) -> None:
        """How full the model's context is; None where not known. `longest_tokens`: up to which it grows by itself."""
        self._meter.set_figures(used_tokens, total_tokens, longest_tokens)

    def show_error(self, explanation: Explanation | None) -> None:
        """Say above the box what went wrong with sending; None takes it away."""
        if self._card is not None:
            self._column.removeWidget(self._card)
            self._card.hide()
            self._card.deleteLater()
            self._card = None
        if explanation is not None:
            self._card = ErrorCard(explanation, self)
            self._card.action_requested.connect(self.action_requested)
            self._column.insertWidget(0, self._card)
            self._card.show()

    def _build(self) -> None:
        self._box = _Box(self)
        self._edit = self._box.edit
        self._edit.setPlaceholderText(self.tr("Write a message"))
        self._edit.setAccessibleName(self.tr("Message"))
        self._edit.setAccessibleDescription(self.tr("Enter sends, Shift+Enter begins a new line"))
        self._edit.send_wished.connect(self._submit)
        self._edit.textChanged.connect(self._update_controls)
        self._edit.edited.connect(self.text_edited)
        self._meter = ContextMeter(self._box)
        self._send = Button("", self._box, kind=ButtonKind.PRIMARY, icon="send", name=self.tr("Send (Enter)"))
        self._send.setAccessibleName(self.tr("Send"))
        self._send.clicked.connect(self._edit.send)
        self._stop = Button("", self._box, kind=ButtonKind.PRIMARY, icon="stop", name=self.tr("Stop the answer (Esc)"))
        self._stop.setAccessibleName(self.tr("Stop"))
        self._stop.clicked.connect(self.stop_requested)
        for button in (self._send, self._stop):
            button.setCursor(Qt.CursorShape.ArrowCursor)
        self._buttons = QStackedLayout()
        self._buttons.addWidget(self._send)
        self._buttons.addWidget(self._stop)
        row = QHBoxLayout()
        row.setContentsMargins(round(self._edit.document().documentMargin()), 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self._meter, 1)
        row.addLayout(self._buttons)
        inside = QVBoxLayout(self._box)
        inside.setContentsMargins(BOX_PADDING_PX, 8, 8, 8)
        inside.setSpacing(4)
        inside.addWidget(self._edit)
        inside.addLayout(row)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        self._column.addWidget(self._box)

    def _can_send(self) -> bool:
        return not self._streaming and self._edit.has_text()

    def _update_controls(self) -> None:
        self._send.setEnabled(self._can_send())

    def _center(self) -> None:
        """As wide as the column of the transcript above it, with the padding of the box around."""
        column_px = TextStyle.of(self.palette(), self.font()).column_px
        side_px = max(0, (self.width() - column_px) // 2 - BOX_PADDING_PX)
        self._column.setContentsMargins(side_px, 0, side_px, 0)

    def _submit(self) -> None:
        if self._can_send():
            self.submitted.emit(self.text())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._center()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._center()
