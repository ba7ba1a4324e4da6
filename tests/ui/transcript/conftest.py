"""A transcript on an invisible screen, and messages to put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.errors import UserError
from app.core.messages import (
    ConversationId,
    Message,
    MessageId,
    MessageState,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    Usage,
)
from app.core.tree import MessageItem, VersionPosition
from app.ui.theme import apply_theme
from app.ui.transcript import TranscriptView

USAGE = Usage(512, 128, 230, prompt_ms=800.0, generation_ms=6_000.0, first_token_ms=640.0)


def item(
    message_id: str,
    role: Role,
    text: str,
    *,
    reasoning: str = "",
    state: MessageState = MessageState.COMPLETE,
    error: UserError | None = None,
    usage: Usage | None = None,
    version: tuple[int, int] = (0, 1),
) -> MessageItem:
    parts: tuple[Part, ...] = (TextPart(text),)
    if reasoning:
        parts = (ReasoningPart(reasoning), *parts)
    message = Message(
        MessageId(message_id),
        ConversationId("c"),
        None,
        role,
        parts,
        state,
        model_name="Testing 1B" if role is Role.ASSISTANT else None,
        usage=usage,
        error=error.to_json() if error else None,
    )
    return MessageItem(message, VersionPosition(*version))


def question(message_id: str, text: str, version: tuple[int, int] = (0, 1)) -> MessageItem:
    return item(message_id, Role.USER, text, version=version)


def answer(message_id: str, text: str, **details: object) -> MessageItem:
    return item(message_id, Role.ASSISTANT, text, **details)


def streaming(message_id: str) -> MessageItem:
    return answer(message_id, "", state=MessageState.STREAMING)


def many(count: int) -> list[MessageItem]:
    paragraph = "The quick brown fox jumps over the lazy dog. " * 8
    words = f"{paragraph}\n\n{paragraph}"
    return [
        answer(f"m{i}", f"Answer {i}\n\n{words}") if i % 2 else question(f"m{i}", f"Question {i}") for i in range(count)
    ]


@pytest.fixture
def light(qapp: QApplication) -> Iterator[None]:
    apply_theme(qapp, "light", 100)
    yield
    apply_theme(qapp, "light", 100)


@pytest.fixture
def view(qtbot: QtBot, light: None) -> TranscriptView:
    transcript = TranscriptView()
    qtbot.addWidget(transcript)
    transcript.resize(900, 700)
    with qtbot.waitExposed(transcript):
        transcript.show()
    QTest.mouseMove(transcript.verticalScrollBar())  # the mouse rests where no message is
    return transcript


@pytest.fixture
def settle(qtbot: QtBot, view: TranscriptView) -> Callable[[], None]:
    """Wait until formulas are drawn, code is coloured and the neighbours are made."""

    def wait() -> None:
        qtbot.waitUntil(lambda: view.is_settled, timeout=5_000)

    return wait
