"""The list of conversations: new, rename, trash with undo, drafts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import UserError
from app.core.messages import Conversation, ConversationId, utc_now
from app.core.text import clean_text
from app.services.store import Stores, StoreService

TRASH_DAYS = 30
DRAFT_DELAY_MS = 400
DRAFT_RETRY_MS = 2000
PURGE_INTERVAL_MS = 6 * 60 * 60 * 1000


class ConversationsService(QObject):
    """What the sidebar and the trash page show. Main thread only; every change goes to the store and is read back."""

    changed = Signal(object)  # list[Conversation], newest first
    trash_changed = Signal(object)  # list[Conversation]
    trashed = Signal(object)  # Conversation
    deleted = Signal(object)  # list[ConversationId]: for ever
    failed = Signal(object, object)  # UserError, what does it again
    drafts_recovered = Signal()  # drafts can be stored again after `failed` said that they cannot

    def __init__(self, store: StoreService, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store = store
        self._conversations: list[Conversation] = []
        self._in_trash: list[Conversation] = []
        self._last_trashed: ConversationId | None = None
        self._new: dict[ConversationId, Conversation] = {}  # only a draft so far, and not stored yet
        self._drafts: dict[ConversationId, str] = {}
        self._drafts_fail = False
        self._draft_timer = self._timer(DRAFT_DELAY_MS, self.flush_drafts, single=True)
        self._purge_timer = self._timer(PURGE_INTERVAL_MS, self.purge, single=False)
        store.opened.connect(self._on_opened)

    @property
    def conversations(self) -> list[Conversation]:
        """The list as last read, newest first."""
        return self._conversations

    @property
    def in_trash(self) -> list[Conversation]:
        """The trash as last read."""
        return self._in_trash

    def find(self, conversation_id: ConversationId) -> Conversation | None:
        """A conversation of the list."""
        return next((c for c in self._conversations if c.id == conversation_id), None)

    def refresh(self) -> None:
        """Read both lists again."""
        self._store.run(lambda stores: stores.conversations.list(), self._on_listed, self._on_list_failed)
        self._store.run(lambda stores: stores.conversations.list(trashed=True), self._on_trash_listed)

    def rename(self, conversation_id: ConversationId, title: str) -> None:
        """Give a title by hand; an empty one is ignored."""
        title = " ".join(clean_text(title).split())
        if title:
            self._change(lambda stores: stores.conversations.rename(conversation_id, title, True))

    def trash(self, conversation_id: ConversationId) -> None:
        """Move a conversation to the trash; `undo_trash` brings the last one back."""
        conversation = self.find(conversation_id)
        self._last_trashed = conversation_id

        def done(_: object) -> None:
            if conversation is not None:
                self.trashed.emit(conversation)

        self._change(lambda stores: stores.conversations.trash(conversation_id, utc_now()), done)

    def undo_trash(self) -> None:
        """Bring the conversation back that was trashed last."""
        if self._last_trashed is not None:
            self.restore(self._last_trashed)
            self._last_trashed = None

    def restore(self, conversation_id: ConversationId) -> None:
        """Take a conversation out of the trash."""
        self._change(lambda stores: stores.conversations.restore(conversation_id))

    def delete_for_ever(self, conversation_id: ConversationId) -> None:
        """Delete one conversation with all its messages and what waits to be written of it."""
        self._new.pop(conversation_id, None)
        self.forget_draft(conversation_id)
        self._change(
            lambda stores: stores.conversations.delete_for_ever(conversation_id),
            lambda _: self.deleted.emit([conversation_id]),
        )

    def empty_trash(self) -> None:
        """Delete everything in the trash."""
        self._change(lambda stores: stores.conversations.empty_trash(_far_future()), self._on_trash_emptied)

    def purge(self) -> None:
        """Delete what has been in the trash for 30 days."""
        limit = utc_now() - timedelta(days=TRASH_DAYS)
        self._change(lambda stores: stores.conversations.empty_trash(limit), self._on_trash_emptied)

    def create(self, conversation: Conversation) -> None:
        """Store a conversation that has only a draft so far; what comes next is stored after it, in order."""
        self._new[conversation.id] = conversation
        self.flush_drafts()

    def keep_draft(self, conversation_id: ConversationId, text: str) -> None:
        """Remember the unsent text of a conversation; written after a short pause in typing."""
        self._drafts[conversation_id] = text
        self._conversations = [replace(c, draft=text) if c.id == conversation_id else c for c in self._conversations]
        self._draft_timer.start(DRAFT_DELAY_MS)

    def waiting_draft(self, conversation_id: ConversationId) -> str | None:
        """The draft that waits to be written; None if the stored one is the newest."""
        return self._drafts.get(conversation_id)

    def forget_draft(self, conversation_id: ConversationId) -> None:
        """Do not write what is waiting for a conversation: it has been sent."""
        self._drafts.pop(conversation_id, None)

    def flush_drafts(self) -> None:
        """Write the drafts that are waiting to be written; if that fails, again and again until it works."""
        self._draft_timer.stop()
        new = dict(self._new)
        drafts, self._drafts = self._drafts, {}

        def work(stores: Stores) -> None:
            for conversation in new.values():
                if stores.conversations.get(conversation.id) is None:  # its first message may have been quicker
                    stores.conversations.create(conversation)
            for conversation_id, text in drafts.items():
                stores.conversations.save_draft(conversation_id, text)

        def done(_: None) -> None:
            for conversation_id in new:
                self._new.pop(conversation_id, None)
            if new:
                self.refresh()
            self._on_drafts_stored()

        def failed(error: UserError) -> None:
            self._drafts = {**drafts, **self._drafts}  # what was typed since is newer
            self._on_drafts_failed(error)

        if new or drafts:
            self._store.run(work, done, failed)

    def _timer(self, interval_ms: int, slot: Callable[[], None], *, single: bool) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(single)
        timer.setInterval(interval_ms)
        timer.timeout.connect(slot)
        return timer

    def _on_trash_emptied(self, gone: object) -> None:
        if gone:
            self.deleted.emit(gone)

    def _on_opened(self) -> None:
        self.purge()
        self._purge_timer.start()

    def _change(self, work: Callable[[Stores], object], on_done: Callable[[object], None] | None = None) -> None:
        def done(result: object) -> None:
            if on_done is not None:
                on_done(result)
            self.refresh()

        def failed(error: UserError) -> None:
            self.failed.emit(error, lambda: self._change(work, on_done))
            self.refresh()

        self._store.run(work, done, failed)

    def _on_list_failed(self, error: UserError) -> None:
        self.failed.emit(error, self.refresh)

    def _on_drafts_stored(self) -> None:
        if self._drafts_fail:
            self._drafts_fail = False
            self.drafts_recovered.emit()

    def _on_drafts_failed(self, error: UserError) -> None:
        self._draft_timer.start(DRAFT_RETRY_MS)
        if not self._drafts_fail:
            self._drafts_fail = True
            self.failed.emit(error, self.flush_drafts)

    def _on_listed(self, conversations: list[Conversation]) -> None:
        self._conversations = [replace(c, draft=self._drafts.get(c.id, c.draft)) for c in conversations]
        self.changed.emit(self._conversations)

    def _on_trash_listed(self, conversations: list[Conversation]) -> None:
        self._in_trash = conversations
        self.trash_changed.emit(conversations)


def _far_future() -> datetime:
    return utc_now() + timedelta(days=36500)
