"""Every control has a name and a place in the tab order; no text is cut off, whatever its size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.events import Device
from app.core.library import LibraryModel, Owner
from app.core.messages import Conversation, ConversationId
from app.core.settings import read_settings
from app.services.explain import explain
from app.ui.buttons import Button
from app.ui.cards import ErrorCard
from app.ui.composer import Composer
from app.ui.crash_window import CrashWindow
from app.ui.model_button import ModelButton
from app.ui.models.library_view import LibraryView
from app.ui.notices import NoticeArea
from app.ui.pages.help_page import HelpPage
from app.ui.pages.settings_page import SettingsPage
from app.ui.pages.trash_page import TrashPage
from app.ui.shortcuts_sheet import KeyCap, ShortcutsSheet
from app.ui.sidebar import Sidebar
from app.ui.theme import apply_theme
from app.ui.welcome import Welcome
from tests.ui.shell.values import NOW, TOPICS, BackupValue, ModelValue

CONTROLS = (
    QAbstractButton, QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QTextEdit,
)  # fmt: skip
MEMORY = UserError(
    ErrorKind.NOT_ENOUGH_MEMORY,
    path="/x.gguf",
    needed_bytes=5_800_000_000,
    free_bytes=3_000_000_000,
    context_length=8192,
    suggested_context_length=2048,
)
LONG_NAME = "DeepSeek-R1-Distill-Qwen-14B-uncensored-and-then-some-more-words"


def sidebar() -> QWidget:
    widget = Sidebar()
    for page in ("models", "trash", "settings", "help"):
        widget.add_page(page, page.title())
    chats = [Conversation(ConversationId(str(n)), f"Chat {n} " * 10, updated_at=NOW) for n in range(5)]
    widget.set_conversations(chats, NOW.date(), set())
    return widget


def composer() -> QWidget:
    widget = Composer()
    widget.set_context(3_900, 4_096)
    widget.show_error(explain(MEMORY))
    return widget


def settings() -> QWidget:
    widget = SettingsPage()
    widget.set_values(read_settings({}))
    widget.set_devices([Device("CPU", "Some Processor " * 5, "cpu", 1, 2)], "AVX2 = 1 | " * 10)
    widget.set_data_folder("/home/anna/" + "folder/" * 20)
    widget.set_backups([BackupValue()] * 5)
    for button in widget.findChildren(Button):
        if button.text() == "More":
            button.click()
    return widget


def help_() -> QWidget:
    widget = HelpPage()
    widget.set_topics(TOPICS)
    return widget


def models() -> QWidget:
    widget = LibraryView()
    path = "/models/" + LONG_NAME + ".gguf"
    widget.set_models([LibraryModel(path, LONG_NAME, Owner.HEARTH, (path,), 4_370_000_000, "llama")], None)
    widget.list.opened.emit(path)
    return widget


def trash() -> QWidget:
    widget = TrashPage()
    widget.set_conversations([Conversation(ConversationId("c"), "Chat", deleted_at=NOW)], NOW)
    return widget


def model_button() -> QWidget:
    widget = ModelButton()
    widget.set_models([ModelValue("/a.gguf", "A")], "/a.gguf")
    widget.set_loading(0.4)
    return widget


def notice() -> QWidget:
    widget = NoticeArea()
    widget.show_notice("“A rather long title of a chat” was moved to the trash.", "Undo", print)
    return widget


MAKERS: list[Callable[[], QWidget]] = [
    sidebar, composer, settings, help_, models, trash, model_button, notice, Welcome, ShortcutsSheet,
    lambda: CrashWindow("report\n" * 100), lambda: ErrorCard(explain(MEMORY)),
]  # fmt: skip
NAMES = [
    "sidebar", "composer", "settings", "help", "models", "trash", "model button", "notice", "welcome", "sheet",
    "crash window", "card",
]  # fmt: skip


def shown(qtbot: QtBot, make: Callable[[], QWidget], width: int, height: int) -> QWidget:
    widget = make()
    qtbot.addWidget(widget)
    widget.resize(width, height)
    with qtbot.waitExposed(widget):
        widget.show()
    QApplication.processEvents()
    return widget


def everything(widget: QWidget) -> list[QWidget]:
    return [w for w in [widget, *widget.findChildren(QWidget)] if w.isVisible()]


@pytest.mark.parametrize("make", MAKERS, ids=NAMES)
def test_every_control_has_a_name(qtbot: QtBot, make: Callable[[], QWidget]) -> None:
    widget = shown(qtbot, make, 540, 600)
    controls = [w for w in everything(widget) if isinstance(w, CONTROLS) and not w.objectName().startswith("qt_")]
    nameless = []
    for control in controls:
        if isinstance(control.parent(), (QAbstractSpinBox, QLineEdit, QComboBox)):
            continue  # an inner part of Qt's own
        interface = QAccessible.queryAccessibleInterface(control)
        if not interface.text(QAccessible.Text.Name).strip():
            nameless.append((type(control).__name__, control.parent()))
    assert not nameless


@pytest.mark.parametrize("make", MAKERS, ids=NAMES)
def test_every_control_can_be_reached_by_tab(qtbot: QtBot, make: Callable[[], QWidget]) -> None:
    widget = shown(qtbot, make, 540, 600)
    for control in everything(widget):
        inner = isinstance(control.parent(), (QAbstractSpinBox, QLineEdit, QComboBox))
        if isinstance(control, CONTROLS) and control.isEnabled() and not inner:
            assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, control


@pytest.mark.parametrize("percent", [100, 150, 200])
@pytest.mark.parametrize("make", MAKERS, ids=NAMES)
def test_no_text_is_cut_off(qtbot: QtBot, qapp: QApplication, make: Callable[[], QWidget], percent: int) -> None:
    apply_theme(qapp, "light", percent)
    widget = shown(qtbot, make, 540, 600)
    cut = []
    for part in everything(widget):
        if isinstance(part, QLabel) and part.text():
            if part.wordWrap():
                cut += [(part.text(), part.height())] if part.heightForWidth(part.width()) > part.height() else []
            elif part.sizePolicy().horizontalPolicy() != part.sizePolicy().Policy.Ignored:
                cut += [(part.text(), part.width())] if part.sizeHint().width() > part.width() else []
        elif isinstance(part, (Button, KeyCap)):
            needed = part.sizeHint()
            if needed.width() > part.width() or needed.height() > part.height():
                cut.append((str(part.accessibleName()), part.width()))
    assert not cut


@pytest.mark.parametrize("make", MAKERS, ids=NAMES)
def test_themes_and_sizes_change_while_shown(qtbot: QtBot, qapp: QApplication, make: Callable[[], QWidget]) -> None:
    widget = shown(qtbot, make, 540, 600)
    for theme, percent in (("dark", 100), ("dark", 200), ("light", 70)):
        apply_theme(qapp, theme, percent)
        QApplication.processEvents()
        assert not widget.grab().isNull()
