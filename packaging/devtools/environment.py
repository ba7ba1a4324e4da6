"""The project's virtual environment: made once, then recognised as ready in a moment."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from devtools import system
from devtools.cache import ROOT, cache_folder
from devtools.console import Console, SetupError, ToolError, spell_duration
from devtools.engine import ENGINE_LOCK, Engine
from devtools.locking import exclusive
from devtools.pip import Pip
from devtools.profiles import DEV

FORMAT = 1
"""Raise when the meaning of a ready environment changes: all are then set up again."""

SELF_TEST = "import llama_cpp; llama_cpp.llama_print_system_info(); from PySide6 import QtWidgets"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What an environment is for, and what that takes."""

    name: str
    lock: Path
    needs: tuple[system.Need, ...]


RUN = Purpose("run", ROOT / "requirements.lock", system.WINDOW)
TEST = Purpose("test", ROOT / "requirements-dev.lock", system.WINDOW + system.END_TO_END_TESTS)


class Environment:
    """`.venv` in the repository."""

    def __init__(self, folder: Path = ROOT / ".venv") -> None:
        self._folder = folder
        scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
        self.python = scripts / ("python.exe" if sys.platform == "win32" else "python")
        self._stamp = folder / "hearth-ready.json"
        self._unfinished = folder / "hearth-unfinished"

    def is_ready(self, purpose: Purpose) -> bool:
        """Whether everything for this purpose was installed completely from today's lock files."""
        try:
            ready = json.loads(self._stamp.read_text("utf-8"))
        except (OSError, ValueError):
            return False
        if not isinstance(ready, dict) or not self.python.exists() or not self._interpreter_is_there():
            return False
        return ready.get(purpose.name) == fingerprint(purpose)

    def missing(self, purpose: Purpose) -> list[str]:
        """What the operating system lacks for this purpose, by name."""
        if sys.platform != "linux":
            return []
        ready = self.is_ready(purpose)
        compiler = not ready and not Engine(cache_folder()).is_built()
        found = system.find_missing(purpose.needs, venv=not self.python.exists(), compiler=compiler)
        return [need.what for need in found]

    def prepare(self, purpose: Purpose, console: Console) -> None:
        """Makes everything ready for this purpose; returns at once if it is."""
        if self.is_ready(purpose):
            system.ensure(purpose.needs, venv=False, compiler=False, console=console)
            return

        with self._lock(console) as lock:
            if self.is_ready(purpose):
                return
            console.inherited_locks.append(lock)
            console.log_path.unlink(missing_ok=True)
            self._prepare(purpose, console)

    def prepare_pip(self, console: Console) -> Pip:
        """pip, in an environment that is made if there is none. Nothing of Hearth's needs is installed into it."""
        with self._lock(console):
            if not self._works():
                system.ensure((), venv=True, compiler=False, console=console)
                with console.step("Making a Python environment"):
                    self._make(console)
        return Pip(self.python)

    def _lock(self, console: Console) -> AbstractContextManager[int]:
        def announce() -> None:
            console.say("Another set-up of this folder is running; waiting for it …")

        return exclusive(ROOT / "build" / "setup.lock", announce)

    def _prepare(self, purpose: Purpose, console: Console) -> None:
        began = time.monotonic()
        engine = Engine(cache_folder())
        console.say("Setting up Hearth" + ("." if engine.is_built() else "; the first time takes some minutes."))
        stale = not self._works()
        system.ensure(purpose.needs, venv=stale, compiler=not engine.is_built(), console=console)
        self._stamp.unlink(missing_ok=True)
        if stale:
            with console.step("Making a Python environment"):
                self._make(console)
        pip = Pip(self.python)
        # A package that was cut off while being written looks installed to pip.
        repair = self._unfinished.exists()
        self._unfinished.touch()
        with console.step("Installing packages"):
            pip.install(purpose.lock, console, repair=repair)
        engine.build(pip, console)
        with console.step("Installing the engine"):
            pip.install_file(engine.wheel, console)
        with console.step("Checking that everything loads"):
            self._self_test(engine, console)
        self._unfinished.unlink()
        self._write_stamp(purpose)
        console.say(f"Ready after {spell_duration(time.monotonic() - began)}.")

    def _works(self) -> bool:
        """Whether there is an environment with pip and a Python that Hearth runs on."""
        if not self._interpreter_is_there():
            return False
        probe = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
        try:
            return subprocess.run([self.python, "-c", probe], capture_output=True, check=False).returncode == 0
        except OSError:
            return False

    def _interpreter_is_there(self) -> bool:
        """Whether the Python that the environment was made with still exists (upgrades remove it)."""
        with suppress(OSError):
            for line in (self._folder / "pyvenv.cfg").read_text("utf-8").splitlines():
                key, _, value = line.partition("=")
                if key.strip() == "executable":
                    return Path(value.strip()).exists()
            return self.python.exists()
        return False

    def _make(self, console: Console) -> None:
        if self._folder.is_symlink():
            raise SetupError(f"{self._folder} is a link. Remove it, then start again.")
        shutil.rmtree(self._folder, ignore_errors=True)
        base = getattr(sys, "_base_executable", None) or sys.executable
        try:
            console.run([base, "-m", "venv", self._folder])
        except ToolError as error:
            uv = shutil.which("uv")
            if uv is None:
                raise ToolError(
                    "This Python cannot make a virtual environment. Install its venv package\n"
                    "(Debian and Ubuntu: apt-get install python3-venv), then start again.",
                    error.output,
                ) from error
            shutil.rmtree(self._folder, ignore_errors=True)
            console.run([uv, "venv", "--seed", "--python", base, self._folder])

    def _self_test(self, engine: Engine, console: Console) -> None:
        try:
            console.run([self.python, "-c", SELF_TEST], environment={**os.environ, "PYTHONSAFEPATH": "1"})
        except ToolError as error:
            raise ToolError(
                "Everything was installed, but it does not load. If the engine is the cause, delete this file;\n"
                f"it is then built anew at the next start: {engine.wheel}",
                error.output,
            ) from error

    def _write_stamp(self, purpose: Purpose) -> None:
        ready = {purpose.name: fingerprint(purpose)}
        if purpose == TEST:  # what tests need includes what running needs
            ready[RUN.name] = fingerprint(RUN)
        unfinished = self._stamp.with_suffix(".part")
        unfinished.write_text(json.dumps(ready), "utf-8")
        unfinished.replace(self._stamp)


def fingerprint(purpose: Purpose) -> str:
    """A hash of all that decides what a ready environment contains."""
    parts = (f"{FORMAT} {DEV.recipe} {ROOT}".encode(), purpose.lock.read_bytes(), ENGINE_LOCK.read_bytes())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
