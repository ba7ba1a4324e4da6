import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from tests.cli.hearth import ROOT, Hearth, engines_of, files_under
from tests.fixtures.tiny_gguf import write_endless_model


def findings_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_everything_is_found_and_works(hearth: Hearth) -> None:
    done = hearth.run("doctor", "--json")
    found = findings_of(done)
    assert (done.returncode, done.stderr, found["ok"]) == (0, "", True)
    assert found["versions"]["Hearth"] == __version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {re.split(r"[^\w-]", dependency)[0].lower() for dependency in project["dependencies"]}
    assert required <= {name.lower() for name in found["versions"]}
    assert {"Python", "system"} <= found["versions"].keys()
    assert "missing" not in found["versions"].values()
    assert found["folders"]["data"]["path"] == str(hearth.data)
    assert all(folder["free_bytes"] > 0 for folder in found["folders"].values())
    assert 0 < found["memory"]["available_bytes"] < found["memory"]["total_bytes"]
    assert found["engine"]["cpu_features"]
    cpu = next(device for device in found["engine"]["devices"] if device["kind"] == "cpu")
    assert 0 < cpu["free_bytes"] <= cpu["total_bytes"]
    assert (cpu["problem"], cpu["problem_in_words"]) == ("", "")
    assert cpu["prompt_tokens_per_second"] > 0
    assert cpu["generation_tokens_per_second"] > 0
    assert found["self_test"]["ok"]
    assert found["self_test"]["plan"]["devices"][0]["name"] == "CPU"
    assert found["self_test"]["tokens_per_second"] > 0
    assert found["self_test"]["load_ms"] > 0
    assert found["database"]["ok"]


def test_the_same_in_words(hearth: Hearth) -> None:
    done = hearth.run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    headings = ("Versions", "Folders", "Memory:", "Database:", "Engine:", "CPU features:", "Devices", "Plan:")
    for heading in (*headings, "Self-test:"):
        assert heading in done.stdout
    assert re.search(
        r"\n  CPU \(cpu\): .*GB free of .*\n    Self-test: reads [\d,.]+, writes [\d,.]+ tokens", done.stdout
    )
    assert done.stdout.endswith("Everything works.\n")


def test_another_model_file_is_planned_and_tried(hearth: Hearth, tmp_path: Path) -> None:
    model = write_endless_model(tmp_path / "endless.gguf")
    found = findings_of(hearth.run("doctor", "--json", "--model", str(model)))
    assert found["ok"]
    assert found["self_test"]["plan_in_words"]
    missing = findings_of(hearth.run("doctor", "--json", "--model", str(tmp_path / "none.gguf")))
    assert not missing["ok"]
    assert "none.gguf" in missing["self_test"]["error"]


def test_it_changes_nothing_but_the_log(hearth: Hearth) -> None:
    hearth.run("doctor")
    assert files_under(hearth.data) == ["logs", "logs/engine.log"]


@pytest.fixture
def database(hearth: Hearth) -> Path:
    hearth.data.mkdir()
    path = hearth.data / "hearth.db"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE words (word TEXT); CREATE INDEX by_word ON words (word)")
    connection.executemany("INSERT INTO words VALUES (?)", [(f"word {number}",) for number in range(5_000)])
    connection.commit()
    connection.close()
    return path


def test_a_sound_database_is_called_sound(hearth: Hearth, database: Path) -> None:
    before = database.read_bytes()
    done = hearth.run("doctor", "--json")
    assert done.returncode == 0
    assert findings_of(done)["database"] == {"ok": True, "path": str(database), "state": "sound"}
    assert database.read_bytes() == before


def _cut(path: Path) -> None:
    os.truncate(path, 10_000)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(8_192)
        file.write(b"\xff" * 20_000)


def _replace(path: Path) -> None:
    path.write_bytes(b"this is a letter, not a database " * 100)


@pytest.mark.parametrize("damage", [_cut, _overwrite, _replace])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["words", "json"])
def test_a_damaged_database_is_told(hearth: Hearth, database: Path, damage: Any, options: list[str]) -> None:
    damage(database)
    done = hearth.run("doctor", *options)
    assert (done.returncode, done.stderr) == (1, "")
    if options:
        found = findings_of(done)
        assert not found["ok"]
        assert not found["database"]["ok"]
        assert found["self_test"]["ok"], "the rest is checked all the same"
    else:
        assert "Database: sound" not in done.stdout
        assert done.stdout.endswith("Something does not work: see above.\n")


@pytest.fixture
def read_only(hearth: Hearth, database: Path) -> Iterator[Path]:
    hearth.data.chmod(0o500)
    yield hearth.data
    hearth.data.chmod(0o700)


def test_a_read_only_data_folder_is_checked_too(hearth: Hearth, read_only: Path) -> None:
    done = hearth.run("doctor", "--json")
    found = findings_of(done)
    assert done.stderr == ""
    assert found["self_test"]["ok"]
    assert found["engine"]["ok"]


def test_a_data_folder_that_cannot_be_is_no_reason_to_fail(hearth: Hearth) -> None:
    impossible = Hearth(hearth.home, hearth.home / ("x" * 300))
    done = impossible.run("doctor", "--json")
    found = findings_of(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert found["folders"]["data"]["exists"] is False
    assert found["folders"]["data"]["free_bytes"] > 0


def test_ctrl_c_ends_it_quietly(hearth: Hearth) -> None:
    with hearth.start("doctor") as process:
        while not engines_of(process):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_version_and_help(hearth: Hearth) -> None:
    version = subprocess.run([*_app(), "--version"], cwd=ROOT, env=hearth.environment(), capture_output=True, text=True)
    assert (version.returncode, version.stdout) == (0, f"Hearth {__version__}\n")
    for words, told in (
        (["--help"], "ask, models, doctor"),
        (["ask", "--help"], "--temperature"),
        (["doctor", "--help"], "--json"),
    ):
        shown = subprocess.run([*_app(), *words], cwd=ROOT, env=hearth.environment(), capture_output=True, text=True)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert told in shown.stdout
        assert "--data-dir" in shown.stdout


def _app() -> list[str]:
    return [sys.executable, "-m", "app"]
