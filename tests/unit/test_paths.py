import sys
from pathlib import Path

import pytest

from app.engine.command import PACKAGE_PARENT, engine_command, engine_environment
from app.paths import PORTABLE_FOLDER, builtin_model, choose_paths, resources


def test_without_a_choice_the_account_has_its_own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = choose_paths()
    assert all(tmp_path in folder.parents for folder in (paths.data, paths.logs, paths.cache))
    assert list(tmp_path.iterdir()) == [], "nothing is made"


def test_a_chosen_folder_holds_everything(tmp_path: Path) -> None:
    paths = choose_paths(str(tmp_path / "d"))
    for place in (paths.database, paths.backups, paths.settings, paths.engine_log, paths.app_log, paths.cache):
        assert tmp_path / "d" in place.parents
    assert list(tmp_path.iterdir()) == []


def test_a_relative_folder_and_the_home_sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert choose_paths("here").data == tmp_path / "here"
    assert choose_paths("~/there").data == tmp_path / "home" / "there"


def _freeze(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(folder / "hearth"))


def test_a_portable_copy_keeps_everything_beside_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _freeze(monkeypatch, tmp_path)
    assert choose_paths().data != tmp_path / PORTABLE_FOLDER
    (tmp_path / PORTABLE_FOLDER).mkdir()
    assert choose_paths().data == tmp_path / PORTABLE_FOLDER
    assert choose_paths(str(tmp_path / "else")).data == tmp_path / "else", "who says so goes first"


def test_resources_are_found_here_and_in_a_frozen_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (resources() / "help" / "en.json").is_file()
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    assert builtin_model().parent == tmp_path / "resources" / "models"


def test_the_engine_is_this_program_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert engine_command() == [sys.executable, "-P", "-m", "app", "--engine"]
    assert engine_command("scripted:x")[-2:] == ["--backend", "scripted:x"]
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    assert engine_environment()["PYTHONPATH"].split(":" if sys.platform != "win32" else ";") == [
        str(PACKAGE_PARENT),
        "elsewhere",
    ]
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    assert engine_environment()["GLIBC_TUNABLES"] == "glibc.malloc.check=0:glibc.malloc.hugetlb=1"
    monkeypatch.delenv("GLIBC_TUNABLES")
    assert engine_environment()["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    _freeze(monkeypatch, tmp_path)
    assert engine_command() == [str(tmp_path / "hearth"), "--engine"]
    (tmp_path / "hearth-engine.exe").touch()
    assert engine_command() == [str(tmp_path / "hearth-engine.exe"), "--engine"]
