"""Short notices at the bottom of the window that go away by themselves, each with at most one thing to press."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QColor,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QBoxLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.core.errors import UserError
from app.services.explain import explain
from app.ui.buttons import Button, ButtonKind
from app.ui.labels import Label
from app.ui.theme import colors
from app.ui.transcript.style import TextStyle

SHOWN_MS = 10_000
SHOWN_AT_ONCE = 3
RADIUS_PX = 8
PADDING_PX = 12


class NoticeArea(QWidget):
    """Every notice of a window, whatever its page: at most three at a time, the others wait for their turn.

    A notice goes when it could be seen for ten seconds: not while it is pointed at or has the focus, nor while another
    window is in front. Esc or its button takes it away at once.
    """

    focus_left = Signal()  # the last notice went while the keyboard was on it

    def __init__(self, parent: QWidget | None = None, *, shown_ms: int = SHOWN_MS) -> None:
        super().__init__(parent)
        self._shown_ms = shown_ms
        self._notices: dict[str, _Notice] = {}  # by topic, oldest first
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self.hide()

    def show_notice(
        self, text: str, action_label: str = "", on_action: Callable[[], None] | None = None, *, topic: str = ""
    ) -> None:
        """Say `text`, with a button that does `on_action` once; it takes the place of a notice on the same topic.

        The topic of a notice without one is its text: nothing is said twice at the same time.
        """
        topic = topic or text
        self.withdraw(topic)
        notice = _Notice(topic, text, action_label if on_action else "", self._shown_ms, self)
        notice.closed.connect(self.withdraw)
        if on_action is not None:
            notice.acted.connect(on_action)
        self._notices[topic] = notice
        self._column.addWidget(notice)
        self._bring_up()

    def show_error(self, error: UserError, *, topic: str = "") -> None:
        """Say what happened and why."""
        self.show_notice(explain(error).sentences, topic=topic)

    def withdraw(self, topic: str) -> None:
        """Take the notice on this topic away, if there is one: it is no longer true, or is told elsewhere."""
        notice = self._notices.pop(topic, None)
        if notice is None:
            return
        had_focus = notice.has_focus()
        self._column.removeWidget(notice)
        notice.hide()
        notice.deleteLater()
        self._bring_up()
        if had_focus and self._notices:
            self.focus()
        elif had_focus:
            self.focus_left.emit()

    def dismiss_newest(self) -> bool:
        """Take away the last of those on screen; False if there is none."""
        topics = [topic for topic, notice in self._notices.items() if not notice.isHidden()]
        if topics:
            self.withdraw(topics[-1])
        return bool(topics)

    def texts(self) -> list[str]:
        """The notices on screen, from top to bottom."""
        return [notice.text for notice in self._notices.values() if not notice.isHidden()]

    def focus(self) -> None:
        """Go to the first button."""
        if self._notices:
            next(iter(self._notices.values())).focus()

    def move_to(self, layout: QBoxLayout) -> None:
        """Stand at the top of `layout` from now on, which may be another page's."""
        is_shown = not self.isHidden()
        layout.insertWidget(0, self)
        self.setVisible(is_shown)

    def _bring_up(self) -> None:
        for notice in list(self._notices.values())[:SHOWN_AT_ONCE]:
            if notice.isHidden():
                self.show()
                notice.begin()
        self.setVisible(bool(self._notices))


class _Notice(QWidget):
    """One notice; hidden until its turn comes."""

    closed = Signal(str)  # topic
    acted = Signal()

    def __init__(self, topic: str, text: str, action_label: str, shown_ms: int, parent: QWidget) -> None:
        super().__init__(parent)
        self.hide()
        self._topic = topic
        self.text = text
        self.setAccessibleName(text)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(shown_ms)
        self._timer.timeout.connect(self._on_time_over)
        self._close = Button("", self, kind=ButtonKind.QUIET, icon="close", name=self.tr("Close the notice"))
        self._close.clicked.connect(self._dismiss)
        self._action = Button(action_label, self)
        self._action.clicked.connect(self._on_action_clicked)
        self._action.setVisible(bool(action_label))
        self._side_px = 0
        self._layout = layout = QHBoxLayout(self)
        layout.setSpacing(8)
        layout.addWidget(Label(text, self, wraps=True), 1)
        layout.addWidget(self._action)
        layout.addWidget(self._close)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)

    def begin(self) -> None:
        """Come on screen, be read out, and go when the time is over."""
        self._center()
        self.show()
        self._timer.start()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, self.text))

    def focus(self) -> None:
        """Go to its first button."""
        first = self._close if self._action.isHidden() else self._action
        first.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def has_focus(self) -> bool:
        """Whether keys go to one of its buttons."""
        return self._action.hasFocus() or self._close.hasFocus()

    def _center(self) -> None:
        """As wide as the message box."""
        column_px = TextStyle.of(self.palette(), self.font()).column_px
        self._side_px = max(0, (self.width() - column_px) // 2 - PADDING_PX)
        self._layout.setContentsMargins(self._side_px + PADDING_PX, 8, self._side_px + 8, 8)

    def _dismiss(self) -> None:
        self.closed.emit(self._topic)

    def _on_action_clicked(self) -> None:
        self._dismiss()  # first: what it does may show the next notice, on the same topic
        self.acted.emit()

    def _on_time_over(self) -> None:
        if self.has_focus() or self.underMouse() or not self.isVisible() or not self.isActiveWindow():
            self._timer.start()
        else:
            self._dismiss()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        if self._timer.isActive():
            self._timer.start()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self._dismiss()
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._center()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._center()

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            box = QRectF(self.rect()).adjusted(self._side_px + 0.5, 0.5, -self._side_px - 0.5, -0.5)
            painter.setPen(QPen(QColor(theme.field_border), 1))
            painter.setBrush(QColor(theme.raised))
            painter.drawRoundedRect(box, RADIUS_PX, RADIUS_PX)
