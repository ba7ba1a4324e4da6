"""The commands of dev.py."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn, TextIO

from devtools import system
from devtools.cache import ROOT, cache_folder
from devtools.checks import run_checks
from devtools.console import Console, SetupError, Terminated, ToolError
from devtools.cuda_toolkit import cuda_options
from devtools.engine import Engine
from devtools.environment import RUN, TEST, Environment, Purpose
from devtools.lockfiles import write_lock_files
from devtools.profiles import PROFILES, require_system

LOG = ROOT / "build" / "setup.log"
LAST_LINES = 15

USAGE = """\
python3 dev.py run [arguments of Hearth]    set everything up, then open the window
python3 dev.py test [arguments of pytest]   set everything up, then run every check and test
python3 dev.py setup [--check]              set everything up, or only say what is missing
python3 dev.py lock [--upgrade]             write the lock files anew (needs uv)
python3 dev.py engine [--profile NAME] [--install]
                                            compile the engine as a release has it, or for one kind of GPU

Examples:
  python3 dev.py run --model ~/Downloads/model.gguf
  python3 dev.py run ask "What is a GGUF file?"
  python3 dev.py test tests/unit -k tree"""


def run_command(arguments: Sequence[str]) -> int:
    """Carries out one command line; gives the exit code."""
    _prepare_streams(sys.stdout, sys.stderr)
    command, rest = (arguments[0], list(arguments[1:])) if arguments else ("", [])
    if command in ("-h", "--help"):
        print(USAGE)
        return 0
    if command not in ("run", "test", "setup", "lock", "engine"):
        print(USAGE, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _stop)
    environment = Environment()
    try:
        if command == "setup":
            return _set_up(environment, rest)
        if command == "engine":
            return _build_engine(environment, rest)
        if command == "lock":
            write_lock_files(environment.python.parent, rest, Console(LOG))
            return 0
        purpose = RUN if command == "run" else TEST
        environment.prepare(purpose, Console(LOG))
        if command == "run":
            _run_hearth(environment, rest)
        return run_checks(environment.python, rest)
    except KeyboardInterrupt:
        print("\nStopped. Start again to go on from here.", file=sys.stderr)
        return 130
    except SetupError as error:
        _explain(error)
        return 1
    except OSError as error:  # the disk is full, a folder may not be written to …
        print(f"\nThis cannot go on: {error.strerror or error}: {error.filename or ROOT}", file=sys.stderr)
        return 1


def _set_up(environment: Environment, arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py setup", description="Sets up everything.")
    parser.add_argument("--check", action="store_true", help="change nothing, only say what is missing")
    if parser.parse_args(arguments).check:
        return _report(environment)
    environment.prepare(TEST, Console(LOG))
    print("Hearth is set up. Start it with: python3 dev.py run")
    return 0


def _build_engine(environment: Environment, arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="dev.py engine",
        description="Compiles the engine into one wheel in the cache folder. packaging/engine/README.md tells more.",
    )
    parser.add_argument("--profile", choices=PROFILES, default="release", help="which parts it has (default: release)")
    parser.add_argument("--install", action="store_true", help="use it here, until the next complete set-up")
    options = parser.parse_args(arguments)
    profile = PROFILES[options.profile]
    require_system(profile)
    console = Console(LOG)
    engine = Engine(cache_folder(), profile)
    if profile.uses_cuda and not engine.is_built():
        cuda_options()  # raises where there is no compiler, before anything is downloaded
    pip = environment.prepare_pip(console)
    if not engine.is_built():
        system.ensure((), venv=False, compiler=True, console=console)
        engine.build(pip, console)
    if options.install:
        with console.step("Installing the engine"):
            pip.install_file(engine.wheel, console)
    print(engine.wheel)
    return 0


def _report(environment: Environment) -> int:
    purposes: tuple[Purpose, ...] = (RUN, TEST)
    complete = True
    for purpose in purposes:
        ready, missing = environment.is_ready(purpose), environment.missing(purpose)
        complete = complete and ready and not missing
        print(f"{purpose.name}: " + ("ready" if ready else "not set up yet"))
        if missing:
            print(f"  the system lacks: {', '.join(missing)}")
    return 0 if complete else 1


def _run_hearth(environment: Environment, arguments: Sequence[str]) -> NoReturn:
    """Becomes Hearth (on Windows: waits for it). The folder the person is in stays the current one."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Only this repository is searched for modules, not whatever lies in the current folder.
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
    command = [str(environment.python), "-m", "app", *arguments]
    if sys.platform == "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches Hearth as well, which then ends in good order
        sys.exit(subprocess.run(command, env=variables, check=False).returncode)
    os.execve(command[0], command, variables)


def _explain(error: SetupError) -> None:
    print(f"\n{error}", file=sys.stderr)
    if isinstance(error, ToolError):
        lines = [line for line in error.output.splitlines() if line.strip()][-LAST_LINES:]
        print("\nThe last lines of what it printed:\n", file=sys.stderr)
        print("\n".join(f"    {line}" for line in lines), file=sys.stderr)
        print(f"\nAll of it: {LOG}", file=sys.stderr)


def _prepare_streams(*streams: TextIO) -> None:
    """A terminal that cannot show a character shows a question mark instead of ending the program."""
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
