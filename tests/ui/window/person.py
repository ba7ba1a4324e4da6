"""A person at the real main window: types, clicks, drops, and looks at what is on the screen."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QListView, QPlainTextEdit, QTextEdit, QWidget
from pytestqt.qtbot import QtBot

from app.core.messages import Message, MessageState
from app.services.explain import Explanation
from app.services.profile import Profile
from app.ui.buttons import Button
from app.ui.cards import ErrorCard
from app.ui.conversation_list import ConversationListModel
from app.ui.main_window import MainWindow
from app.ui.sidebar import ConversationView

WAIT_MS = 20_000
CONTROL, SHIFT, ALT = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
)
NO_KEY = Qt.KeyboardModifier.NoModifier


class Person:
    """Acts by real key and mouse events; reads widgets and the database only to see what came of it."""

    def __init__(self, qtbot: QtBot, window: MainWindow, profile: Profile) -> None:
        self.qtbot = qtbot
        self.window = window
        self.profile = profile

    # -- hands

    @property
    def box(self) -> QPlainTextEdit:
        """The message box."""
        boxes = self.window.chat_page.composer.findChildren(QPlainTextEdit)
        return next(box for box in boxes if box.accessibleName() == "Message")

    def press(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = NO_KEY, times: int = 1) -> None:
        """Press a key wherever the keyboard is."""
        for _ in range(times):
            QTest.keyClick(QApplication.focusWidget() or self.window, key, modifiers)

    def type(self, text: str) -> None:
        """Type wherever the keyboard is."""
        QTest.keyClicks(QApplication.focusWidget() or self.window, text)

    def open_expert_models_settings(self) -> Any:
        """The page of settings, with what experts set about models in sight; by the keyboard alone."""
        self.press(Qt.Key.Key_Comma, CONTROL)
        page = self.page("settings")
        more = next(button for button in page.findChildren(Button) if button.accessibleName() == "More settings: Model")
        if not more.isChecked():
            more.setFocus()
            self.press(Qt.Key.Key_Space)
        return page

    def send(self, text: str) -> None:
        """Type into the message box and press Enter."""
        self.box.setFocus()
        QTest.keyClicks(self.box, text)
        self.press(Qt.Key.Key_Return)

    def paste(self, text: str) -> None:
        """Put a text on the clipboard and press Ctrl+V in the message box."""
        QGuiApplication.clipboard().setText(text)
        self.box.setFocus()
        self.press(Qt.Key.Key_V, CONTROL)

    def say(self, text: str) -> None:
        """Send a message and wait for the end of its answer."""
        with self.qtbot.waitSignal(self.profile.chat.answers.ended, timeout=WAIT_MS):
            self.send(text)

    def say_and_wait_for_words(self, text: str) -> None:
        """Send a message and wait until some words of the answer are on the screen."""
        self.send(text)
        self.wait(lambda: self.is_streaming and len(self.answer.text) > 10)

    def click(self, name: str, within: QWidget | None = None) -> None:
        """Click the button of this name."""
        QTest.mouseClick(self.button(name, within), Qt.MouseButton.LeftButton)

    def drop(self, path: Path) -> None:
        """Drop a file in the middle of the window."""
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        middle = self.window.rect().center()
        enter = QDragEnterEvent(QPoint(middle), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, NO_KEY)
        QApplication.sendEvent(self.window, enter)
        assert enter.isAccepted()
        drop = QDropEvent(QPointF(middle), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, NO_KEY)
        QApplication.sendEvent(self.window, drop)

    def choose_model(self, name: str) -> None:
        """Choose an entry of the model button's menu by its name."""
        next(a for a in self.model_actions() if a.text().replace("&&", "&").startswith(name)).trigger()

    def model_actions(self) -> list[QAction]:
        """The entries of the model button's menu."""
        menu = self.window.chat_page.model_button.menu()
        return [action for action in menu.actions() if not action.isSeparator()]

    def click_chat(self, title: str) -> None:
        """Click a chat in the sidebar."""
        view = self.chat_list
        model = view.model()
        rows = [model.index(row, 0) for row in range(model.rowCount())]
        index = next(i for i in rows if i.data() == title and i.flags() & Qt.ItemFlag.ItemIsEnabled)
        view.scrollTo(index)
        place = view.visualRect(index).center()
        QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, NO_KEY, place)

    # -- eyes

    def wait(self, done: Callable[[], bool], timeout_ms: int = WAIT_MS) -> None:
        """Let the window run until something is so."""
        self.qtbot.waitUntil(done, timeout=timeout_ms)

    def button(self, name: str, within: QWidget | None = None) -> QAbstractButton:
        """The one visible button of this text or accessible name, the lowest if there are several."""
        found = self.buttons(name, within)
        assert found, f"no button {name!r} among {[b.text() or b.accessibleName() for b in self.buttons()]}"
        return max(found, key=lambda b: b.mapTo(self.window, QPoint()).y())

    def buttons(self, name: str | None = None, within: QWidget | None = None) -> list[QAbstractButton]:
        """The visible buttons of a text or accessible name, or all."""
        every = [b for b in (within or self.window).findChildren(QAbstractButton) if b.isVisible()]
        return [b for b in every if name is None or name in (b.text(), b.accessibleName())]

    def sees_button(self, name: str) -> bool:
        """Whether a button of this name is on the screen."""
        return bool(self.buttons(name))

    @property
    def cards(self) -> list[Explanation]:
        """The error cards on the screen, in the transcript and above the message box."""
        return [card.explanation() for card in self.window.findChildren(ErrorCard) if card.isVisible()]

    @property
    def card(self) -> Explanation:
        """The only card on the screen."""
        (card,) = self.cards
        return card

    @property
    def card_text(self) -> str:
        """The words of the card above the message box; empty if there is none."""
        cards = [c for c in self.window.chat_page.composer.findChildren(ErrorCard) if c.isVisible()]
        return f"{cards[-1].explanation().title}. {cards[-1].explanation().text}" if cards else ""

    @property
    def notice(self) -> str:
        """The newest notice at the bottom; empty if there is none."""
        return (self.notices or [""])[-1]

    @property
    def notices(self) -> list[str]:
        """The notices on the screen, from top to bottom."""
        return self.window.notices.texts() if self.window.notices.isVisible() else []

    def page(self, name: str) -> Any:
        """A page of the window, made if it was not shown before."""
        return self.window.pages.page(name)

    @property
    def shown(self) -> list[Message]:
        """The messages in the transcript, with everything that has streamed in."""
        return [item.message for item in self.window.chat_page.transcript.items()]

    @property
    def texts(self) -> list[str]:
        """Their texts."""
        return [message.text for message in self.shown]

    @property
    def answer(self) -> Message:
        """The last message."""
        return self.shown[-1]

    @property
    def is_streaming(self) -> bool:
        """Whether the last message on the screen is still being written."""
        return bool(self.shown) and self.answer.state is MessageState.STREAMING

    @property
    def written(self) -> str:
        """What is in the message box."""
        return self.window.chat_page.composer.text()

    @property
    def chat_list(self) -> ConversationView:
        """The list of chats."""
        return self.window.sidebar.findChild(ConversationView)

    @property
    def chats(self) -> list[str]:
        """The titles in the sidebar, from top to bottom."""
        model = self.chat_list.model()
        assert isinstance(model, ConversationListModel)
        rows = [model.index(row, 0) for row in range(model.rowCount())]
        return [index.data() for index in rows if index.flags() & Qt.ItemFlag.ItemIsEnabled]

    @property
    def model_name(self) -> str:
        """The words on the model button."""
        return self.window.chat_page.model_button.text()

    def stored(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the database file, read by another connection."""
        with closing(sqlite3.connect(self.profile.paths.database, timeout=5)) as connection:
            return connection.execute(statement).fetchall()

    def is_edit(self, widget: QWidget | None) -> bool:
        """Whether a widget is one to write in."""
        return isinstance(widget, QPlainTextEdit | QTextEdit)

    def is_list(self, widget: QWidget | None) -> bool:
        """Whether a widget is a list."""
        return isinstance(widget, QListView)
