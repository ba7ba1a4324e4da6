"""Which model answers, through the services and a real child that plays from a script."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.events import Counted
from app.engine import protocol
from app.engine.attempts import AttemptKind
from app.engine.protocol import Count
from app.services.profile import Profile
from tests.services.conftest import WAIT_MS, StartProfile

BROKEN = {"path": "broken", "error": {"kind": "corrupt", "details": {"reason": "made up"}}}
GOOD = {"path": "good", "name": "Good"}
BUILTIN = {"name": "Built in"}


def load(qtbot: QtBot, profile: Profile, path: str) -> None:
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.models.load(path)


@pytest.mark.logs_warnings
def test_a_broken_file_leaves_the_model_before(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(loads=[BROKEN, GOOD, BUILTIN])
    load(qtbot, profile, "/good.gguf")
    with qtbot.waitSignal(profile.models.load_failed, timeout=WAIT_MS) as failed:
        profile.models.load("/broken.gguf")
    assert failed.args == [UserError(ErrorKind.CORRUPT, reason="made up")]
    assert profile.models.current_path == "/good.gguf"
    assert profile.models.info is not None
    assert profile.models.info.name == "Good"
    assert not profile.models.is_loading


@pytest.mark.logs_warnings
def test_a_broken_file_at_the_start_gives_way_to_the_built_in_model(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(loads=[BROKEN, BUILTIN], model="/broken.gguf")
    assert profile.models.is_builtin
    assert profile.models.info is not None


@pytest.mark.logs_warnings
def test_when_nothing_loads_at_all_it_comes_to_an_end(qtbot: QtBot, start_profile: StartProfile) -> None:
    failures: list[UserError] = []
    everything = {"error": {"kind": "corrupt", "details": {"reason": "made up"}}}
    profile = start_profile(loads=[everything], wait=False, model="/any.gguf")
    profile.models.load_failed.connect(failures.append)
    qtbot.waitUntil(lambda: len(failures) == 2, timeout=WAIT_MS)
    qtbot.wait(300)
    assert len(failures) == 2
    assert profile.models.info is None


@pytest.mark.logs_warnings
def test_after_a_crash_a_broken_file_leads_back_to_the_model_before(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(loads=[BROKEN, GOOD, BUILTIN])
    load(qtbot, profile, "/good.gguf")
    assert profile.engine.pid is not None
    with qtbot.waitSignal(profile.models.unloaded, timeout=WAIT_MS):
        os.kill(profile.engine.pid, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    with qtbot.waitSignals([profile.models.load_failed, profile.models.loaded], timeout=WAIT_MS):
        profile.models.load("/broken.gguf")
    assert profile.models.current_path == "/good.gguf"


def test_a_file_that_kills_the_engine_is_not_tried_again_at_the_next_start(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    profile = start_profile(loads=[{"path": "deadly", "crash": {"exit_code": 3}}, GOOD, BUILTIN])
    load(qtbot, profile, "/good.gguf")
    with qtbot.waitSignals([profile.models.load_failed, profile.models.loaded], timeout=WAIT_MS):
        profile.models.load("/deadly.gguf")
    assert profile.models.current_path == "/good.gguf"
    end_profile(profile)
    again = start_profile(loads=[{"path": "deadly", "crash": {"exit_code": 3}}, GOOD, BUILTIN])
    assert again.models.current_path == "/good.gguf"


def test_a_file_that_makes_the_engine_hang_leads_back_to_the_model_before(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    profile = start_profile(loads=[{"path": "endless", "duration_ms": 60_000}, GOOD, BUILTIN])
    load(qtbot, profile, "/good.gguf")
    stalled = UserError(ErrorKind.LOAD_STALLED, path="/endless.gguf", seconds=120)
    with qtbot.waitSignal(profile.models.load_progressed, timeout=WAIT_MS):
        profile.models.load("/endless.gguf")
    failures: list[UserError] = []
    profile.models.load_failed.connect(failures.append)
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.engine._kill(stalled)  # as the watch does after two minutes
    assert failures == [stalled]
    assert profile.models.current_path == "/good.gguf"
    assert profile.models.info is not None


def test_the_last_model_comes_back_and_is_remembered_in_the_list(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    profile = start_profile(loads=[GOOD, BUILTIN])
    load(qtbot, profile, "/good.gguf")
    qtbot.waitUntil(lambda: [f.path for f in profile.models.files] == ["/good.gguf"], timeout=WAIT_MS)
    end_profile(profile)
    again = start_profile(loads=[GOOD, BUILTIN])
    assert again.models.current_path == "/good.gguf"
    qtbot.waitUntil(lambda: [f.path for f in again.models.files] == ["/good.gguf"], timeout=WAIT_MS)


def start_with_a_slow_last_model(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> Profile:
    """A second run, in the middle of loading the model of the first."""
    profile = start_profile(loads=[GOOD, BUILTIN])
    load(qtbot, profile, "/good.gguf")
    end_profile(profile)
    slow = start_profile(loads=[{"path": "good", "duration_ms": 60_000}, BUILTIN], wait=False)
    with qtbot.waitSignal(slow.models.load_progressed, timeout=WAIT_MS):
        pass
    return slow


def test_closing_the_window_while_the_last_model_is_loaded_does_not_lose_it(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    slow = start_with_a_slow_last_model(qtbot, start_profile, end_profile)
    end_profile(slow)
    again = start_profile(loads=[GOOD, BUILTIN])
    assert again.models.current_path == "/good.gguf"


def test_a_last_model_whose_load_was_cancelled_does_not_come_back(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    slow = start_with_a_slow_last_model(qtbot, start_profile, end_profile)
    with qtbot.waitSignal(slow.models.load_cancelled, timeout=WAIT_MS):
        slow.models.cancel_load()
    end_profile(slow)
    again = start_profile(loads=[GOOD, BUILTIN])
    assert again.models.is_builtin


def test_a_cancelled_load_keeps_the_model_before(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(loads=[{"path": "slow", "duration_ms": 60_000}, BUILTIN])
    with qtbot.waitSignal(profile.models.load_progressed, timeout=WAIT_MS):
        profile.models.load("/slow.gguf")
    with qtbot.waitSignal(profile.models.load_cancelled, timeout=WAIT_MS):
        profile.models.cancel_load()
    assert profile.models.is_builtin
    assert profile.models.info is not None


@pytest.mark.skipif(sys.platform == "win32", reason="processes cannot be held there")
def test_a_load_that_does_not_hear_that_another_is_wanted_is_no_fault_of_the_other(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    profile = start_profile(loads=[{"path": "deaf", "duration_ms": 60_000}, GOOD, BUILTIN])
    failures: list[UserError] = []
    profile.models.load_failed.connect(failures.append)
    with qtbot.waitSignal(profile.models.load_progressed, timeout=WAIT_MS):
        profile.models.load("/deaf.gguf")
    assert profile.engine.pid is not None
    os.kill(profile.engine.pid, signal.SIGSTOP)  # it is ended when it has not heard the stop for two seconds
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.models.load("/good.gguf")
    assert profile.models.info is not None
    assert profile.models.info.name == "Good"
    assert failures == []


def test_a_device_that_ends_the_engine_long_after_a_cancelled_load_is_remembered(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    gpu = {"name": "Vulkan0", "crash": {"exit_code": 3}}
    profile = start_profile(loads=[{"path": "slow", "duration_ms": 60_000}, BUILTIN], gpus=[gpu])
    with qtbot.waitSignal(profile.models.load_progressed, timeout=WAIT_MS):
        profile.models.load("/slow.gguf")
    with qtbot.waitSignal(profile.models.load_cancelled, timeout=WAIT_MS):
        profile.models.cancel_load()
    with qtbot.waitSignal(profile.engine.died, timeout=WAIT_MS):
        profile.engine.send(protocol.TestDevice(profile.engine.next_id(), "Vulkan0", ""))
    assert list(profile.models._journal.failed(AttemptKind.DEVICE)) == ["Vulkan0"]


@pytest.mark.logs_warnings
def test_a_model_that_made_room_for_one_that_did_not_come_is_loaded_again(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    slow = {"path": "slow", "duration_ms": 60_000, "replaces": True}
    profile = start_profile(loads=[slow, {**BROKEN, "replaces": True}, GOOD, BUILTIN])
    load(qtbot, profile, "/good.gguf")
    with qtbot.waitSignals(
        [profile.models.unloaded, profile.models.load_failed, profile.models.loaded], timeout=WAIT_MS
    ):
        profile.models.load("/broken.gguf")
    with qtbot.waitSignal(profile.models.load_progressed, timeout=WAIT_MS):
        profile.models.load("/slow.gguf")
    with qtbot.waitSignals([profile.models.load_cancelled, profile.models.loaded], timeout=WAIT_MS):
        profile.models.cancel_load()
    assert profile.models.current_path == "/good.gguf"
    assert not profile.models.is_loading


def test_a_cancelled_load_is_not_begun_again(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(loads=[{"path": "slow", "duration_ms": 1_000}, BUILTIN])
    load(qtbot, profile, "/slow.gguf")
    assert profile.engine.pid is not None
    with qtbot.waitSignal(profile.models.unloaded, timeout=WAIT_MS):
        os.kill(profile.engine.pid, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    with qtbot.waitSignal(profile.models.load_progressed, timeout=WAIT_MS):
        profile.models.ensure_loaded()
    with qtbot.waitSignals([profile.models.load_cancelled, profile.models.loaded], timeout=WAIT_MS):
        profile.models.cancel_load()
    assert profile.models.is_builtin


def test_another_context_length_loads_the_model_again(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile(loads=[BUILTIN])
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.settings.set_value("model.context_length", 2048)
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.models.use_context_length(1024)
    assert profile.settings.integer("model.context_length") == 1024


@pytest.mark.logs_warnings
def test_a_load_that_ends_although_another_was_wanted_is_known(qtbot: QtBot, start_profile: StartProfile) -> None:
    loads = [BROKEN, {"path": "first", "context_length": 1000}, {"context_length": 2000}]
    profile = start_profile(loads=loads)
    counted: list[Counted] = []
    profile.engine.event_received.connect(lambda event: counted.append(event) if isinstance(event, Counted) else None)
    for _ in range(10):
        load(qtbot, profile, "/builtin.gguf")
        profile.models.load("/first.gguf")
        with qtbot.waitSignal(profile.models.settled, timeout=WAIT_MS):
            profile.models.load("/broken.gguf")
        counted.clear()
        profile.engine.send(Count(profile.engine.next_id(), ()))
        qtbot.waitUntil(lambda: bool(counted), timeout=WAIT_MS)
        assert profile.models.info is not None
        assert profile.models.info.context_length == counted[0].context_length
