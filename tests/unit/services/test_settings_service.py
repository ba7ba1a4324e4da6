import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.core.settings import SETTING_OF
from app.services.settings import SettingsService

Make = Callable[[Path], SettingsService]


@pytest.fixture
def owner(qtbot: QtBot) -> Iterator[QObject]:
    owner = QObject()
    yield owner
    shiboken6.delete(owner)


@pytest.fixture
def make(owner: QObject) -> Iterator[Make]:
    """Makes services and closes them after the test."""
    made: list[SettingsService] = []

    def make(path: Path) -> SettingsService:
        made.append(SettingsService(path, owner))
        return made[-1]

    yield make
    for settings in made:
        settings.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def test_without_a_file_everything_is_as_declared(make: Make, path: Path) -> None:
    settings = make(path)
    assert settings.values() == {key: setting.default for key, setting in SETTING_OF.items()}
    assert not path.exists()


def test_a_change_is_told_and_comes_back(qtbot: QtBot, make: Make, path: Path) -> None:
    settings = make(path)
    told: list[str] = []
    settings.changed.connect(told.append)
    settings.set_value("appearance.theme", "dark")
    settings.set_value("appearance.theme", "dark")
    settings.set_value("answers.system_prompt", "Sei höflich 😀")
    assert told == ["appearance.theme", "answers.system_prompt"]
    qtbot.waitUntil(path.exists)
    again = make(path)
    assert (again.string("appearance.theme"), again.string("answers.system_prompt")) == ("dark", "Sei höflich 😀")
    assert json.loads(path.read_text("utf-8")).keys() == {"appearance.theme", "answers.system_prompt"}


def test_many_changes_are_written_once_and_whole(qtbot: QtBot, make: Make, path: Path) -> None:
    settings = make(path)
    for percent in range(70, 200):
        settings.set_value("appearance.text_percent", percent)
    assert not path.exists()
    settings.close()
    assert json.loads(path.read_text("utf-8")) == {"appearance.text_percent": 199}
    assert [file.name for file in path.parent.iterdir()] == ["settings.json"], "no half-written file stays"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("appearance.theme", "pink"),
        ("appearance.text_percent", 10),
        ("appearance.text_percent", "100"),
        ("window.sidebar_visible", 1),
    ],
)
def test_a_value_that_is_not_legal_is_refused(make: Make, path: Path, key: str, value: object) -> None:
    settings = make(path)
    before = settings.value(key)
    with pytest.raises(ValueError, match="does not accept"):
        settings.set_value(key, value)
    assert settings.value(key) == before


def test_illegal_values_in_the_file_give_way_to_the_defaults(make: Make, path: Path) -> None:
    stored = {"appearance.theme": "pink", "appearance.text_percent": 130, "unknown": 1, "sampling.seed": [1]}
    path.write_text(json.dumps(stored), "utf-8")
    settings = make(path)
    assert settings.string("appearance.theme") == "system"
    assert settings.integer("appearance.text_percent") == 130
    assert settings.value("sampling.seed") is None


@pytest.mark.logs_warnings
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=["empty", "cut", "bytes", "deep"])
def test_a_broken_file_is_kept_beside_and_the_defaults_apply(make: Make, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    settings = make(path)
    assert settings.string("appearance.theme") == "system"
    assert path.with_name("settings.json.broken").read_bytes() == content
    settings.set_value("appearance.theme", "light")
    settings.close()
    assert make(path).string("appearance.theme") == "light"


@pytest.mark.parametrize("content", ["[]", "null", "5", '"x"'])
def test_json_of_another_kind_means_the_defaults(make: Make, path: Path, content: str) -> None:
    path.write_text(content, "utf-8")
    assert make(path).string("appearance.theme") == "system"


@pytest.mark.logs_warnings
def test_what_cannot_be_written_is_told_and_goes_on_in_memory(qtbot: QtBot, make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    settings = make(folder / "settings.json")
    with qtbot.waitSignal(settings.save_failed):
        settings.set_value("appearance.theme", "dark")
    assert settings.string("appearance.theme") == "dark"
    folder.mkdir()
    settings.save()
    settings.close()
    assert make(folder / "settings.json").string("appearance.theme") == "dark"
