"""How the engine child is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE_PARENT = Path(__file__).resolve().parent.parent.parent


def engine_command(backend: str = "llama", attempts: Path | None = None, *, is_idle: bool = False) -> list[str]:
    """The command line of the child: this Python with this package, or the frozen build's own executable.

    A frozen build for Windows has a console executable beside the windowed one, because the latter has no standard
    streams. `backend` as in `app.engine.worker.main`; `attempts` is the file in which the child notes attempts on GPUs
    (`app.engine.attempts`). A child that `is_idle` gives way to every other process.
    """
    options = ["--engine"] if backend == "llama" else ["--engine", "--backend", backend]
    if is_idle:
        options.append("--idle")
    if attempts is not None:
        options += ["--attempts", str(attempts)]
    if not getattr(sys, "frozen", False):
        return [sys.executable, "-P", "-m", "app", *options]
    here = Path(sys.executable)
    console = here.with_name("hearth-engine.exe")
    return [str(console if console.exists() else here), *options]


def engine_environment() -> dict[str, str]:
    """What the child's environment has beyond ours: where the package is, and how its libraries behave.

    - Threads that wait for work soon stop spinning, or they starve the window on a busy computer.
    - A backtrace is not made while crashing: it may hang.
    - Weights lie in huge pages: the processor then finds their addresses faster, and a model writes 10 % faster. glibc
      asks for them where the system leaves the choice to programs, as most distributions do
      (https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html).
    """
    path = os.pathsep.join(part for part in (str(PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")) if part)
    tunables = ":".join(part for part in (os.environ.get("GLIBC_TUNABLES", ""), "glibc.malloc.hugetlb=1") if part)
    return {
        "PYTHONPATH": path,
        "PYTHONUTF8": "1",
        "GOMP_SPINCOUNT": "1000",
        "GGML_NO_BACKTRACE": "1",
        "GLIBC_TUNABLES": tunables,
    }
