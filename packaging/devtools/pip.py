"""pip of the project's environment, always with locked versions and hashes."""

import os
import shutil
from pathlib import Path

from devtools.console import Console, SetupError, ToolError

LOCKED = ("--require-hashes", "--no-deps", "--only-binary=:all:")

UNREACHABLE = "Retrying (Retry("
"""pip prints this, in every language and since version 8, when it gets no connection or no answer."""


class Pip:
    """Runs pip with one interpreter. The user's own pip configuration (index, proxy) stays in force."""

    def __init__(self, python: Path) -> None:
        self._python = python

    def install(self, lock: Path, console: Console, *, repair: bool) -> None:
        """Installs exactly what the lock file names; `repair` writes what seems to be there anew too."""
        options = ("--ignore-installed",) if repair else ()
        self._run(console, "install", *options, *LOCKED, "-r", lock)

    def install_file(self, wheel: Path, console: Console) -> None:
        """Installs one wheel from disk, over what may be there."""
        self._run(console, "install", "--no-index", "--no-deps", "--force-reinstall", wheel)

    def install_into(self, folder: Path, lock: Path, console: Console) -> None:
        """Installs what the lock file names into a folder of its own, completely or not at all."""
        if folder.exists():
            return
        unfinished = folder.with_name(folder.name + ".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        self._run(console, "install", "--target", unfinished, *LOCKED, "-r", lock)
        unfinished.rename(folder)

    def download_source(self, lock: Path, folder: Path, tools: Path, console: Console) -> Path:
        """Downloads the source package that the lock file names; gives the archive.

        pip asks the package's build system for its name and version, which must be in `tools`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--require-hashes", "--no-deps", "--no-binary=:all:", "--no-build-isolation")
        self._run(console, "download", *options, "-d", folder, "-r", lock, python_path=tools)
        (archive,) = folder.glob("*.tar.gz")
        return archive

    def _run(self, console: Console, *arguments: str | Path, python_path: Path | None = None) -> None:
        environment = {
            **os.environ,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            "PIP_USER": "0",  # a user-wide default of --user would fail inside an environment
            "PIP_REQUIRE_VIRTUALENV": "0",
        }
        environment.pop("PYTHONPATH", None)
        if python_path is not None:
            environment["PYTHONPATH"] = str(python_path)
        command = [self._python, "-m", "pip", *arguments, "--retries", "3"]
        try:
            console.run(command, environment=environment)
        except ToolError as error:
            raise _explained(error) from error


def _explained(error: ToolError) -> SetupError:
    if UNREACHABLE in error.output:
        return ToolError(
            "The package index could not be reached, so nothing more could be downloaded.\n"
            "Check the connection (behind a proxy or with a mirror: the settings of pip), then start\n"
            "the same command again. It goes on where it stopped.",
            error.output,
        )
    if "No space left on device" in error.output:
        return ToolError("The disk is full. Set-up needs about 1 GB; free some and start again.", error.output)
    return ToolError("A package could not be installed.", error.output)
