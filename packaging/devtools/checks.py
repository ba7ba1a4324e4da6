"""The checks of `dev.py test`: every one runs, whatever the others say, and a table closes the run."""

import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools.cache import ROOT
from devtools.console import Terminated, spell_duration

LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint(['--no-logo']))"
TESTS = ("-m", "pytest")
CLEANUP_S = 10.0  # how long an interrupted check may take to end what it had started


@dataclass(frozen=True, slots=True)
class Check:
    """A program that judges the repository by its exit code."""

    name: str
    arguments: tuple[str, ...]


STATIC = (
    Check("lint (ruff)", ("-m", "ruff", "check", ".")),
    Check("format (ruff)", ("-m", "ruff", "format", "--check", ".")),
    Check("types (mypy)", ("-m", "mypy")),
    Check("imports (import-linter)", ("-c", LINT_IMPORTS)),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended."""

    check: Check
    code: int
    took_s: float


def run_checks(python: Path, pytest_arguments: Sequence[str]) -> int:
    """Runs all checks, or pytest alone if it was given arguments; gives the exit code."""
    pytest = Check("tests (pytest)", (*TESTS, *pytest_arguments))
    checks = (pytest,) if pytest_arguments else (*STATIC, pytest)
    outcomes = [_run(python, check) for check in checks]
    print()
    for line in describe(outcomes):
        print(line)
    return next((outcome.code for outcome in reversed(outcomes) if outcome.code != 0), 0)


def describe(outcomes: Sequence[Outcome]) -> list[str]:
    """The closing table, one line per check."""
    width = max(len(outcome.check.name) for outcome in outcomes)
    return [
        f"{outcome.check.name:<{width}}  {'ok' if outcome.code == 0 else 'FAILED':<6}  "
        f"{spell_duration(outcome.took_s):>12}"
        for outcome in outcomes
    ]


def _run(python: Path, check: Check) -> Outcome:
    print(f"\n== {check.name}", flush=True)
    began = time.monotonic()
    process = subprocess.Popen([python, *check.arguments], cwd=ROOT)
    try:
        code = process.wait()
    except KeyboardInterrupt as interrupt:
        if isinstance(interrupt, Terminated):
            process.send_signal(signal.SIGINT)
        try:
            process.wait(CLEANUP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    return Outcome(check, code, time.monotonic() - began)
