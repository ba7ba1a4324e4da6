"""The list of chats in the sidebar: its keys and its context menu."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QContextMenuEvent,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPen,
    QShowEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QListView, QMenu, QWidget

from app.core.messages import ConversationId
from app.ui.conversation_list import ConversationListModel, ConversationRow
from app.ui.scroll_column import use_slim_scroll_bars
from app.ui.theme import colors


class ConversationView(QListView):
    """The list itself: keys and the context menu."""

    opened = Signal(str)
    rename_wished = Signal(QModelIndex)
    trash_requested = Signal(str)
    undo_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Chats"))
        self.setFrameShape(QListView.Shape.NoFrame)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setUniformItemSizes(True)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        use_slim_scroll_bars(self)
        self.viewport().setAutoFillBackground(False)
        self.clicked.connect(self._open)

    def current_conversation(self) -> str | None:
        """The conversation under the keyboard's cursor."""
        return conversation_at(self.currentIndex())

    def is_editing(self) -> bool:
        """Whether a title is being typed."""
        return self.state() == QAbstractItemView.State.EditingState

    def reveal(self, index: QModelIndex) -> None:
        """Scroll to a row; to the very top for the first one, so that its heading is seen."""
        if not self.isVisible():  # `showEvent` does it, when there is a size to go by
            return
        if index.isValid() and index.row() <= 1:
            self.scrollToTop()
        elif index.isValid():
            self.scrollTo(index)

    def _open(self, index: QModelIndex) -> None:
        conversation = conversation_at(index)
        if conversation is not None:
            self.opened.emit(conversation)

    def _rename(self) -> None:
        if self.currentIndex().isValid():
            self.rename_wished.emit(self.currentIndex())

    def _trash(self) -> None:
        conversation = self.current_conversation()
        if conversation is not None:
            self.trash_requested.emit(conversation)

    def _show_menu(self, index: QModelIndex, place: QPoint) -> None:
        if conversation_at(index) is None:
            return
        self.setCurrentIndex(index)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        rename = QAction(self.tr("Rename…"), menu)
        rename.setShortcut(QKeySequence(Qt.Key.Key_F2))
        rename.triggered.connect(self._rename)
        trash = QAction(self.tr("Move to trash"), menu)
        trash.setShortcut(QKeySequence(Qt.Key.Key_Delete))
        trash.triggered.connect(self._trash)
        for action in (rename, trash):
            action.setShortcutVisibleInContextMenu(True)
            menu.addAction(action)
        menu.popup(place)

    def moveCursor(self, action: QAbstractItemView.CursorAction, modifiers: Qt.KeyboardModifier) -> QModelIndex:
        target = super().moveCursor(action, modifiers)
        if target.isValid() and conversation_at(target) is None:  # Home and Page Up may end on a heading
            return target.siblingAtRow(target.row() + 1)
        return target

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.hasFocus() and not self.currentIndex().isValid():  # no row that could show the focus
            with QPainter(self.viewport()) as painter:
                painter.setPen(QPen(QColor(colors().accent), 2))
                painter.drawRoundedRect(self.viewport().rect().adjusted(1, 1, -1, -1), 6, 6)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.reveal(self.currentIndex())

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            self._show_menu_by_keyboard()
        else:
            self._show_menu(self.indexAt(event.pos()), event.globalPos())
        event.accept()

    def _show_menu_by_keyboard(self) -> None:
        index = self.currentIndex()
        box = self.visualRect(index)
        self._show_menu(index, self.viewport().mapToGlobal(box.center()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.is_editing():  # keys that the title's editor has no use for, such as the Return that ends it
            event.accept()
            return
        plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier == Qt.KeyboardModifier.NoModifier
        key = event.key()
        if event.matches(QKeySequence.StandardKey.Undo):
            self.undo_requested.emit()
        elif key == Qt.Key.Key_F10 and event.modifiers() == Qt.KeyboardModifier.ShiftModifier:
            self._show_menu_by_keyboard()
        elif plain and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._open(self.currentIndex())
        elif plain and key == Qt.Key.Key_F2:
            self._rename()
        elif plain and key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self._trash()
        else:
            super().keyPressEvent(event)
            return
        event.accept()


def conversation_at(index: QModelIndex) -> ConversationId | None:
    """The conversation in a row; None for a heading or no row."""
    model = index.model()
    row = model.row_at(index) if isinstance(model, ConversationListModel) else None
    return row.id if isinstance(row, ConversationRow) else None
