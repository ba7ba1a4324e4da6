"""The transcript as the window sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QEvent, Qt, QTimer, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame, QMenu, QWidget

from app.core.events import PromptProgress
from app.core.messages import Message, MessageState, Role
from app.core.tree import MessageItem
from app.ui.scroll_column import SlimScrollBar
from app.ui.tab_order import OWN_ORDER
from app.ui.transcript.announce import announce
from app.ui.transcript.answer import AnswerWidget
from app.ui.transcript.context import TranscriptContext
from app.ui.transcript.copying import shown_text
from app.ui.transcript.drag_selection import DragSelection
from app.ui.transcript.end_button import EndButton
from app.ui.transcript.focus_order import holds, move_focus
from app.ui.transcript.question import QuestionWidget
from app.ui.transcript.rows import Rows
from app.ui.transcript.style import selection_palette
from app.ui.transcript.text_view import link_under

_STEP_PX = 48
_END_BUTTON_FROM_PX = 200  # further from the end than this
_ANNOUNCED_CHARS = 2_000


class TranscriptView(QAbstractScrollArea):
    """The messages of one branch.

    Main thread only. Signals name messages by their ids; `copied` is emitted after something went to the clipboard.
    """

    regenerate_requested = Signal(str)
    continue_requested = Signal(str)
    edit_submitted = Signal(str, str)
    version_requested = Signal(str, int)
    action_requested = Signal(str, object)
    link_activated = Signal(str)
    copied = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = TranscriptContext(self)
        self._rows = Rows(self, self._context)
        self._empty_widget: QWidget | None = None
        self._focused_row: int | None = None
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(self.tr("Chat"))
        self.setProperty(OWN_ORDER, True)
        self.setVerticalScrollBar(SlimScrollBar(Qt.Orientation.Vertical, self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().setSingleStep(_STEP_PX)
        self._layout_timer = self._single_shot(0, self._on_layout_timeout)
        self._prepare_timer = self._single_shot(0, self._on_prepare_timeout)
        self._drag = DragSelection(self, self._rows, self._context)
        self._end_button = EndButton(self._context, self.viewport())
        self._end_button.clicked.connect(self.scroll_to_end)
        self.viewport().setPalette(selection_palette(self.palette()))
        self._connect_context()
        QApplication.instance().focusChanged.connect(self._on_focus_changed)  # type: ignore[union-attr]  # there is one

    def _single_shot(self, interval_ms: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval_ms)
        timer.timeout.connect(slot)
        return timer

    def _connect_context(self) -> None:
        context = self._context
        context.regenerate_requested.connect(self.regenerate_requested)
        context.continue_requested.connect(self.continue_requested)
        context.edit_submitted.connect(self.edit_submitted)
        context.version_requested.connect(self.version_requested)
        context.action_requested.connect(self.action_requested)
        context.link_activated.connect(self.link_activated)
        context.code_copied.connect(self.copied)
        context.edit_requested.connect(self.begin_edit)
        context.copy_requested.connect(self.copy_message)
        context.height_changed.connect(self._on_height_changed)
        context.selection.changed.connect(self._on_selection_changed)

    # -- content

    def set_items(self, items: Sequence[MessageItem]) -> None:
        """Show these messages; those that are shown already stay in their place, others are shown from their end.

        An empty sequence shows the empty widget.
        """
        self._context.selection.clear()
        self._rows.show(items)
        self._after_change()

    def add_item(self, item: MessageItem) -> None:
        """Add a message at the end."""
        self._rows.append(item)
        self._after_change()

    def update_item(self, item: MessageItem) -> None:
        """Take over a newer value of a message that is shown."""
        row = self._rows.row_of(str(item.message.id))
        if row is None:
            return
        state = self._rows.states[row]
        was_streaming = state.base.message.state is MessageState.STREAMING
        state.replace(item)
        if was_streaming and item.message.role is Role.ASSISTANT:
            self._announce_end(item.message)
        if (widget := self._rows.live.get(row)) is not None:
            widget.refresh()
        self._relayout_row(row)

    def _announce_end(self, answer: Message) -> None:
        """Say to screen readers how an answer ended; the card of a failed one speaks for itself."""
        words = {
            MessageState.COMPLETE: self.tr("Answer finished: {0}"),
            MessageState.STOPPED: self.tr("Answer stopped: {0}"),
            MessageState.CUT_SHORT: self.tr("Answer cut off: {0}"),
            MessageState.CONTEXT_FULL: self.tr("Answer cut off: {0}"),
            MessageState.INTERRUPTED: self.tr("Answer interrupted: {0}"),
        }.get(answer.state)
        if words is not None:
            announce(self, words.format(answer.text[:_ANNOUNCED_CHARS]))

    def remove_from(self, message_id: str) -> None:
        """Remove a message and everything below it."""
        row = self._rows.row_of(message_id)
        if row is not None:
            self._context.selection.clear()
            self._rows.truncate(row)
            self._after_change()

    def append_text(self, message_id: str, text: str) -> None:
        """More text of an answer that streams; meant to be called at most once per frame."""
        self._append(message_id, text, is_reasoning=False)

    def append_reasoning(self, message_id: str, text: str) -> None:
        """More of what the model thinks before it answers."""
        self._append(message_id, text, is_reasoning=True)

    def _append(self, message_id: str, text: str, *, is_reasoning: bool) -> None:
        row = self._rows.row_of(message_id)
        if row is None or not text:
            return
        state = self._rows.states[row]
        state.append(text, is_reasoning=is_reasoning)
        state.progress = None
        widget = self._rows.live.get(row)
        if isinstance(widget, AnswerWidget):
            (widget.append_reasoning if is_reasoning else widget.append_text)(text)
            self._relayout_row(row)

    def set_boundary(self, first_visible_id: str | None) -> None:
        """Draw the line "The model no longer sees what is above" over a message; None removes it."""
        self._rows.boundary_id = first_visible_id
        for widget in self._rows.live.values():
            widget.set_boundary(widget.message_id == first_visible_id)

    def set_prompt_progress(self, message_id: str, progress: PromptProgress | None) -> None:
        """How far the model has come with reading, shown in the place of the answer."""
        row = self._rows.row_of(message_id)
        if row is None:
            return
        self._rows.states[row].progress = progress
        widget = self._rows.live.get(row)
        if isinstance(widget, AnswerWidget):
            widget.show_progress()
            self._relayout_row(row)

    def set_busy(self, busy: bool) -> None:
        """While an answer streams nothing can be regenerated or edited."""
        if busy != self._context.is_busy:
            self._context.is_busy = busy
            for widget in self._rows.live.values():
                widget.refresh_footer()

    def begin_edit(self, message_id: str, text: str | None = None) -> None:
        """Turn a message of the person into an editor, with its text or with `text`."""
        row = self._rows.row_of(message_id)
        if row is None or (self._context.is_busy and text is None):
            return
        state = self._rows.states[row]
        if state.base.message.role is not Role.USER:
            return
        if state.draft is None:  # else it is being edited already
            state.draft = state.item.message.text if text is None else text
        self._rows.scroll_to_row(row)  # before its widget is taken: rows far from the screen lose theirs
        widget = self._rows.widget_for(row)
        if isinstance(widget, QuestionWidget):
            widget.refresh()
            self._relayout_row(row)
            self._rows.scroll_to_row(row)
            widget.start_editing()

    def items(self) -> list[MessageItem]:
        """The messages with everything that has streamed in."""
        return [state.item for state in self._rows.states]

    def last_assistant_id(self) -> str | None:
        """The id of the last answer."""
        return self._last_id(Role.ASSISTANT)

    def last_user_id(self) -> str | None:
        """The id of the person's last message."""
        return self._last_id(Role.USER)

    def _last_id(self, role: Role) -> str | None:
        messages = (state.base.message for state in reversed(self._rows.states))
        return next((str(message.id) for message in messages if message.role is role), None)

    def set_empty_widget(self, widget: QWidget) -> None:
        """What is shown while there are no messages; the transcript takes the widget over."""
        if self._empty_widget is not None:
            self._empty_widget.deleteLater()
        widget.setParent(self.viewport())
        self._empty_widget = widget
        self._show_empty_widget()

    def _show_empty_widget(self) -> None:
        if self._empty_widget is not None:
            self._empty_widget.setGeometry(self.viewport().rect())
            self._empty_widget.setVisible(not self._rows.states)

    # -- scrolling

    def scroll_to_end(self) -> None:
        """Show the end, and stay there while text comes."""
        self._rows.sticks_to_end = True
        self._layout_rows()

    @property
    def is_at_end(self) -> bool:
        """Whether the end is on screen and new text keeps it there."""
        return self._rows.sticks_to_end

    @property
    def is_settled(self) -> bool:
        """Whether everything is drawn: no formula, colour or neighbouring row is still to be made."""
        waiting = self._layout_timer.isActive() or self._prepare_timer.isActive()
        return self._context.slices.is_idle and not waiting

    # -- copying

    def selected_text(self) -> str:
        """The selected text: whole messages as their Markdown, parts of messages as they are shown."""
        return shown_text(self._rows, self._context.selection)

    def copy_selection(self) -> None:
        """Put the selected text on the clipboard."""
        if text := self.selected_text():
            QGuiApplication.clipboard().setText(text)
            self.copied.emit()

    def _copy_link(self, link: str) -> None:
        QGuiApplication.clipboard().setText(link)
        self.copied.emit()

    def copy_message(self, message_id: str) -> None:
        """Put the text of a message on the clipboard, as Markdown."""
        row = self._rows.row_of(message_id)
        if row is not None:
            QGuiApplication.clipboard().setText(self._rows.states[row].item.message.text)
            self.copied.emit()

    def select_all(self) -> None:
        """Select every message."""
        self._context.selection.select_all()

    # -- inner signals

    def _after_change(self) -> None:
        self._context.slices.cancel(self)  # it prepares rows that may be gone
        self._show_empty_widget()
        self._layout_rows()
        self._prepare_timer.start()

    def _layout_rows(self) -> None:
        if self.isVisible():  # else the width is not known yet; `showEvent` comes back to it
            self._rows.layout()
            self._show_end_button()

    def _show_end_button(self) -> None:
        bar = self.verticalScrollBar()
        self._end_button.setVisible(bar.maximum() - bar.value() > _END_BUTTON_FROM_PX and bool(self._rows.states))
        self._end_button.place()

    def _relayout_row(self, row: int) -> None:
        self._rows.remeasure(row)
        self._layout_rows()

    def _on_height_changed(self, message_id: str) -> None:
        row = self._rows.row_of(message_id)
        if row is not None and row in self._rows.live:
            self._rows.remeasure(row)
            self._layout_timer.start()

    def _on_layout_timeout(self) -> None:
        self._layout_rows()

    def _on_prepare_timeout(self) -> None:
        self._context.slices.cancel(self)
        self._context.slices.add(self, self._rows.prepare_ahead())

    def _on_selection_changed(self) -> None:
        for widget in self._rows.live.values():
            for text in widget.texts():
                text.apply_selection()

    def _on_focus_changed(self, _old: QWidget | None, new: QWidget | None) -> None:
        focused = next((row for row, w in self._rows.live.items() if new is not None and holds(w, new)), None)
        for row in {focused, self._focused_row} - {None}:
            if (widget := self._rows.live.get(row)) is not None:  # type: ignore[arg-type]  # None was taken out
                widget.on_focus_moved()
        self._focused_row = focused

    # -- Qt

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self._rows.on_scrolled()
        self._show_end_button()
        self._prepare_timer.start()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_empty_widget()
        if event.size().width() != event.oldSize().width():
            self._rows.estimate_all()
        self._layout_rows()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._layout_rows()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange) and hasattr(self, "_rows"):
            self._context.restyle(self)
            self.viewport().setPalette(selection_palette(self.palette()))
            self._rows.drop_widgets()
            if event.type() == QEvent.Type.FontChange:
                for state in self._rows.states:
                    state.block_heights = ()
                self._rows.estimate_all()
            self._layout_rows()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        bar = self.verticalScrollBar()
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_selection()
        elif event.matches(QKeySequence.StandardKey.SelectAll):
            self.select_all()
        elif event.key() == Qt.Key.Key_Home:
            bar.setValue(0)
        elif event.key() == Qt.Key.Key_End:
            self.scroll_to_end()
        elif event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            event.ignore()
        else:
            super().keyPressEvent(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        return move_focus(self, self._rows, forward=forward)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._drag.begin(event.globalPosition().toPoint())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._drag.move(event.globalPosition().toPoint())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._drag.end()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = QMenu(self)
        under = self.childAt(event.pos()) if event.reason() == QContextMenuEvent.Reason.Mouse else None
        if (link := link_under(under, event.globalPos())) is not None:
            menu.addAction(self.tr("Copy link")).triggered.connect(partial(self._copy_link, link))
        copy = menu.addAction(self.tr("Copy"))
        copy.setEnabled(not self._context.selection.is_empty)
        copy.triggered.connect(self.copy_selection)
        menu.addAction(self.tr("Select all")).triggered.connect(self.select_all)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())
