"""A model that nobody uses gives its memory back, and comes when it is wanted. A real child plays the engine."""

from __future__ import annotations

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.core.messages import MessageState
from app.services import rest
from app.services.profile import Profile
from tests.services.conftest import WAIT_MS, StartProfile

IDLE_MS = 300


@pytest.fixture
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "MINUTE_MS", IDLE_MS // 15)


@pytest.fixture
def resting(qtbot: QtBot, start_profile: StartProfile, short_minutes: None) -> Profile:
    """A profile whose model has gone to rest."""
    profile = start_profile(answers=[{"text": "Hello there."}])
    pid = profile.engine.pid
    assert pid is not None
    with qtbot.waitSignal(profile.models.unloaded, timeout=WAIT_MS):
        pass
    qtbot.waitUntil(lambda: not psutil.pid_exists(pid), timeout=WAIT_MS)
    return profile


def test_the_process_is_gone_and_no_crash_is_told(resting: Profile) -> None:
    assert not resting.engine.is_running
    assert resting.models.info is None
    assert not resting.models.is_loading


def test_the_next_message_loads_again_and_is_answered(qtbot: QtBot, resting: Profile) -> None:
    with qtbot.waitSignal(resting.chat.answers.ended, timeout=WAIT_MS) as ended:
        resting.chat.send("hello")
    message = ended.args[1]
    assert (message.text, message.state) == ("Hello there.", MessageState.COMPLETE)


def test_typing_loads_again(qtbot: QtBot, resting: Profile) -> None:
    with qtbot.waitSignal(resting.models.loaded, timeout=WAIT_MS):
        resting.chat.keep_draft("h")


def test_settings_and_deleted_chats_do_not_load_it(qtbot: QtBot, resting: Profile) -> None:
    resting.settings.set_value("model.threads", 3)
    resting.models.forget_conversations(())
    qtbot.wait(1_500)
    assert resting.models.info is None
    assert not resting.engine.is_running, "a child that had only something to forget rests as well"


@pytest.mark.usefixtures("short_minutes")
def test_nothing_rests_while_an_answer_is_written(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(answers=[{"text": "word ", "repeat": 40, "tokens_per_second": 20}])
    unloaded: list[bool] = []
    profile.models.unloaded.connect(lambda: unloaded.append(True))
    with qtbot.waitSignal(profile.chat.answers.ended, timeout=WAIT_MS) as ended:
        profile.chat.send("hello")
    assert ended.args[1].state is MessageState.COMPLETE
    assert not unloaded


@pytest.mark.usefixtures("short_minutes")
def test_nothing_rests_while_a_person_types(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile()
    for length in range(1, 12):
        profile.chat.keep_draft("x" * length)
        qtbot.wait(IDLE_MS // 3)
    assert profile.models.info is not None


@pytest.mark.usefixtures("short_minutes")
def test_zero_minutes_mean_never(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(wait=False)
    profile.settings.set_value("model.idle_minutes", 0)
    qtbot.waitUntil(lambda: profile.models.info is not None, timeout=WAIT_MS)
    qtbot.wait(3 * IDLE_MS)
    assert profile.models.info is not None
