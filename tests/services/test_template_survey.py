"""The templates of all models in the library are looked at in the background, over a real profile and real children."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.core.events import TemplateChecked
from app.core.template_check import TemplateState
from app.services import template_survey
from app.services.explain_template import state_words
from app.services.profile import Profile
from tests.fixtures import tiny_gguf as tiny
from tests.services.conftest import WAIT_MS, StartProfile

OWN = "{% for m in messages %}{{ m.content }}{% endfor %}>"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_survey, "START_DELAY_MS", 20)
    monkeypatch.setattr(template_survey, "TELL_MS", 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def write(folder: Path, name: str, template: str | None) -> str:
    """A model of a family that talks ChatML."""
    path = folder / f"{name}.gguf"
    return str(tiny.write_model(path, tiny.bpe_vocabulary(), architecture="qwen2", template=template))


def found(profile: Profile) -> dict[str, tuple[TemplateState, str]]:
    return {Path(m.path).stem: (m.template_state, m.template_used) for m in profile.library.models}


def wait_until_known(qtbot: QtBot, profile: Profile, count: int) -> None:
    def is_known() -> bool:
        profile.library.refresh()  # of good ones nothing is told by itself
        states = [state for state, _ in found(profile).values()]
        return len(states) == count and TemplateState.UNKNOWN not in states

    qtbot.waitUntil(is_known, timeout=WAIT_MS)


def test_every_template_is_looked_at_once(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None], folder: Path
) -> None:
    write(folder, "good", tiny.CHATML)
    write(folder, "none", None)
    broken = write(folder, "broken", "{% if %}")
    profile = start_profile()
    with qtbot.waitSignal(profile.survey.ended, timeout=WAIT_MS):
        profile.library.add_folder(str(folder))
    wait_until_known(qtbot, profile, 3)
    assert found(profile) == {
        "good": (TemplateState.GOOD, ""),
        "none": (TemplateState.MISSING, "chatml"),
        "broken": (TemplateState.REPLACED, "chatml"),
    }
    words = {Path(model.path).stem: state_words(model) for model in profile.library.models}
    assert words == {
        "good": "",
        "none": "no chat template: uses chatml",
        "broken": "chat template repaired: uses chatml",
    }
    end_profile(profile)

    profile.paths.survey_log.unlink()
    profile = start_profile()
    qtbot.waitUntil(lambda: len(profile.library.models) == 3, timeout=WAIT_MS)
    with qtbot.waitSignal(profile.library.scanned, timeout=WAIT_MS):
        profile.library.scan()
    qtbot.wait(200)
    assert found(profile)["none"] == (TemplateState.MISSING, "chatml")
    assert not profile.paths.survey_log.exists(), "a child was started although all is known"

    write(folder, "broken", tiny.CHATML)
    os.utime(broken, ns=(1, 10**18))
    with qtbot.waitSignal(profile.survey.ended, timeout=WAIT_MS):
        profile.library.scan()
    wait_until_known(qtbot, profile, 3)
    assert found(profile)["broken"] == (TemplateState.GOOD, "")


def test_a_list_does_not_tell_of_templates_that_are_not_used(
    qtbot: QtBot, start_profile: StartProfile, folder: Path
) -> None:
    path = write(folder, "none", None)
    profile = start_profile()
    with qtbot.waitSignal(profile.survey.ended, timeout=WAIT_MS):  # it waits until the library rests
        profile.library.add_folder(str(folder))
    wait_until_known(qtbot, profile, 1)
    profile.templates.save(path, OWN)
    qtbot.waitUntil(lambda: found(profile) == {"none": (TemplateState.GOOD, "")}, timeout=WAIT_MS)
    profile.templates.restore(path)
    qtbot.waitUntil(lambda: found(profile) == {"none": (TemplateState.MISSING, "chatml")}, timeout=WAIT_MS)


def survey_child(profile: Profile) -> psutil.Process | None:
    children = psutil.Process().children()
    return next((child for child in children if "--idle" in child.cmdline()), None)


@pytest.mark.skipif(sys.platform == "win32", reason="a process is stopped by a signal")
def test_a_template_that_ends_the_child_is_told_and_the_others_are_looked_at(
    qtbot: QtBot, start_profile: StartProfile, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        write(folder, name, tiny.CHATML)
    profile = start_profile()
    killed: list[int] = []

    def kill_the_second(event: object) -> None:
        child = survey_child(profile)
        if isinstance(event, TemplateChecked) and child is not None and not killed:
            assert "none" in child.cmdline(), "it needs no engine, and touches no driver"
            killed.append(child.nice())
            child.send_signal(signal.SIGKILL)

    profile.survey._child.event_received.connect(kill_the_second)
    with qtbot.waitSignal(profile.survey.ended, timeout=WAIT_MS):
        profile.library.add_folder(str(folder))
    wait_until_known(qtbot, profile, 3)
    assert killed == [19], "it gives way to others"
    assert sorted(state for state, _ in found(profile).values()) == ["deadly", "good", "good"]
    assert profile.models.info is not None, "the engine that answers is another"


def test_nothing_is_left_behind_at_the_end(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None], folder: Path
) -> None:
    for number in range(30):
        write(folder, f"m{number}", None)
    profile = start_profile()
    profile.library.add_folder(str(folder))
    qtbot.waitUntil(lambda: survey_child(profile) is not None, timeout=WAIT_MS)
    end_profile(profile)
    assert survey_child(profile) is None
