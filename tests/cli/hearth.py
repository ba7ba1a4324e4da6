"""Runs `python -m app` as a person does in a terminal, with nothing of this account to find or to leave."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Hearth:
    """The command line with a home and a data folder of its own."""

    home: Path
    data: Path

    def environment(self, **changes: str) -> dict[str, str]:
        """An account that has only an empty home."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "LC_", "PYTHONIO"))}
        return {**kept, "HOME": str(self.home), "LANG": "C.UTF-8", "QT_QPA_PLATFORM": "offscreen", **changes}

    @contextmanager
    def start(
        self,
        command: str,
        *arguments: str | bytes,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A running command, which is gone afterwards; "" is the window."""
        words: list[str | bytes] = [sys.executable, "-m", "app", "--data-dir", str(self.data)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [*words, *([command] if command else []), *arguments],
            cwd=ROOT,
            env=self.environment(**(environment or {})),
            **{**pipes, **options},
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def run(
        self, command: str, *arguments: str | bytes, stdin: bytes | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; what it printed must be UTF-8."""
        if stdin is not None:
            options["stdin"] = subprocess.PIPE
        with self.start(command, *arguments, **options) as process:
            out, err = process.communicate(stdin, LIMIT_S)
        return subprocess.CompletedProcess(
            arguments, process.returncode, (out or b"").decode("utf-8"), (err or b"").decode("utf-8")
        )


def engines_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The engine children of a running command."""
    found = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile, or is a zombie
            if "--engine" in child.cmdline():
                found.append(child)
    return found


def files_under(folder: Path) -> list[str]:
    """Everything in a folder, by relative path."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
