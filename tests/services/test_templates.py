"""The person's own chat template, through the services of a real profile and a real child."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.events import TemplateChecked
from app.core.template_check import TemplateFinding, TemplateFindingKind, named_template
from app.services.explain_template import explain_template
from app.services.profile import Profile
from tests.fixtures import tiny_gguf as tiny
from tests.services.conftest import WAIT_MS, StartProfile
from tests.services.person import settle_store

OWN = "{% for m in messages %}{{ m.content }}{% endfor %}>"


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "models" / "vicuna-7b.gguf"
    path.parent.mkdir()
    return str(tiny.write_model(path, tiny.spm_vocabulary(), template=None))


def load(qtbot: QtBot, profile: Profile, path: str) -> None:
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.models.load(path)
    settle_store(qtbot, profile)


def wait_for_template(qtbot: QtBot, profile: Profile, name: str) -> None:
    def is_used() -> bool:
        return profile.models.info is not None and profile.models.info.template == name

    qtbot.waitUntil(is_used, timeout=WAIT_MS)


def check(qtbot: QtBot, profile: Profile, path: str, template: str = "") -> TemplateChecked:
    with qtbot.waitSignal(profile.templates.checked, timeout=WAIT_MS) as done:
        number = profile.templates.check(path, template)
    (checked,) = done.args
    assert checked.request_id == number
    return checked


def test_an_own_template_is_used_at_once_and_after_a_restart_and_goes_with_one_call(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None], model: str
) -> None:
    profile = start_profile()
    load(qtbot, profile, model)
    profile.templates.save(model, OWN)
    assert profile.templates.template_of(model) == OWN
    wait_for_template(qtbot, profile, "own")
    settle_store(qtbot, profile)
    end_profile(profile)

    profile = start_profile()
    wait_for_template(qtbot, profile, "own")
    assert profile.models.current_path == model
    profile.templates.save(model, named_template("koala"))
    wait_for_template(qtbot, profile, "koala")
    profile.templates.restore(model)
    wait_for_template(qtbot, profile, "file")
    settle_store(qtbot, profile)
    end_profile(profile)

    profile = start_profile()
    wait_for_template(qtbot, profile, "file")
    assert profile.templates.template_of(model) == ""


def test_a_list_that_was_asked_for_before_a_choice_does_not_take_it_back(
    qtbot: QtBot, start_profile: StartProfile, model: str
) -> None:
    profile = start_profile()
    load(qtbot, profile, model)
    changes: list[str] = []
    profile.templates.changed.connect(changes.append)
    profile.models.templates.refresh()  # read before the choice is stored, told after it was made
    profile.templates.save(model, OWN)
    settle_store(qtbot, profile)
    assert profile.templates.template_of(model) == OWN
    assert changes == [model]


def test_the_template_of_another_file_leaves_the_loaded_model_alone(
    qtbot: QtBot, start_profile: StartProfile, model: str
) -> None:
    profile = start_profile()
    load(qtbot, profile, model)
    with qtbot.assertNotEmitted(profile.models.load_started, wait=1_500):
        profile.templates.save("/somewhere/else.gguf", OWN)


def test_what_is_found_is_told_in_words(qtbot: QtBot, start_profile: StartProfile, model: str) -> None:
    profile = start_profile()
    checked = check(qtbot, profile, model)
    assert checked.used == "vicuna"
    verdict = explain_template(checked)
    assert not verdict.is_usable
    assert "no chat template" in verdict.summary
    assert "vicuna" in verdict.summary

    broken = explain_template(check(qtbot, profile, model, "\n{% nonsense %}"))
    assert not broken.is_usable
    assert "Line 2" in broken.summary
    assert "vicuna" in broken.summary

    mine = explain_template(check(qtbot, profile, model, OWN))
    assert mine.is_usable
    assert any("tools" in note for note in mine.notes)


@pytest.mark.parametrize("kind", TemplateFindingKind)
def test_every_finding_has_words(kind: TemplateFindingKind) -> None:
    finding = TemplateFinding(kind, "tools", "It says no", 7)
    verdict = explain_template(TemplateChecked(1, "file", "chatml", "x", (finding,), ()))
    assert verdict.is_usable is not kind.makes_unusable
    assert bool(verdict.notes) is not kind.makes_unusable
    text = " ".join((verdict.summary, *verdict.notes))
    assert ("Line 7: It says no." in text) is (kind.value in ("fails", "fails_on"))
    assert ("chatml" in text) is kind.makes_unusable


def test_a_file_that_cannot_be_read_and_an_engine_that_dies_are_told(qtbot: QtBot, start_profile: StartProfile) -> None:
    profile = start_profile()
    with qtbot.waitSignal(profile.templates.check_failed, timeout=WAIT_MS) as failed:
        number = profile.templates.check("/nowhere.gguf")
    assert failed.args == [number, UserError(ErrorKind.FILE_MISSING, path="/nowhere.gguf")]
    with qtbot.waitSignal(profile.templates.check_failed, timeout=WAIT_MS) as failed:
        number = profile.templates.check("", "{{ 'x' }}" * 1_000_000)
        profile.engine._kill(UserError(ErrorKind.ENGINE_UNRESPONSIVE))
    assert failed.args[0] == number
