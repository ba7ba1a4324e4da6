"""The main window: sidebar, pages, keys, files dropped on it. It wires widgets to services and draws nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QKeyEvent,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QFileDialog,
    QMainWindow,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.core.messages import Conversation, ConversationId
from app.services.help_topics import load_help_topics
from app.services.open_chat import OpenChat
from app.services.profile import Profile
from app.ui.appearance import Appearance
from app.ui.chat_page import ChatPage
from app.ui.local_files import dropped_path, show_in_folder
from app.ui.notices import NoticeBar
from app.ui.pages.help_page import HelpPage
from app.ui.pages.models_page import ModelsPage
from app.ui.pages.trash_page import TrashPage
from app.ui.settings_controller import SettingsController
from app.ui.shortcuts import add_actions
from app.ui.shortcuts_sheet import ShortcutsSheet
from app.ui.sidebar import Sidebar
from app.ui.tab_order import stop_beside
from app.ui.window_parts import focus_next_part

DEFAULT_SIZE_PX = (1100, 760)
SMALLEST_SIZE_PX = (480, 400)
SIDEBAR_PX = 260
MIDNIGHT_CHECK_MS = 60_000


class MainWindow(QMainWindow):
    """One per profile."""

    def __init__(self, profile: Profile, resources: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._profile = profile
        self._is_restored = False
        self._appearance = Appearance(profile.settings, self)
        self.setWindowTitle("Hearth")
        self.setAcceptDrops(True)
        self.setMinimumSize(*SMALLEST_SIZE_PX)
        self.sidebar = Sidebar(self)
        self.chat_page = ChatPage(profile, self)
        self.models_page = ModelsPage(self)
        self.trash_page = TrashPage(self)
        self.help_page = HelpPage(self)
        self._help_file = resources / "help" / "en.json"
        self._has_topics = False
        self._pages: dict[str, QWidget] = {
            "chat": self.chat_page,
            "models": self.models_page,
            "trash": self.trash_page,
            "help": self.help_page,
        }
        self._sheet: ShortcutsSheet | None = None
        self._lay_out()
        add_actions(self, self._slots())
        self._connect()
        self._restore_geometry()
        self._appearance.apply()
        self._today = datetime.now().date()
        self._midnight = QTimer(self)
        self._midnight.timeout.connect(self._on_minute)
        self._midnight.start(MIDNIGHT_CHECK_MS)

    @cached_property
    def settings(self) -> SettingsController:
        """The settings; made when they are first wanted: so many fields take time and memory at every start."""
        controller = SettingsController(self._profile, self)
        self._pages["settings"] = controller.page
        self._stack.addWidget(controller.page)
        return controller

    def come_to_front(self, path: str = "") -> None:
        """Raise the window; open `path` if it is given (from a second start)."""
        self.setWindowState((self.windowState() & ~Qt.WindowState.WindowMinimized) | Qt.WindowState.WindowActive)
        self.show()
        self.raise_()
        self.activateWindow()
        if path:
            self.open_model(path)

    def open_model(self, path: str) -> None:
        """Load a file and show the chat."""
        self.show_page("chat")
        self.chat_page.clear_card()
        self._profile.models.load(str(Path(path).absolute()))

    def show_page(self, name: str) -> None:
        """Show "chat", "models", "trash", "settings" or "help"."""
        page = self.settings.page if name == "settings" else self._pages[name]
        self._stack.setCurrentWidget(page)
        self.sidebar.set_page(None if name == "chat" else name)
        if name == "chat":
            self._elsewhere.dismiss()
            self.chat_page.composer.focus()
        else:
            page.setFocus(Qt.FocusReason.OtherFocusReason)
        if name == "models":
            self._profile.models.refresh_files()
        if name == "help" and not self._has_topics:
            self._has_topics = True
            self.help_page.set_topics(load_help_topics(self._help_file))

    def remember(self) -> None:
        """Keep geometry and conversation for the next start."""
        settings = self._profile.settings
        settings.set_value("window.geometry", bytes(self.saveGeometry().toBase64().data()).decode("ascii"))
        settings.set_value("window.sidebar_visible", not self.sidebar.isHidden())
        current = self._profile.chat.current
        settings.set_value("window.last_conversation", current.conversation.id if current.is_stored else "")

    # -- building

    def _lay_out(self) -> None:
        self._stack = QStackedWidget(self)
        for page in self._pages.values():
            self._stack.addWidget(page)
        self._elsewhere = NoticeBar(self)  # says on other pages what went wrong in the chat
        beside = QWidget(self)
        column = QVBoxLayout(beside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._stack, 1)
        column.addWidget(self._elsewhere)
        self._splitter = QSplitter(Qt.Orientation.Horizontal, self)
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(1)
        self._splitter.addWidget(self.sidebar)
        self._splitter.addWidget(beside)
        self._splitter.setStretchFactor(0, 0)
        self._splitter.setStretchFactor(1, 1)
        self._splitter.setSizes([SIDEBAR_PX, DEFAULT_SIZE_PX[0] - SIDEBAR_PX])
        self.setCentralWidget(self._splitter)
        self.sidebar.setVisible(self._profile.settings.value("window.sidebar_visible") is not False)

    def _slots(self) -> dict[str, Callable[[], object]]:
        chat = self.chat_page
        return {
            "new_chat": self._new_chat,
            "open_model": self._choose_file,
            "regenerate": self._in_sight(chat.regenerate_last),
            "edit_last": self._in_sight(chat.edit_last),
            "continue": self._in_sight(chat.continue_last),
            "version_earlier": self._in_sight(self._version_earlier),
            "version_later": self._in_sight(self._version_later),
            "copy_last": self._in_sight(chat.copy_last),
            "chat_previous": self._chat_above,
            "chat_next": self._chat_below,
            "filter_chats": self._focus_filter,
            "message_box": self._focus_composer,
            "next_part": self._focus_next_part,
            "page_chat": self._page("chat"),
            "page_models": self._page("models"),
            "page_settings": self._page("settings"),
            "help": self._page("help"),
            "shortcuts": self.show_shortcuts,
            "sidebar": self._toggle_sidebar,
            "text_larger": self._appearance.larger_text,
            "text_smaller": self._appearance.smaller_text,
            "text_normal": self._appearance.normal_text,
            "quit": self.close,
        }

    def _page(self, name: str) -> Callable[[], None]:
        def show() -> None:
            self.show_page(name)

        return show

    def _in_sight(self, act: Callable[[], object]) -> Callable[[], None]:
        """What changes the chat: from another page, show the chat first and change nothing."""

        def act_in_sight() -> None:
            if self._stack.currentWidget() is self.chat_page:
                act()
            else:
                self.show_page("chat")

        return act_in_sight

    def _connect(self) -> None:
        profile, sidebar = self._profile, self.sidebar
        chat, conversations = profile.chat, profile.conversations
        sidebar.new_requested.connect(self._new_chat)
        sidebar.opened.connect(self._open_conversation)
        sidebar.rename_requested.connect(conversations.rename)
        sidebar.trash_requested.connect(self._trash)
        sidebar.undo_requested.connect(conversations.undo_trash)
        sidebar.page_requested.connect(self.show_page)
        conversations.changed.connect(self._show_conversations)
        conversations.trash_changed.connect(self.trash_page.set_conversations)
        conversations.trashed.connect(self._on_trashed)
        chat.answers.running_changed.connect(self._show_conversations)
        chat.opened.connect(self._on_opened)
        chat.accepted.connect(self._on_accepted)
        profile.store.opened.connect(self._on_store_opened)
        profile.settings.save_failed.connect(self._on_settings_not_saved)
        self.chat_page.open_file_requested.connect(self._choose_file)
        self.chat_page.failure_shown.connect(self._on_failure_shown)
        self.models_page.open_requested.connect(self._choose_file)
        self.models_page.use_requested.connect(self._on_use_requested)
        self.models_page.forget_requested.connect(profile.models.forget)
        self.models_page.show_in_folder_requested.connect(show_in_folder)
        profile.models.files_changed.connect(self._show_models)
        profile.models.loaded.connect(self._show_models)
        self.trash_page.restore_requested.connect(conversations.restore)
        self.trash_page.delete_requested.connect(conversations.delete_for_ever)
        self.trash_page.empty_requested.connect(conversations.empty_trash)

    def _restore_geometry(self) -> None:
        stored = self._profile.settings.string("window.geometry")
        if not stored or not self.restoreGeometry(QByteArray.fromBase64(stored.encode("ascii"))):
            self.resize(*DEFAULT_SIZE_PX)

    # -- conversations

    def _new_chat(self) -> None:
        self.show_page("chat")
        self._profile.chat.new_conversation()

    def _open_conversation(self, conversation_id: str) -> None:
        self.show_page("chat")
        self._profile.chat.open(ConversationId(conversation_id))

    def _trash(self, conversation_id: str) -> None:
        self._profile.chat.close_conversation(ConversationId(conversation_id))
        self._profile.conversations.trash(ConversationId(conversation_id))

    def _on_trashed(self, conversation: Conversation) -> None:
        title = conversation.title or self.tr("New chat")
        words = self.tr("“{title}” was moved to the trash.").format(title=title)
        self.chat_page.notices.show_notice(words, self.tr("Undo"), self._profile.conversations.undo_trash)

    def _show_conversations(self) -> None:
        self._today = datetime.now().date()
        conversations = self._profile.conversations.conversations
        self.sidebar.set_conversations(conversations, self._today, self._profile.chat.answers.conversations)
        self.sidebar.set_current(self._profile.chat.current.conversation.id)
        self._show_title(self._profile.chat.current)

    def _on_opened(self, chat: OpenChat) -> None:
        self.sidebar.set_current(chat.conversation.id)
        self._show_title(chat)

    def _on_accepted(self, chat: OpenChat, text: str) -> None:
        if chat is self._profile.chat.current:
            self._show_title(chat)

    def _show_title(self, chat: OpenChat) -> None:
        title = chat.conversation.title
        self.setWindowTitle(f"{title} – Hearth" if title else "Hearth")

    def _on_store_opened(self) -> None:
        self._profile.conversations.refresh()
        if not self._is_restored:
            self._is_restored = True
            last = self._profile.settings.string("window.last_conversation")
            if last and not self.chat_page.composer.text():  # who was quicker than the database keeps the new chat
                self._profile.chat.open(ConversationId(last))

    def _on_minute(self) -> None:
        if datetime.now().date() != self._today:
            self._show_conversations()

    def _chat_above(self) -> None:
        self._step_chat(-1)

    def _chat_below(self) -> None:
        self._step_chat(1)

    def _step_chat(self, step: int) -> None:
        shown = self.sidebar.shown_ids()
        current = self._profile.chat.current.conversation.id
        at = shown.index(current) + step if current in shown else 0
        if 0 <= at < len(shown):
            self._open_conversation(shown[at])

    def _version_earlier(self) -> None:
        self.chat_page.step_version(-1)

    def _version_later(self) -> None:
        self.chat_page.step_version(1)

    # -- models and files

    def _choose_file(self) -> None:
        current = self._profile.models.current_path
        folder = "" if self._profile.models.is_builtin else str(Path(current).parent)
        filters = self.tr("Models (*.gguf);;All files (*)")
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Open a model file"), folder, filters)
        if path:
            self.open_model(path)

    def _on_use_requested(self, path: str | None) -> None:
        self.show_page("chat")
        self.chat_page.clear_card()
        self._profile.models.load(path)

    def _show_models(self) -> None:
        models = self._profile.models
        self.models_page.set_models(models.files, None if models.is_builtin else models.current_path)

    # -- keys

    def _focus_filter(self) -> None:
        self.sidebar.show()
        self.sidebar.focus_filter()

    def _focus_composer(self) -> None:
        self.show_page("chat")

    def _focus_next_part(self) -> None:
        focus_next_part(self.sidebar, self.chat_page, self._stack.currentWidget() or self.chat_page)

    def show_shortcuts(self) -> None:
        """Show the sheet of keys."""
        if self._sheet is None:
            self._sheet = ShortcutsSheet(self)
        self._sheet.show()
        self._sheet.raise_()
        self._sheet.activateWindow()

    def _toggle_sidebar(self) -> None:
        self.sidebar.setVisible(self.sidebar.isHidden())

    def _on_failure_shown(self, title: str) -> None:
        if self._stack.currentWidget() is not self.chat_page:
            self._elsewhere.show_notice(title, self.tr("Show"), self._page("chat"))

    def _on_settings_not_saved(self, reason: str) -> None:
        words = self.tr("The settings could not be saved ({reason}). They hold until Hearth is closed.")
        self.chat_page.notices.show_notice(words.format(reason=reason))

    # -- Qt

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._profile.chat.is_streaming:
            self._profile.chat.stop()
            return
        super().keyPressEvent(event)

    def focusNextPrevChild(self, forward: bool) -> bool:
        stop = stop_beside(self, self.focusWidget(), forward=forward)
        if stop is None:
            return False
        stop.setFocus(Qt.FocusReason.TabFocusReason if forward else Qt.FocusReason.BacktabFocusReason)
        return True

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_path(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        if path := dropped_path(event):
            event.acceptProposedAction()
            self.open_model(path)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous():  # who starts to type at once means the message box
            self.chat_page.composer.focus()

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._sheet is not None:
            self._sheet.close()
        super().closeEvent(event)
