"""The rows of the sidebar: conversations under headings, as a Qt model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, tzinfo
from itertools import groupby
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.core.messages import Conversation, ConversationId
from app.ui.day_groups import group_of, group_title, local_day

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()


@dataclass(frozen=True, slots=True)
class HeadingRow:
    """The name of a group of days."""

    title: str


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """One conversation; `group` is the heading it stands under."""

    id: ConversationId
    title: str
    group: str
    streaming: bool
    opened: bool


Row = HeadingRow | ConversationRow
ROW_ROLE = Qt.ItemDataRole.UserRole


class ConversationListModel(QAbstractListModel):
    """Groups, sorts and filters. Rows that stay where they are keep selection and editor; else the model resets."""

    renamed = Signal(str, str)  # conversation id, new title

    def __init__(self, parent: QObject | None = None, zone: tzinfo | None = None) -> None:
        super().__init__(parent)
        self._zone = zone
        self._conversations: list[Conversation] = []
        self._today = date.min
        self._streaming: Collection[ConversationId] = ()
        self._opened: ConversationId | None = None
        self._words: list[str] = []
        self._rows: list[Row] = []

    def set_conversations(
        self, conversations: Sequence[Conversation], today: date, streaming: Collection[ConversationId]
    ) -> None:
        """Show these, newest first, with a mark on those that are being answered."""
        self._conversations = sorted(conversations, key=lambda c: c.updated_at, reverse=True)
        self._today = today
        self._streaming = frozenset(streaming)
        self._rebuild()

    def set_opened(self, conversation: ConversationId | None) -> None:
        """Mark the conversation that is on screen."""
        before, self._opened = self._opened, conversation
        for changed in {before, conversation} - {None}:
            index = self.index_of(changed)
            row = self.row_at(index)
            if isinstance(row, ConversationRow):
                self._rows[index.row()] = replace(row, opened=row.id == conversation)
                self.dataChanged.emit(index, index)

    def set_filter(self, text: str) -> None:
        """Show only titles that contain every word of `text`."""
        words = text.casefold().split()
        if words != self._words:
            self._words = words
            self._rebuild()

    def is_filtered(self) -> bool:
        """Whether a filter is set."""
        return bool(self._words)

    def has_conversations(self) -> bool:
        """Whether there is anything to show without the filter."""
        return bool(self._conversations)

    def ids(self) -> list[ConversationId]:
        """The conversations shown, from top to bottom."""
        return [row.id for row in self._rows if isinstance(row, ConversationRow)]

    def index_of(self, conversation: str | None) -> QModelIndex:
        """Where a conversation stands; an invalid index when it is not shown."""
        for number, row in enumerate(self._rows):
            if isinstance(row, ConversationRow) and row.id == conversation:
                return self.index(number, 0)
        return QModelIndex()

    def row_at(self, index: Index) -> Row | None:
        """The row behind an index."""
        return self._rows[index.row()] if index.isValid() and index.row() < len(self._rows) else None

    def _rebuild(self) -> None:
        rows = self._make_rows()
        same_places = [_place(row) for row in rows] == [_place(row) for row in self._rows]
        if not same_places:
            self.beginResetModel()
            self._rows = rows
            self.endResetModel()
            return
        changed = [n for n, (new, old) in enumerate(zip(rows, self._rows, strict=True)) if new != old]
        self._rows = rows
        for number in changed:
            index = self.index(number, 0)
            self.dataChanged.emit(index, index)

    def _make_rows(self) -> list[Row]:
        shown = [c for c in self._conversations if all(word in c.title.casefold() for word in self._words)]
        rows: list[Row] = []
        for group, members in groupby(shown, key=lambda c: group_of(local_day(c.updated_at, self._zone), self._today)):
            title = group_title(group, self._today)
            rows.append(HeadingRow(title))
            rows += (
                ConversationRow(c.id, c.title, title, c.id in self._streaming, c.id == self._opened) for c in members
            )
        return rows

    def _title(self, row: ConversationRow) -> str:
        return row.title or self.tr("New chat")

    def _spoken(self, row: ConversationRow) -> str:
        words = self.tr("{title}, {day}").format(title=self._title(row), day=row.group)
        if row.opened:
            words += self.tr(", open")
        if row.streaming:
            words += self.tr(", answering")
        return words

    def rowCount(self, parent: Index = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.row_at(index)
        if row is None:
            return None
        if role == ROW_ROLE:
            return row
        if isinstance(row, HeadingRow):
            return row.title if role == Qt.ItemDataRole.DisplayRole else None
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.ToolTipRole:
                return self._title(row)
            case Qt.ItemDataRole.EditRole:
                return row.title
            case Qt.ItemDataRole.AccessibleTextRole:
                return self._spoken(row)
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        row = self.row_at(index)
        title = " ".join(str(value).split())
        if not isinstance(row, ConversationRow) or role != Qt.ItemDataRole.EditRole or not title:
            return False
        if title != row.title:
            self.renamed.emit(row.id, title)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not isinstance(self.row_at(index), ConversationRow):
            return Qt.ItemFlag.NoItemFlags
        flag = Qt.ItemFlag
        return flag.ItemIsEnabled | flag.ItemIsSelectable | flag.ItemIsEditable | flag.ItemNeverHasChildren


def _place(row: Row) -> str:
    return row.id if isinstance(row, ConversationRow) else f"# {row.title}"
