"""The left side of the window: new chat, the filter, the list of chats, and the way to the pages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, tzinfo

from PySide6.QtCore import QEvent, QModelIndex, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.core.messages import Conversation, ConversationId
from app.ui.buttons import Button, ButtonKind
from app.ui.conversation_delegate import ConversationDelegate
from app.ui.conversation_list import ConversationListModel
from app.ui.conversation_view import ConversationView, conversation_at
from app.ui.labels import Label, hint
from app.ui.search_field import SearchField
from app.ui.theme import colors

WIDTH_IN_CHARS = 30


class Sidebar(QWidget):
    """Everything left of the chat. Shows what it is given and tells what the person wants."""

    new_requested = Signal()
    opened = Signal(str)
    rename_requested = Signal(str, str)
    trash_requested = Signal(str)
    undo_requested = Signal()
    page_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None, zone: tzinfo | None = None) -> None:
        super().__init__(parent)
        self._model = ConversationListModel(self, zone)
        self._waiting: tuple[Sequence[Conversation], date, Collection[ConversationId]] | None = None
        self._opened: ConversationId | None = None
        self._page_buttons: dict[str, Button] = {}
        self._build()
        self._update_empty()

    def set_conversations(
        self, conversations: Sequence[Conversation], today: date, streaming: Collection[ConversationId]
    ) -> None:
        """Show these conversations. While a title is being typed the list stays as it is until that is over."""
        if self._view.is_editing():
            self._waiting = (conversations, today, streaming)
            return
        cursor = self._view.current_conversation()
        row_before = self._view.currentIndex().row()
        scrolled_px = self._view.verticalScrollBar().value()
        self._model.set_conversations(conversations, today, streaming)
        self._restore_cursor(cursor, row_before)
        self._view.verticalScrollBar().setValue(scrolled_px)
        self._update_empty()

    def set_current(self, conversation: str | None) -> None:
        """Mark the conversation on screen; bring it into view if it was another one before."""
        changed = conversation != self._opened
        self._opened = ConversationId(conversation) if conversation is not None else None
        self._model.set_opened(self._opened)
        if changed:
            self._go_to_opened()

    def current_id(self) -> str | None:
        """The conversation marked as on screen."""
        return self._opened

    def shown_ids(self) -> list[ConversationId]:
        """The conversations in the list, from top to bottom (for previous and next chat)."""
        return self._model.ids()

    def focus_filter(self) -> None:
        """Go to the filter box."""
        self._filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._filter.selectAll()

    def focus_list(self) -> None:
        """Go to the list of chats."""
        self._view.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def list_has_focus(self) -> bool:
        """Whether keys go to the list of chats."""
        return self._view.hasFocus()

    def add_page(self, page: str, label: str) -> None:
        """Offer a page below those before; its icon has its name."""
        button = Button(label, self, kind=ButtonKind.QUIET, icon=page, leading=True)
        button.setCheckable(True)
        button.setProperty("page", page)
        button.clicked.connect(self._on_page_clicked)
        self._page_column.addWidget(button)
        self._page_buttons[page] = button

    def set_page(self, page: str) -> None:
        """Mark the button of the page on screen; the chat has none."""
        for name, button in self._page_buttons.items():
            button.setChecked(name == page)

    def set_progress(self, page: str, progress: float | None, words: str) -> None:
        """Show at the button of a page how far something is there, from 0 to 1 and in words; None: nothing."""
        button = self._page_buttons[page]
        button.set_progress(progress)
        button.setToolTip(words)
        button.setAccessibleDescription(words)

    def _build(self) -> None:
        self._new = Button(self.tr("New chat"), self, icon="new_chat", leading=True)
        self._new.clicked.connect(self.new_requested)
        self._filter = SearchField(self.tr("Filter chats"), self.tr("Filter chats by title"), self)
        self._filter.textChanged.connect(self._on_filter_changed)
        self._filter.results_wished.connect(self._on_results_wished)
        self._view = ConversationView(self)
        self._view.setModel(self._model)
        self._delegate = ConversationDelegate(self._view)
        self._delegate.closeEditor.connect(self._on_editor_closed, Qt.ConnectionType.QueuedConnection)
        self._view.setItemDelegate(self._delegate)
        self._view.opened.connect(self.opened)
        self._view.rename_wished.connect(self._edit)
        self._view.trash_requested.connect(self.trash_requested)
        self._view.undo_requested.connect(self.undo_requested)
        self._model.renamed.connect(self.rename_requested)
        self._empty: Label = hint("", self._view.viewport())
        self._empty.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeading)
        self._empty.setContentsMargins(8, 8, 8, 8)
        over_list = QVBoxLayout(self._view.viewport())
        over_list.setContentsMargins(0, 0, 0, 0)
        over_list.addWidget(self._empty)
        over_list.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.setSpacing(8)
        layout.addWidget(self._new)
        layout.addWidget(self._filter)
        layout.addWidget(self._view, 1)
        self._page_column = QVBoxLayout()
        self._page_column.setSpacing(0)
        layout.addLayout(self._page_column)
        self._set_width()

    def _edit(self, index: QModelIndex) -> None:
        if conversation_at(index) is not None:
            self._view.scrollTo(index)
            self._view.edit(index)

    def _go_to_opened(self) -> None:
        index = self._model.index_of(self._opened)
        self._view.setCurrentIndex(index)
        self._view.reveal(index)

    def _restore_cursor(self, conversation: str | None, row_before: int) -> None:
        index = self._model.index_of(conversation if conversation is not None else self._opened)
        if not index.isValid() and row_before >= 0 and self._model.rowCount():
            # The row under the cursor is gone: the next one takes its place, so that Delete can be pressed again.
            index = self._model.index(min(row_before, self._model.rowCount() - 1), 0)
            if conversation_at(index) is None:
                below, above = index.siblingAtRow(index.row() + 1), index.siblingAtRow(index.row() - 1)
                index = below if below.isValid() else above
        if index.isValid() and index != self._view.currentIndex():
            self._view.setCurrentIndex(index)

    def _update_empty(self) -> None:
        self._empty.setVisible(self._model.rowCount() == 0)
        if self._model.is_filtered() and self._model.has_conversations():
            self._empty.setText(self.tr("No chat has a title like this."))
        else:
            self._empty.setText(self.tr("Your chats will be listed here."))

    def _on_filter_changed(self, text: str) -> None:
        self._model.set_filter(text)
        index = self._model.index_of(self._opened)
        if index.isValid():
            self._view.setCurrentIndex(index)
            self._view.reveal(index)
        self._update_empty()

    def _on_results_wished(self) -> None:
        if self._model.rowCount():
            if not self._view.currentIndex().isValid():
                self._view.setCurrentIndex(self._model.index(1, 0))
            self.focus_list()

    def _on_editor_closed(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.set_conversations(*waiting)

    def _on_page_clicked(self) -> None:
        button = self.sender()
        if isinstance(button, Button):
            button.setChecked(True)
            self.page_requested.emit(button.property("page"))

    def _set_width(self) -> None:
        width = self.fontMetrics().averageCharWidth() * WIDTH_IN_CHARS + 24
        self.setMinimumWidth(width * 3 // 4)
        self.setMaximumWidth(width * 2)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.ApplicationFontChange):
            self._set_width()

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.fillRect(event.rect(), QColor(colors().sidebar))
            painter.setPen(QColor(colors().border))
            edge = 0 if self.layoutDirection() == Qt.LayoutDirection.RightToLeft else self.width() - 1
            painter.drawLine(edge, 0, edge, self.height())
