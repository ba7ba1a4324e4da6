"""The order in which a key goes through the parts of the window."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QWidget

from app.ui.chat_page import ChatPage
from app.ui.sidebar import Sidebar


def focus_next_part(sidebar: Sidebar, chat_page: ChatPage, page: QWidget) -> None:
    """Sidebar, then the page that is shown, then the message box."""
    focus = QApplication.focusWidget()
    reason = Qt.FocusReason.ShortcutFocusReason
    transcript = chat_page.transcript
    if focus is not None and sidebar.isAncestorOf(focus):
        (transcript if page is chat_page else page).setFocus(reason)
    elif page is chat_page and focus is not None and (focus is transcript or transcript.isAncestorOf(focus)):
        chat_page.composer.focus()
    elif not sidebar.isHidden():
        sidebar.focus_list()
    elif page is chat_page:
        transcript.setFocus(reason)
