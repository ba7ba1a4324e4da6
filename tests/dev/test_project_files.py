"""The files that a fresh clone is set up from."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from devtools.checks import Check, Outcome, describe

ROOT = Path(__file__).parents[2]
LOCKS = sorted([*ROOT.glob("*.lock"), *ROOT.glob("packaging/**/*.lock")])
NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==")


def locked_names(lock: str) -> set[str]:
    lines = (ROOT / lock).read_text().splitlines()
    return {match[1].lower() for line in lines if (match := NAME.match(line))}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_a_hash_and_no_lock_names_a_host(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index-url" not in text
    blocks = re.split(r"\n(?! )", text.strip())
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)


def test_all_requirements_are_locked() -> None:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = {
        re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() for requirement in tables["project"]["dependencies"]
    }
    tools = {re.split(r"[^A-Za-z0-9._-]", tool)[0].lower() for tool in tables["dependency-groups"]["dev"]}
    run, test = locked_names("requirements.lock"), locked_names("requirements-dev.lock")
    assert required - {"llama-cpp-python"} <= run
    assert run | tools <= test


def test_the_tests_run_with_the_versions_that_people_run() -> None:
    def pins(lock: str) -> set[str]:
        return {line for line in (ROOT / lock).read_text().splitlines() if NAME.match(line)}

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


def test_old_pythons_can_read_the_file_that_refuses_them() -> None:
    ast.parse((ROOT / "dev.py").read_text(), feature_version=(3, 6))


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["dance"], 2), (["--help"], 0)])
def test_usage_names_both_commands(arguments: list[str], code: int) -> None:
    result = subprocess.run([sys.executable, ROOT / "dev.py", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert "dev.py run" in result.stdout + result.stderr
    assert "dev.py test" in result.stdout + result.stderr


@pytest.mark.skipif(os.name != "posix", reason="CI runs on Linux")
def test_ci_runs_the_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("exec python3 dev.py test")
    subprocess.run(["bash", "-n", script], check=True)


def test_the_closing_table_tells_what_failed() -> None:
    outcomes = [Outcome(Check("lint", ()), 0, 0.5), Outcome(Check("tests", ()), 1, 75)]
    assert describe(outcomes) == [
        "lint   ok             0.5 s",
        "tests  FAILED    1 min 15 s",
    ]
