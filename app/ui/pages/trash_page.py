"""The trash: chats that can be brought back for thirty days."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from PySide6.QtCore import QDateTime, QLocale, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QMessageBox, QStackedLayout, QVBoxLayout, QWidget

from app.core.messages import Conversation, utc_now
from app.ui.buttons import Button
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label, heading, hint
from app.ui.pages.two_line_delegate import SECOND_LINE_ROLE, TwoLineDelegate
from app.ui.scroll_column import SIDE_MARGIN_PX, use_slim_scroll_bars

ID_ROLE = Qt.ItemDataRole.UserRole
KEPT_DAYS = 30


class _TrashList(QListWidget):
    restore_wished = Signal()
    delete_wished = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_wished.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.restore_wished.emit()
        else:
            super().keyPressEvent(event)
            return
        event.accept()


class TrashPage(QWidget):
    """Acts on the selected chats; what cannot be undone is asked first."""

    restore_requested = Signal(str)
    delete_requested = Signal(str)
    empty_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._list = _TrashList(self)
        self._list.setAccessibleName(self.tr("Chats in the trash"))
        self._list.setFrameShape(QListWidget.Shape.NoFrame)
        self._list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self._list.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setItemDelegate(TwoLineDelegate(self._list))
        self._list.viewport().setAutoFillBackground(False)
        use_slim_scroll_bars(self._list)
        self._list.itemSelectionChanged.connect(self._update_buttons)
        self._list.restore_wished.connect(self._restore)
        self._list.delete_wished.connect(self._ask_to_delete)
        self._empty = Label(self.tr("The trash is empty."), self, muted=True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeading)
        self._restore_button = Button(self.tr("Restore"), self, icon="restore")
        self._restore_button.clicked.connect(self._restore)
        self._delete_button = Button(self.tr("Delete for ever"), self)
        self._delete_button.clicked.connect(self._ask_to_delete)
        self._empty_button = Button(self.tr("Empty trash"), self)
        self._empty_button.clicked.connect(self._ask_to_empty)
        self._lay_out()
        self.setFocusProxy(self._list)
        self.set_conversations([])

    def set_conversations(self, conversations: Sequence[Conversation], now: datetime | None = None) -> None:
        """Show these, the last deleted first. The selection stays where it is, or moves to the next row."""
        moment = now or utc_now()
        selected = set(self.selected_ids())
        row_before = self._list.currentRow()
        self._list.clear()
        for conversation in sorted(conversations, key=lambda c: c.deleted_at or moment, reverse=True):
            item = self._item(conversation, moment)
            self._list.addItem(item)
            item.setSelected(conversation.id in selected)
        shown = self._list.count() > 0
        self._stack.setCurrentWidget(self._list if shown else self._empty)
        if shown and row_before >= 0 and not self._list.selectedItems():
            self._list.setCurrentRow(min(row_before, self._list.count() - 1))
        self._update_buttons()

    def selected_ids(self) -> list[str]:
        """The chats that the buttons act on."""
        return [str(item.data(ID_ROLE)) for item in self._list.selectedItems()]

    def _lay_out(self) -> None:
        buttons = FlowLayout(spacing_px=8)
        for button in (self._restore_button, self._delete_button, self._empty_button):
            buttons.addWidget(button)
        self._stack = QStackedLayout()
        self._stack.addWidget(self._list)
        self._stack.addWidget(self._empty)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SIDE_MARGIN_PX, SIDE_MARGIN_PX, SIDE_MARGIN_PX, 8)
        layout.setSpacing(8)
        layout.addWidget(heading(self.tr("Trash"), self))
        layout.addWidget(hint(self.tr("Chats stay here for 30 days. Then they are deleted for ever."), self))
        layout.addLayout(buttons)
        layout.addSpacing(8)
        layout.addLayout(self._stack, 1)

    def _item(self, conversation: Conversation, now: datetime) -> QListWidgetItem:
        title = conversation.title or self.tr("New chat")
        deleted_at = conversation.deleted_at or now
        local = QDateTime.fromSecsSinceEpoch(int(deleted_at.timestamp()))
        day = QLocale().toString(local.date(), QLocale.FormatType.LongFormat)
        left = deleted_at + timedelta(days=KEPT_DAYS) - now
        days = max(0, -(-left // timedelta(days=1)))
        remaining = self.tr("%n day(s) left", "", days)
        second = self.tr("Deleted on {day} · {remaining}").format(day=day, remaining=remaining)
        item = QListWidgetItem(title)
        item.setData(ID_ROLE, conversation.id)
        item.setData(SECOND_LINE_ROLE, second)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{title}, {second}")
        item.setToolTip(title)
        return item

    def _update_buttons(self) -> None:
        some = bool(self._list.selectedItems())
        self._restore_button.setEnabled(some)
        self._delete_button.setEnabled(some)
        self._empty_button.setEnabled(self._list.count() > 0)

    def _restore(self) -> None:
        for conversation_id in self.selected_ids():
            self.restore_requested.emit(conversation_id)

    def _ask_to_delete(self) -> None:
        asked_about = self.selected_ids()  # whatever is selected by the time of the answer

        def delete() -> None:
            for conversation_id in asked_about:
                self.delete_requested.emit(conversation_id)

        if asked_about:
            words = self.tr("Delete %n chat(s) for ever?", "", len(asked_about))
            self._ask(words, self.tr("Delete for ever"), delete)

    def _ask_to_empty(self) -> None:
        words = self.tr("Delete all %n chat(s) in the trash for ever?", "", self._list.count())
        self._ask(words, self.tr("Empty trash"), self.empty_requested.emit)

    def _ask(self, words: str, yes: str, on_yes: Callable[[], None]) -> None:
        box = QMessageBox(QMessageBox.Icon.NoIcon, self.tr("Trash"), words, QMessageBox.StandardButton.Cancel, self)
        box.setInformativeText(self.tr("This cannot be undone."))
        agree = box.addButton(yes, QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        agree.clicked.connect(on_yes)
        box.open()
