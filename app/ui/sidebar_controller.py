"""The list of chats in the sidebar, wired to the services."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

from app.core.downloads import progress_of
from app.core.messages import Conversation, ConversationId
from app.services.open_chat import OpenChat
from app.services.profile import Profile
from app.services.wording import number
from app.ui.notices import NoticeArea
from app.ui.sidebar import Sidebar

MIDNIGHT_CHECK_MS = 60_000


class SidebarController(QObject):
    """Opens, makes, renames and trashes chats; opens the last one when the database is there."""

    chat_wanted = Signal()  # a chat was chosen or made: it should be in sight
    title_changed = Signal(str)  # of the chat on screen; empty for one that has none yet

    def __init__(self, profile: Profile, sidebar: Sidebar, notices: NoticeArea, parent: QWidget) -> None:
        super().__init__(parent)
        self._profile = profile
        self._sidebar = sidebar
        self._notices = notices
        self._is_restored = False
        self._today = datetime.now().date()
        self._midnight = QTimer(self)
        self._midnight.timeout.connect(self._on_minute)
        self._midnight.start(MIDNIGHT_CHECK_MS)
        self._connect()

    def new_chat(self) -> None:
        """Show an empty chat."""
        self.chat_wanted.emit()
        self._profile.chat.new_conversation()

    def open(self, conversation_id: str) -> None:
        """Show a chat."""
        self.chat_wanted.emit()
        self._profile.chat.open(ConversationId(conversation_id))

    def open_above(self) -> None:
        """Show the chat above this one in the list."""
        self._step(-1)

    def open_below(self) -> None:
        """Show the chat below this one in the list."""
        self._step(1)

    def _connect(self) -> None:
        sidebar, chat, conversations = self._sidebar, self._profile.chat, self._profile.conversations
        sidebar.new_requested.connect(self.new_chat)
        sidebar.opened.connect(self.open)
        sidebar.rename_requested.connect(conversations.rename)
        sidebar.trash_requested.connect(self._trash)
        sidebar.undo_requested.connect(conversations.undo_trash)
        conversations.changed.connect(self._show_conversations)
        conversations.trashed.connect(self._on_trashed)
        chat.answers.running_changed.connect(self._show_conversations)
        chat.opened.connect(self._on_opened)
        chat.accepted.connect(self._on_accepted)
        downloads = self._profile.downloads
        for moved in (downloads.listed, downloads.changed, downloads.finished, downloads.failed, downloads.cancelled):
            moved.connect(self._show_downloads)
        self._profile.store.opened.connect(self._on_store_opened)

    def _show_downloads(self) -> None:
        """Wherever the person is: how far the downloads are."""
        progress = progress_of(self._profile.downloads.downloads)
        words = ""
        if progress is not None:
            words = self.tr("Downloads: {percent} %").format(percent=number(int(progress * 100)))
        self._sidebar.set_progress("models", progress, words)

    def _trash(self, conversation_id: str) -> None:
        self._profile.chat.close_conversation(ConversationId(conversation_id))
        self._profile.conversations.trash(ConversationId(conversation_id))

    def _on_trashed(self, conversation: Conversation) -> None:
        title = conversation.title or self.tr("New chat")
        words = self.tr("“{title}” was moved to the trash.").format(title=title)
        undo = partial(self._profile.conversations.restore, conversation.id)
        self._notices.show_notice(words, self.tr("Undo"), undo, topic=conversation.id)

    def _show_conversations(self) -> None:
        self._today = datetime.now().date()
        conversations = self._profile.conversations.conversations
        self._sidebar.set_conversations(conversations, self._today, self._profile.chat.answers.conversations)
        self._on_opened(self._profile.chat.current)

    def _on_opened(self, chat: OpenChat) -> None:
        self._sidebar.set_current(chat.conversation.id)
        self.title_changed.emit(chat.conversation.title)

    def _on_accepted(self, chat: OpenChat, text: str) -> None:
        if chat is self._profile.chat.current:
            self.title_changed.emit(chat.conversation.title)

    def _on_store_opened(self) -> None:
        self._profile.conversations.refresh()
        if not self._is_restored:
            self._is_restored = True
            last = self._profile.settings.string("window.last_conversation")
            if last and not self._profile.chat.current.conversation.draft:  # who was quicker keeps the new chat
                self._profile.chat.open(ConversationId(last))

    def _on_minute(self) -> None:
        if datetime.now().date() != self._today:
            self._show_conversations()

    def _step(self, step: int) -> None:
        shown = self._sidebar.shown_ids()
        current = self._profile.chat.current.conversation.id
        at = shown.index(current) + step if current in shown else 0
        if 0 <= at < len(shown):
            self.open(shown[at])
