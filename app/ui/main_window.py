"""The main window: sidebar, pages, keys, files dropped on it. It wires widgets to services and draws nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeyEvent, QShowEvent
from PySide6.QtWidgets import QFileDialog, QMainWindow, QSplitter, QVBoxLayout, QWidget

from app.core.errors import UserError
from app.services.help_topics import load_help_topics
from app.services.profile import Profile
from app.ui.adoption import Adoption
from app.ui.appearance import Appearance
from app.ui.chat_page import ChatPage
from app.ui.import_ahead import MODELS_PAGE, ImportAhead
from app.ui.local_files import dropped_path
from app.ui.notices import NoticeArea
from app.ui.page_stack import PageStack
from app.ui.pages.help_page import HelpPage
from app.ui.settings_controller import SettingsController
from app.ui.shortcuts import add_actions
from app.ui.shortcuts_sheet import ShortcutsSheet
from app.ui.sidebar import Sidebar
from app.ui.sidebar_controller import SidebarController
from app.ui.tab_order import stop_beside
from app.ui.trash_controller import TrashController
from app.ui.window_parts import WindowPart, focus_next_part

DEFAULT_SIZE_PX = (1100, 760)
SMALLEST_SIZE_PX = (480, 400)
SIDEBAR_PX = 260
NO_MARGINS, NOTICE_MARGINS_PX = (0, 0, 0, 0), (16, 8, 16, 12)


class MainWindow(QMainWindow):
    """One per profile."""

    def __init__(self, profile: Profile, resources: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._profile = profile
        self._help_file = resources / "help" / "en.json"
        self._sheet: ShortcutsSheet | None = None
        self._appearance = Appearance(profile.settings, self)
        self.setWindowTitle("Hearth")
        self.setAcceptDrops(True)
        self.setMinimumSize(*SMALLEST_SIZE_PX)
        self.sidebar = Sidebar(self)
        self.notices = NoticeArea(self)
        self.chat_page = ChatPage(profile, self.notices, self)
        self.pages = PageStack(self)
        self._chats = SidebarController(profile, self.sidebar, self.notices, self)
        self._adoption = Adoption(profile.library, self.notices, self)
        self._ahead = ImportAhead(MODELS_PAGE, self)
        self._add_pages()
        self._lay_out()
        self._connect()
        add_actions(self, self._slots())
        self._restore_geometry()
        self._appearance.apply()
        self.show_page("chat")

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
        self._use_model(str(Path(path).absolute()))

    def show_page(self, name: str) -> None:
        """Show a page by its name, e.g. "chat" or "settings"."""
        self.pages.show_page(name)

    def show_shortcuts(self) -> None:
        """Show the sheet of keys."""
        if self._sheet is None:
            self._sheet = ShortcutsSheet(self)
        self._sheet.show()
        self._sheet.raise_()
        self._sheet.activateWindow()

    def remember(self) -> None:
        """Keep geometry and conversation for the next start."""
        settings = self._profile.settings
        settings.set_value("window.geometry", bytes(self.saveGeometry().toBase64().data()).decode("ascii"))
        settings.set_value("window.sidebar_visible", not self.sidebar.isHidden())
        current = self._profile.chat.current
        settings.set_value("window.last_conversation", current.conversation.id if current.is_stored else "")

    # -- pages

    def _add_pages(self) -> None:
        """A page has a name, which is that of its icon as well, and of its key if that is among the shortcuts."""
        self.pages.add("chat", self._make_chat)
        self.pages.add("models", self._make_models, self._profile.library.scan)
        self.pages.add("trash", self._make_trash)
        self.pages.add("settings", self._make_settings)
        self.pages.add("help", self._make_help)
        self.sidebar.add_page("models", self.tr("Models"))
        self.sidebar.add_page("trash", self.tr("Trash"))
        self.sidebar.add_page("settings", self.tr("Settings"))
        self.sidebar.add_page("help", self.tr("Help"))

    def _make_chat(self) -> QWidget:
        return self.chat_page

    def _make_models(self) -> QWidget:
        from app.ui.models_controller import ModelsController  # 100 ms, which the start can do without

        controller = ModelsController(self._profile, self.notices, self)
        controller.open_requested.connect(self._choose_file)
        controller.use_requested.connect(self._use_model)
        controller.settings_requested.connect(self._page("settings"))
        controller.look_elsewhere_requested.connect(self._adoption.look)
        return controller.page

    def _make_trash(self) -> QWidget:
        return TrashController(self._profile, self).page

    def _make_settings(self) -> QWidget:
        return SettingsController(self._profile, self).page

    def _make_help(self) -> QWidget:
        page = HelpPage(self)
        page.set_topics(load_help_topics(self._help_file))
        return page

    def _on_page_shown(self, name: str) -> None:
        self.sidebar.set_page(name)
        is_chat = name == "chat"
        self.notices.move_to(self.chat_page.bottom if is_chat else self._below)
        self.notices.setContentsMargins(*(NO_MARGINS if is_chat else NOTICE_MARGINS_PX))

    # -- building

    def _lay_out(self) -> None:
        beside = QWidget(self)
        self._below = QVBoxLayout()  # where notices stand on every page but the chat; without any it takes no room
        column = QVBoxLayout(beside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.pages, 1)
        column.addLayout(self._below)
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

    def _connect(self) -> None:
        self.pages.page_shown.connect(self._on_page_shown)
        self.notices.focus_left.connect(self.pages.focus_page)
        self.sidebar.page_requested.connect(self.show_page)
        self._chats.chat_wanted.connect(self._show_chat)
        self._chats.title_changed.connect(self._on_title_changed)
        self.chat_page.sight_requested.connect(self._show_chat)
        self.chat_page.open_file_requested.connect(self._choose_file)
        self.chat_page.welcome.models_requested.connect(self._page("models"))
        self.chat_page.model_button.models_requested.connect(self._page("models"))
        self._profile.hub.proxy.failed.connect(self._on_proxy_failed)

    def _slots(self) -> dict[str, Callable[[], object]]:
        chat = self.chat_page
        return {
            **{f"page_{name}": self._page(name) for name in self.pages.names},
            "new_chat": self._chats.new_chat,
            "open_model": self._choose_file,
            "regenerate": self._in_sight(chat.regenerate_last),
            "edit_last": self._in_sight(chat.edit_last),
            "continue": self._in_sight(chat.continue_last),
            "version_earlier": self._in_sight(partial(chat.step_version, -1)),
            "version_later": self._in_sight(partial(chat.step_version, 1)),
            "copy_last": self._in_sight(chat.copy_last),
            "chat_previous": self._chats.open_above,
            "chat_next": self._chats.open_below,
            "filter_chats": self._focus_filter,
            "message_box": self._show_chat,
            "next_part": self._focus_next_part,
            "shortcuts": self.show_shortcuts,
            "sidebar": self._toggle_sidebar,
            "text_larger": self._appearance.larger_text,
            "text_smaller": self._appearance.smaller_text,
            "text_normal": self._appearance.normal_text,
            "quit": self.close,
        }

    def _restore_geometry(self) -> None:
        stored = self._profile.settings.string("window.geometry")
        if not stored or not self.restoreGeometry(QByteArray.fromBase64(stored.encode("ascii"))):
            self.resize(*DEFAULT_SIZE_PX)

    # -- what keys and widgets ask for

    def _on_proxy_failed(self, error: UserError) -> None:
        """Also at the start, where an older version left the password in the settings."""
        self.notices.show_error(error, topic="proxy password")

    def _show_chat(self) -> None:
        self.show_page("chat")

    def _page(self, name: str) -> Callable[[], None]:
        def show() -> None:
            self.show_page(name)

        return show

    def _in_sight(self, act: Callable[[], object]) -> Callable[[], None]:
        """What changes the chat: from another page, show the chat first and change nothing."""

        def act_in_sight() -> None:
            if self.pages.current_name == "chat":
                act()
            else:
                self.show_page("chat")

        return act_in_sight

    def _on_title_changed(self, title: str) -> None:
        self.setWindowTitle(f"{title} – Hearth" if title else "Hearth")

    def _choose_file(self) -> None:
        current = self._profile.models.current_path
        folder = "" if self._profile.models.is_builtin else str(Path(current).parent)
        filters = self.tr("Models (*.gguf);;All files (*)")
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Open a model file"), folder, filters)
        if path:
            self.open_model(path)

    def _use_model(self, path: str | None) -> None:
        """Load a file, or the built-in model, and show the chat."""
        self.show_page("chat")
        self.chat_page.clear_card()
        self._profile.models.load(path)

    def _focus_filter(self) -> None:
        if self.pages.current_name == "models":  # what one looks for there are models
            self.pages.focus_page()
            return
        self.sidebar.show()
        self.sidebar.focus_filter()

    def _focus_next_part(self) -> None:
        chat, pages = self.chat_page, self.pages
        parts = [WindowPart(self.sidebar, self.sidebar.focus_list)]
        if pages.current_name == "chat":
            parts.append(WindowPart(chat.transcript, chat.transcript.setFocus))
            parts.append(WindowPart(self.notices, self.notices.focus))
            parts.append(WindowPart(chat.composer, chat.composer.focus))
        else:
            parts.append(WindowPart(pages, pages.focus_page))
            parts.append(WindowPart(self.notices, self.notices.focus))
        focus_next_part(parts)

    def _toggle_sidebar(self) -> None:
        self.sidebar.setVisible(self.sidebar.isHidden())

    # -- Qt

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            if self._profile.chat.is_streaming:
                self._profile.chat.stop()
                return
            if self.notices.dismiss_newest():
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
