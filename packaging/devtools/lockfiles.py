"""Writes the lock files anew, for every system and Python that Hearth runs on."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from devtools.cache import ROOT
from devtools.console import Console, SetupError

OLDEST_PYTHON = "3.11"
COMMON = (
    "--universal",
    f"--python-version={OLDEST_PYTHON}",
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
)
# The engine is locked on its own: it is compiled by devtools.engine, not installed from an index.
WITHOUT_ENGINE = ("--no-emit-package=llama-cpp-python",)


def write_lock_files(environment: Path, options: Sequence[str], console: Console) -> None:
    """Resolves all requirements with uv. Pins stay where they can; `--upgrade` renews them."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(environment))
    if uv is None:
        raise SetupError("This needs uv. Install it (pip install uv), then start again.")
    project, run = ROOT / "pyproject.toml", ROOT / "requirements.lock"
    engine = ROOT / "packaging" / "engine"
    test = ("--group=dev", f"--constraints={run}")
    with console.step("Resolving requirements"):
        for source, target, extra in (
            (project, run, WITHOUT_ENGINE),
            (project, ROOT / "requirements-dev.lock", (*test, *WITHOUT_ENGINE)),
            (engine / "tools.in", engine / "tools.lock", ()),
            (engine / "engine.in", engine / "engine.lock", ("--no-deps",)),
        ):
            console.run([uv, "pip", "compile", *COMMON, *extra, *options, source, "-o", target], folder=ROOT)
