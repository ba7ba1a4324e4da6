"""The trash page, wired to the services."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.services.profile import Profile
from app.ui.pages.trash_page import TrashPage


class TrashController(QObject):
    """Shows what is in the trash, and restores or deletes it."""

    def __init__(self, profile: Profile, parent: QWidget) -> None:
        super().__init__(parent)
        conversations = profile.conversations
        self.page = TrashPage(parent)
        self.page.set_conversations(conversations.in_trash)
        conversations.trash_changed.connect(self.page.set_conversations)
        self.page.restore_requested.connect(conversations.restore)
        self.page.delete_requested.connect(conversations.delete_for_ever)
        self.page.empty_requested.connect(conversations.empty_trash)
