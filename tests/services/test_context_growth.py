"""A chat that outgrows the context: a real database, a real child, a real model."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.events import PromptStarted
from app.core.messages import MessageState
from app.services.explain_devices import plan_sentence
from app.services.open_chat import OpenChat
from app.services.profile import Profile
from app.services.refusal import Refusal
from tests.fixtures import tiny_gguf as tiny
from tests.services.conftest import WAIT_MS

TEXT = "the cat sat on the world and on the cat " * 190  # some 2,500 tokens


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [tiny.byte_token(text) for text in ("\n", " cat", " sat", " on")]
    return tiny.write_model(
        tmp_path_factory.mktemp("models") / "long.gguf",
        tiny.bpe_vocabulary(),
        template=tiny.CHATML,
        context_length=32_768,
        successors=tiny.chain(*words),
    )


@pytest.fixture
def profile(qtbot: QtBot, build: Callable[..., Profile], model: Path) -> Profile:
    running = build()
    running.start(str(model))
    qtbot.waitUntil(lambda: running.store.is_open and running.models.info is not None, timeout=WAIT_MS)
    return running


class Talk:
    """A chat with the profile, and what the engine said of each prompt."""

    def __init__(self, qtbot: QtBot, profile: Profile) -> None:
        self._qtbot = qtbot
        self._profile = profile
        self.prompts: list[PromptStarted] = []
        self.noticed: list[str] = []
        self.failures: list[object] = []
        profile.chat.answers.prompt_started.connect(self._on_prompt_started)
        profile.chat.answers.noticed.connect(self.noticed.append)
        profile.models.load_failed.connect(self.failures.append)
        profile.chat.refused.connect(self._on_refused)

    def _on_prompt_started(self, chat: OpenChat, event: PromptStarted) -> None:
        self.prompts.append(event)

    def _on_refused(self, chat: OpenChat, refusal: Refusal) -> None:
        self.failures.append(refusal)

    def say(self, text: str) -> None:
        with self._qtbot.waitSignal(self._profile.chat.answers.ended, timeout=WAIT_MS):
            self._profile.chat.send(text)
        assert self._profile.chat.current.items()[-1].message.state is MessageState.COMPLETE


def test_a_chat_goes_on_in_a_longer_context(qtbot: QtBot, profile: Profile) -> None:
    assert profile.models.info is not None
    assert (profile.models.info.context_length, profile.models.info.context_length_limit) == (8_192, 32_768)
    assert "more when a chat needs it, up to 32,768" in plan_sentence(profile.models.info, ())
    talk = Talk(qtbot, profile)
    grown: list[object] = []
    profile.models.context_grown.connect(grown.append)
    for number in range(4):
        talk.say(f"{number} {TEXT}")
    assert [prompt.first_visible_id for prompt in talk.prompts] == [None] * 4
    assert talk.prompts[-1].prompt_tokens > 8_192
    assert all(now.reused_tokens >= before.prompt_tokens for before, now in pairwise(talk.prompts))
    assert profile.models.info.context_length == 16_384
    assert grown == [profile.models.info]
    assert profile.settings.integer("model.context_length") == 0
    assert (talk.noticed, talk.failures) == ([], [])


def test_a_length_that_the_person_chose_stays(qtbot: QtBot, profile: Profile) -> None:
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.models.use_context_length(4_096)
    talk = Talk(qtbot, profile)
    for number in range(3):
        talk.say(f"{number} {TEXT}")
    assert talk.prompts[-1].first_visible_id is not None
    assert profile.models.info is not None
    assert (profile.models.info.context_length, profile.models.info.context_length_limit) == (4_096, 0)
