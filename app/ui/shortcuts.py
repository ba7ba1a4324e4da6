"""Every key of the window, declared once: for the actions of the main window and for the sheet that lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget


class ShortcutSection(Enum):
    """The blocks of the sheet, in order; the values are their titles before translation."""

    MESSAGE = QT_TRANSLATE_NOOP("Shortcuts", "Message")
    ANSWER = QT_TRANSLATE_NOOP("Shortcuts", "Answer")
    CHATS = QT_TRANSLATE_NOOP("Shortcuts", "Chats")
    WINDOW = QT_TRANSLATE_NOOP("Shortcuts", "Window")

    def title(self) -> str:
        """The title in the person's language."""
        return QCoreApplication.translate("Shortcuts", str(self.value))


@dataclass(frozen=True, slots=True)
class Shortcut:
    """One thing that keys do. `keys` are portable QKeySequence strings, the first is the one that is shown.

    A `local` key belongs to one widget, which handles it itself; the others work everywhere in the window.
    """

    id: str
    section: ShortcutSection
    keys: tuple[str, ...]
    source: object  # the label before translation; QT_TRANSLATE_NOOP is typed so
    local: bool = False

    def label(self) -> str:
        """What the keys do, in the person's language."""
        return QCoreApplication.translate("Shortcuts", str(self.source))

    def shown_keys(self) -> str:
        """The first keys as this system writes them, e.g. "Ctrl+N" or "⌘N"."""
        return QKeySequence(self.keys[0]).toString(QKeySequence.SequenceFormat.NativeText)


_MESSAGE, _ANSWER = ShortcutSection.MESSAGE, ShortcutSection.ANSWER
_CHATS, _WINDOW = ShortcutSection.CHATS, ShortcutSection.WINDOW

SHORTCUTS: tuple[Shortcut, ...] = (
    Shortcut("send", _MESSAGE, ("Enter", "Return"), QT_TRANSLATE_NOOP("Shortcuts", "Send the message"), local=True),
    Shortcut(
        "new_line", _MESSAGE, ("Shift+Enter", "Shift+Return"), QT_TRANSLATE_NOOP("Shortcuts", "New line"), local=True
    ),
    Shortcut("message_box", _MESSAGE, ("Ctrl+L",), QT_TRANSLATE_NOOP("Shortcuts", "Go to the message box")),
    Shortcut("edit_last", _MESSAGE, ("Ctrl+E",), QT_TRANSLATE_NOOP("Shortcuts", "Edit my last message")),
    Shortcut("stop", _ANSWER, ("Esc",), QT_TRANSLATE_NOOP("Shortcuts", "Stop the answer"), local=True),
    Shortcut("regenerate", _ANSWER, ("Ctrl+R",), QT_TRANSLATE_NOOP("Shortcuts", "Regenerate the last answer")),
    Shortcut("continue", _ANSWER, ("Ctrl+G",), QT_TRANSLATE_NOOP("Shortcuts", "Continue the answer")),
    Shortcut(
        "version_earlier",
        _ANSWER,
        ("Alt+Left",),
        QT_TRANSLATE_NOOP("Shortcuts", "Earlier version of the last answer"),
    ),
    Shortcut(
        "version_later", _ANSWER, ("Alt+Right",), QT_TRANSLATE_NOOP("Shortcuts", "Later version of the last answer")
    ),
    Shortcut("copy_last", _ANSWER, ("Ctrl+Shift+C",), QT_TRANSLATE_NOOP("Shortcuts", "Copy the last answer")),
    Shortcut("new_chat", _CHATS, ("Ctrl+N",), QT_TRANSLATE_NOOP("Shortcuts", "New chat")),
    Shortcut("chat_previous", _CHATS, ("Ctrl+PgUp",), QT_TRANSLATE_NOOP("Shortcuts", "Previous chat")),
    Shortcut("chat_next", _CHATS, ("Ctrl+PgDown",), QT_TRANSLATE_NOOP("Shortcuts", "Next chat")),
    Shortcut("filter_chats", _CHATS, ("Ctrl+F",), QT_TRANSLATE_NOOP("Shortcuts", "Filter chats, or search models")),
    Shortcut("rename_chat", _CHATS, ("F2",), QT_TRANSLATE_NOOP("Shortcuts", "Rename the chat"), local=True),
    Shortcut("trash_chat", _CHATS, ("Del",), QT_TRANSLATE_NOOP("Shortcuts", "Move the chat to the trash"), local=True),
    Shortcut(
        "undo_trash", _CHATS, ("Ctrl+Z",), QT_TRANSLATE_NOOP("Shortcuts", "Get it back out of the trash"), local=True
    ),
    Shortcut("chat_menu", _CHATS, ("Shift+F10",), QT_TRANSLATE_NOOP("Shortcuts", "Menu of the chat"), local=True),
    Shortcut("page_chat", _WINDOW, ("Ctrl+1",), QT_TRANSLATE_NOOP("Shortcuts", "Show the chat")),
    Shortcut("page_models", _WINDOW, ("Ctrl+2",), QT_TRANSLATE_NOOP("Shortcuts", "Show the models")),
    Shortcut("open_model", _WINDOW, ("Ctrl+O",), QT_TRANSLATE_NOOP("Shortcuts", "Open a model file")),
    Shortcut("page_settings", _WINDOW, ("Ctrl+,",), QT_TRANSLATE_NOOP("Shortcuts", "Settings")),
    Shortcut("page_help", _WINDOW, ("F1",), QT_TRANSLATE_NOOP("Shortcuts", "Help")),
    Shortcut("shortcuts", _WINDOW, ("Ctrl+/",), QT_TRANSLATE_NOOP("Shortcuts", "This list of keys")),
    Shortcut("sidebar", _WINDOW, ("Ctrl+B",), QT_TRANSLATE_NOOP("Shortcuts", "Show or hide the sidebar")),
    Shortcut("next_part", _WINDOW, ("F6",), QT_TRANSLATE_NOOP("Shortcuts", "Next part of the window")),
    Shortcut("text_larger", _WINDOW, ("Ctrl++", "Ctrl+="), QT_TRANSLATE_NOOP("Shortcuts", "Larger text")),
    Shortcut("text_smaller", _WINDOW, ("Ctrl+-",), QT_TRANSLATE_NOOP("Shortcuts", "Smaller text")),
    Shortcut("text_normal", _WINDOW, ("Ctrl+0",), QT_TRANSLATE_NOOP("Shortcuts", "Normal text size")),
    Shortcut("quit", _WINDOW, ("Ctrl+Q",), QT_TRANSLATE_NOOP("Shortcuts", "Quit")),
)


def add_actions(window: QWidget, slots: Mapping[str, Callable[[], object]]) -> None:
    """Give a window an action for every key; one without a slot is handled by its own widget, as Enter is."""
    for shortcut in SHORTCUTS:
        slot = slots.get(shortcut.id)
        if slot is None:
            continue
        action = QAction(shortcut.label(), window)
        action.setObjectName(shortcut.id)
        action.setShortcuts([QKeySequence(key) for key in shortcut.keys])
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(slot)
        window.addAction(action)
