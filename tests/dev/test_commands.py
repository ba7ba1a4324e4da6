"""Checks tell by exit code how they ended, a signal reaches the running one, and a full disk is told in words."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools import checks
from devtools.checks import Check, run_checks

ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_check_runs_and_the_last_failure_gives_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    failing = Check("failing", ("-c", "raise SystemExit(3)"))
    passing = Check("passing", ("-c", "print('it ran')"))
    monkeypatch.setattr(checks, "STATIC", (failing, passing))
    monkeypatch.setattr(checks, "TESTS", ("-c", "pass"))
    assert run_checks(Path(sys.executable), []) == 3
    shown = capfd.readouterr().out
    assert "it ran" in shown
    assert [line.split()[-4:-2] for line in shown.splitlines()[-3:]] == [
        ["failing", "FAILED"],
        ["passing", "ok"],
        ["(pytest)", "ok"],
    ]


def test_with_arguments_pytest_runs_alone(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(checks, "STATIC", (Check("lint", ("-c", "print('unwanted')")),))
    monkeypatch.setattr(checks, "TESTS", ("-c", "import sys; sys.exit(sys.argv[1:] == ['-k', 'tree'])"))
    assert run_checks(Path(sys.executable), ["-k", "tree"]) == 1
    assert "unwanted" not in capfd.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="Windows has no polite kill")
def test_a_polite_kill_reaches_the_running_check(tmp_path: Path) -> None:
    started, cleaned = tmp_path / "started", tmp_path / "cleaned"
    tool = (
        "import pathlib, time\n"
        "try:\n"
        f"    pathlib.Path({str(started)!r}).touch()\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        f"    pathlib.Path({str(cleaned)!r}).touch()\n"
    )
    script = (
        "import signal, sys; from pathlib import Path; from devtools import checks, commands;"
        "signal.signal(signal.SIGTERM, commands._stop);"
        f"checks._run(Path(sys.executable), checks.Check('slow', ('-c', {tool!r})))"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=ROOT / "packaging") as running:
        wait_until(started.exists)
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) != 0
    assert cleaned.exists()


def test_what_the_system_refuses_is_told_in_words(tmp_path: Path) -> None:
    for name in ("dev.py", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "packaging" / "devtools", tmp_path / "packaging" / "devtools")
    shutil.copytree(ROOT / "packaging" / "engine", tmp_path / "packaging" / "engine")
    (tmp_path / "build").write_text("a file where a folder has to be")
    run = subprocess.run([sys.executable, tmp_path / "dev.py", "setup"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("\nThis cannot go on: ")
    assert str(tmp_path / "build") in run.stderr
    assert "Traceback" not in run.stderr
