"""How the engine child is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent


def engine_command(backend: str = "llama", attempts: Path | None = None) -> list[str]:
    """The command line of the child: this Python with this package, or the frozen build's own executable.

    A frozen build for Windows has a console executable beside the windowed one, because the latter has no standard
    streams. `attempts` is the file in which the child notes attempts on GPUs (`app.engine.attempts`).
    """
    options = ["--engine"] if backend == "llama" else ["--engine", "--backend", backend]
    if attempts is not None:
        options += ["--attempts", str(attempts)]
    if not getattr(sys, "frozen", False):
        return [sys.executable, "-P", "-m", "app", *options]
    here = Path(sys.executable)
    console = here.with_name("hearth-engine.exe")
    return [str(console if console.exists() else here), *options]


def engine_environment() -> dict[str, str]:
    """What the child's environment has beyond ours: where the package is, and how llama.cpp's threads wait."""
    path = os.pathsep.join(part for part in (str(PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")) if part)
    return {"PYTHONPATH": path, "GOMP_SPINCOUNT": "1000", "GGML_NO_BACKTRACE": "1"}
