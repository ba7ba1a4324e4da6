"""Starting, a second start, quitting in the middle, and coming back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QObject, Qt
from pytestqt.qtbot import QtBot

from app.core.messages import MessageState
from app.single_instance import SingleInstance
from tests.ui.window.conftest import OpenWindow, quit_hearth
from tests.ui.window.person import CONTROL

SLOW = {"text": "word ", "repeat": 10_000, "tokens_per_second": 200}
Key = Qt.Key
ROOT = Path(__file__).resolve().parents[3]


def test_typing_and_enter_at_once_after_the_start(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "hello"}], wait=False)
    assert not person.profile.store.is_open
    person.say("quick fingers")
    assert person.texts == ["quick fingers", "hello"]
    person.wait(lambda: person.chats == ["Quick fingers"])


def test_typing_at_once_keeps_the_new_chat_although_the_last_one_would_come_back(open_window: OpenWindow) -> None:
    first = open_window(answers=[{"text": "hello"}])
    first.say("first chat")
    quit_hearth(first.window, first.profile)
    person = open_window(answers=[{"text": "hello"}], wait=False)
    person.type("quick fingers")
    person.wait(lambda: person.profile.store.is_open and person.profile.models.info is not None)
    person.qtbot.wait(300)
    assert person.written == "quick fingers"
    assert person.shown == []


def test_the_last_chat_and_the_window_come_back(open_window: OpenWindow) -> None:
    first = open_window(answers=[{"text": "hello"}])
    first.say("first chat")
    first.press(Key.Key_B, CONTROL)
    assert first.window.sidebar.isHidden()
    quit_hearth(first.window, first.profile)
    again = open_window(answers=[{"text": "hello"}])
    again.wait(lambda: again.texts == ["first chat", "hello"])
    assert again.window.sidebar.isHidden()
    assert again.window.windowTitle() == "First chat – Hearth"


def test_quitting_while_an_answer_streams_keeps_the_words(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.say_and_wait_for_words("go")
    words = person.answer.text
    pid = person.profile.engine.pid
    quit_hearth(person.window, person.profile)
    assert pid is not None
    assert not psutil.pid_exists(pid)
    again = open_window(answers=[SLOW])
    again.wait(lambda: len(again.shown) == 2)
    assert again.answer.state is MessageState.INTERRUPTED
    assert again.answer.text.startswith(words)
    assert "Hearth was ended" in again.card.title
    kept = again.answer.text
    again.click("Continue")
    again.wait(lambda: again.is_streaming and len(again.answer.text) > len(kept) + 20)


def test_quitting_right_after_enter_loses_nothing(open_window: OpenWindow) -> None:
    person = open_window(answers=[SLOW])
    person.send("go")
    quit_hearth(person.window, person.profile)
    again = open_window(answers=[SLOW])
    again.wait(lambda: "go" in (*again.texts, again.written))


def test_quitting_right_after_typing_keeps_the_draft(open_window: OpenWindow) -> None:
    person = open_window()
    person.type("half a thought")
    quit_hearth(person.window, person.profile)
    again = open_window()
    again.wait(lambda: again.written == "half a thought")


@pytest.mark.logs_warnings
def test_a_second_start_raises_the_window_and_hands_over_its_file(open_window: OpenWindow, qtbot: QtBot) -> None:
    person = open_window()
    folder = person.profile.paths.data
    owner = QObject()
    first = SingleInstance(folder, owner)
    assert first.acquire()
    first.raised.connect(person.window.come_to_front)
    person.window.showMinimized()
    for files in ([], ["/absent.gguf"]):
        command = [sys.executable, "-m", "app", "--data-dir", str(folder), *files]
        with subprocess.Popen(command, cwd=ROOT) as second:
            qtbot.waitUntil(lambda second=second: second.poll() is not None, timeout=20_000)
        assert second.returncode == 0
        assert not person.window.isMinimized()
    person.wait(lambda: "no longer there" in person.card_text)
    first.release()
