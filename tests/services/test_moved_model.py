"""A model file that moves to another folder takes all that the person decided for it along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytestqt.qtbot import QtBot

from app.services.load_options import draft_choices
from app.services.profile import Profile
from tests.fixtures import tiny_gguf as tiny
from tests.services.conftest import WAIT_MS, StartProfile

LOADS = [{"path": ".gguf", "name": "Tiny"}, {"name": "Built in"}]


def model_file(profile: Profile, name: str) -> Path:
    path = profile.downloads.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return tiny.write_model(path, tiny.bpe_vocabulary(), template=tiny.CHATML)


def move(qtbot: QtBot, profile: Profile, path: Path, folder: Path) -> str:
    """Move a model once the list knows it; where it is then."""
    library, moved = profile.library, str(folder / path.name)
    library.scan()
    qtbot.waitUntil(lambda: library.model(str(path)) is not None, timeout=WAIT_MS)
    library.move(str(path), str(folder))
    qtbot.waitUntil(lambda: library.model(moved) is not None, timeout=WAIT_MS)
    return moved


def test_the_model_that_answers_goes_on_and_comes_back_at_the_next_start(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None], tmp_path: Path
) -> None:
    profile = start_profile(loads=LOADS)
    path = model_file(profile, "tiny.gguf")
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.models.load(str(path))
    loads: list[str] = []
    profile.models.load_started.connect(loads.append)
    moved = move(qtbot, profile, path, tmp_path / "there")
    models = profile.models
    assert (models.current_path, models.info and models.info.path) == (moved, moved)
    assert not models.is_builtin
    models.ensure_loaded()
    assert loads == [], "the engine has the file open: there is nothing to load"
    end_profile(profile)
    again = start_profile(loads=LOADS)
    assert again.models.current_path == moved


def test_a_model_that_moves_while_it_is_loaded_is_known_where_it_is(
    qtbot: QtBot, start_profile: StartProfile, end_profile: Callable[[Profile], None], tmp_path: Path
) -> None:
    profile = start_profile(loads=[{**LOADS[0], "duration_ms": 2_000}, LOADS[1]])
    path = model_file(profile, "tiny.gguf")
    profile.library.scan()
    qtbot.waitUntil(lambda: profile.library.model(str(path)) is not None, timeout=WAIT_MS)
    with qtbot.waitSignal(profile.models.load_progressed, timeout=WAIT_MS):
        profile.models.load(str(path))
    with qtbot.waitSignal(profile.models.loaded, timeout=WAIT_MS):
        profile.library.move(str(path), str(tmp_path / "there"))
    moved = str(tmp_path / "there" / path.name)
    models = profile.models
    assert (models.current_path, models.info and models.info.path) == (moved, moved)
    qtbot.waitUntil(lambda: [file.path for file in models.files] == [moved], timeout=WAIT_MS)
    end_profile(profile)
    assert start_profile(loads=LOADS).models.current_path == moved


def test_device_draft_and_template_go_along(qtbot: QtBot, start_profile: StartProfile, tmp_path: Path) -> None:
    profile = start_profile(loads=LOADS)
    large, small = model_file(profile, "large.gguf"), model_file(profile, "small.gguf")
    profile.hardware.choice.choose_for(str(large), "CPU")
    draft_choices(profile.settings).choose(str(large), str(small))
    profile.library.scan()
    qtbot.waitUntil(lambda: len(profile.library.models) == 2, timeout=WAIT_MS)
    profile.models.templates.choose(str(large), "{{ messages }}")
    now_large = move(qtbot, profile, large, tmp_path / "there")
    now_small = move(qtbot, profile, small, tmp_path / "there")
    assert profile.hardware.choice.choice_for(now_large) == "CPU"
    assert draft_choices(profile.settings).of(now_large) == now_small
    qtbot.waitUntil(lambda: profile.models.templates.of(now_large) == "{{ messages }}", timeout=WAIT_MS)
    for path in (large, small):
        assert profile.hardware.choice.choice_for(str(path)) == ""
        assert draft_choices(profile.settings).of(str(path)) == ""
        assert profile.models.templates.of(str(path)) == ""
