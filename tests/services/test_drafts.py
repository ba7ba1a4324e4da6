"""Which draft model guesses for which model file, through the services and a real child that plays from a script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.core.errors import UserError
from app.core.events import ModelInfo
from app.core.library import LibraryModel, Owner
from app.engine.attempts import Attempt, AttemptKind
from app.services.file_choices import FileChoices
from app.services.model_files import likely_drafts
from app.services.models import ModelService
from app.services.profile import Profile
from tests.services.conftest import WAIT_MS, StartProfile

GOOD = {"path": "good", "name": "Good"}
SMALL = {"path": "small", "name": "Small"}
BUILTIN = {"name": "Built in"}


def load(qtbot: QtBot, profile: Profile, path: str) -> None:
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.models.load(path)


def choose(qtbot: QtBot, models: ModelService, draft: str) -> dict[str, Any]:
    """Choose a draft model; returns what the plan says of it."""
    with qtbot.waitSignal(models.loaded, timeout=WAIT_MS):
        models.choose_draft(draft)
    assert models.info is not None
    found = models.info.plan.get("draft", {})
    assert isinstance(found, dict)
    return found


def test_each_model_file_has_a_draft_model_of_its_own(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    profile = start_profile(loads=[GOOD, SMALL, BUILTIN])
    load(qtbot, profile, "/good.gguf")
    assert profile.models.draft == ""
    assert choose(qtbot, profile.models, "/small.gguf")["name"] == "Small"
    assert profile.models.draft == "/small.gguf"
    load(qtbot, profile, "/other.gguf")
    assert profile.models.draft == ""
    assert profile.models.info is not None
    assert "draft" not in profile.models.info.plan
    end_profile(profile)
    again = start_profile(loads=[GOOD, SMALL, BUILTIN])
    load(qtbot, again, "/good.gguf")
    assert again.models.draft == "/small.gguf"
    assert choose(qtbot, again.models, "") == {}
    assert again.settings.string("model.file_drafts") == ""


def test_a_draft_model_that_cannot_be_used_is_told_of(qtbot: QtBot, start_profile: StartProfile) -> None:
    broken = {"path": "broken", "error": {"kind": "file_missing", "details": {}}}
    profile = start_profile(loads=[broken, BUILTIN])
    told: list[str] = []
    profile.models.noticed.connect(told.append)
    assert choose(qtbot, profile.models, "/broken.gguf") == {}
    assert "“broken.gguf” is not used" in told[-1]
    assert profile.models.draft == "/broken.gguf"  # the file may come back


def test_what_was_told_of_a_load_is_not_told_again_after_a_rest_and_taken_back_when_it_is_over(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    broken = {"path": "broken", "error": {"kind": "file_missing", "details": {}}}
    profile = start_profile(loads=[broken, GOOD, BUILTIN])
    models = profile.models
    told: list[str] = []
    taken_back: list[str] = []
    models.noticed.connect(told.append)
    models.notice_withdrawn.connect(taken_back.append)
    choose(qtbot, models, "/broken.gguf")
    for _ in range(2):
        qtbot.waitUntil(lambda: not profile.engine.is_busy, timeout=WAIT_MS)
        models.rest()
        assert models.info is None
        with qtbot.waitSignal(models.loaded, timeout=WAIT_MS):
            models.wake()
    assert (len(told), taken_back) == (1, [])
    load(qtbot, profile, models.current_path)
    assert len(told) == 2  # a person who loads it again may want to know
    choose(qtbot, models, "")
    assert (len(told), taken_back) == (2, told[:1])


def test_a_draft_model_that_ends_the_engine_is_left_out_until_it_is_chosen_again(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    profile = start_profile(loads=[{"path": "deadly", "crash": {"exit_code": 3}}, GOOD, BUILTIN])
    load(qtbot, profile, "/good.gguf")
    told: list[str] = []
    failures: list[UserError] = []
    deaths: list[UserError] = []
    profile.models.noticed.connect(told.append)
    profile.models.load_failed.connect(failures.append)
    profile.engine.died.connect(deaths.append)
    for times in (1, 2):
        assert choose(qtbot, profile.models, "/deadly.gguf") == {}
        assert profile.models.current_path == "/good.gguf"
        assert "it stopped the engine the last time" in told[-1]
        assert len(deaths) == times
    assert failures == []
    load(qtbot, profile, "/good.gguf")
    assert len(deaths) == 2


def test_to_have_no_draft_model_does_not_let_a_driver_try_again_that_ended_the_engine(
    qtbot: QtBot, start_profile: StartProfile
) -> None:
    profile = start_profile(loads=[GOOD, SMALL, BUILTIN])
    journal = profile.models._journal
    crashed = Attempt(AttemptKind.BACKEND, "vulkan")
    journal._change(lambda running, failed: (running, [*failed, crashed]))  # as `settle` does for a process that died
    load(qtbot, profile, "/good.gguf")
    for draft in ("/small.gguf", ""):
        choose(qtbot, profile.models, draft)
    assert journal.failed(AttemptKind.BACKEND) == {"vulkan": crashed}
    assert journal.failed(AttemptKind.DRAFT) == {}


def test_a_death_over_a_draft_model_in_the_last_run_is_no_fault_of_a_graphics_card(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None]
) -> None:
    script = [{"path": "deadly", "crash": {"exit_code": 3}}, BUILTIN]
    profile = start_profile(loads=script)
    with qtbot.waitSignal(profile.engine.died, timeout=WAIT_MS):
        profile.models.choose_draft("/deadly.gguf")
        profile.models._engine.died.disconnect(profile.models._on_died)  # as if the window had died as well
    end_profile(profile)
    failures: list[UserError] = []
    again = start_profile(loads=script, wait=False)
    again.models.load_failed.connect(failures.append)
    qtbot.waitUntil(lambda: again.models.info is not None, timeout=WAIT_MS)
    assert failures == []


def test_only_much_smaller_files_of_the_same_architecture_are_offered() -> None:
    model = ModelInfo("/model.gguf", "Model", "llama", "", 9000, 0, 4096, 4096, "file")
    small = LibraryModel("/small.gguf", "Small", Owner.HEARTH, ("/small.gguf",), 3000, architecture="llama")
    files = [
        small,
        replace(small, path="/large.gguf", size_bytes=3001),
        replace(small, path="/other.gguf", architecture="gemma"),
        replace(small, path="/gone.gguf", is_missing=True),
    ]
    assert likely_drafts(model, files) == [small]


@pytest.mark.parametrize("stored", ["", "nonsense", "[]", "3", '{"/a.gguf": 7}'])
def test_choices_that_make_no_sense_are_none(start_profile: StartProfile, stored: str) -> None:
    settings = start_profile(loads=[BUILTIN]).settings
    settings.set_value("model.file_drafts", stored)
    choices = FileChoices(settings, "model.file_drafts")
    assert choices.of("/b.gguf") == ""
    choices.choose("/b.gguf", "/c.gguf")
    assert choices.of("/b.gguf") == "/c.gguf"
