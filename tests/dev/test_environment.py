"""A ready environment is recognised in a moment, and an unready one never passes for ready."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from devtools.environment import RUN, TEST, Environment, fingerprint
from devtools.system import Need, find_missing

ROOT = Path(__file__).parents[2]
SECOND_START_S = 2.0  # of processor time: other programs on this machine do not matter to it


def make_ready(folder: Path) -> Environment:
    """An environment as a finished set-up leaves it, without the packages."""
    environment = Environment(folder)
    environment.python.parent.mkdir(parents=True)
    environment.python.touch()
    (folder / "pyvenv.cfg").write_text(f"home = somewhere\nexecutable = {sys.executable}\n")
    ready = {RUN.name: fingerprint(RUN), TEST.name: fingerprint(TEST)}
    (folder / "hearth-ready.json").write_text(json.dumps(ready))
    return environment


def test_a_finished_set_up_is_ready_for_both_commands(tmp_path: Path) -> None:
    environment = make_ready(tmp_path / "venv")
    assert environment.is_ready(RUN)
    assert environment.is_ready(TEST)


def test_nothing_there_is_not_ready(tmp_path: Path) -> None:
    assert not Environment(tmp_path / "venv").is_ready(RUN)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"run": "another lock"}', '{"run": null}'])
def test_a_stamp_of_something_else_is_not_ready(tmp_path: Path, content: str) -> None:
    environment = make_ready(tmp_path / "venv")
    (tmp_path / "venv" / "hearth-ready.json").write_text(content)
    assert not environment.is_ready(RUN)


def test_a_lost_interpreter_is_not_ready(tmp_path: Path) -> None:
    environment = make_ready(tmp_path / "venv")
    environment.python.unlink()
    assert not environment.is_ready(RUN)


def test_a_replaced_system_python_is_not_ready(tmp_path: Path) -> None:
    environment = make_ready(tmp_path / "venv")
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"executable = {tmp_path / 'python3.11'}\n")
    assert not environment.is_ready(RUN)


def test_a_python_in_a_folder_with_accents_is_ready_whatever_the_system_s_encoding(tmp_path: Path) -> None:
    """venv writes UTF-8; Windows reads files in the encoding of its language unless told otherwise."""
    python = tmp_path / "Jürgen" / "python3"
    python.parent.mkdir()
    python.touch()
    make_ready(tmp_path / "venv")
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"executable = {python}\n", "utf-8")
    script = (
        "import sys; from pathlib import Path; from devtools.environment import RUN, Environment;"
        "print(Environment(Path(sys.argv[1])).is_ready(RUN))"
    )
    strict = [sys.executable, "-X", "warn_default_encoding", "-W", "error::EncodingWarning", "-c", script]
    shown = subprocess.check_output([*strict, tmp_path / "venv"], text=True, cwd=ROOT / "packaging")
    assert shown == "True\n"


def test_running_needs_less_than_testing() -> None:
    assert fingerprint(RUN) != fingerprint(TEST)
    assert set(RUN.needs) < set(TEST.needs)


@pytest.mark.skipif(sys.platform != "linux", reason="asks a Linux system")
def test_what_the_system_lacks_is_found_by_name() -> None:
    library = Need("libnowhere.so.7", "libnowhere7", "libnowhere", "libnowhere")
    program = Need("no-such-program", "no-such-program", "no-such-program", "no-such-program")
    libc = Need("libc.so.6", "libc6", "glibc", "glibc")
    assert find_missing([library, libc, program], venv=False, compiler=False) == [library, program]


def test_the_second_start_changes_nothing_and_is_quick() -> None:
    if not Environment().is_ready(TEST):
        pytest.skip("this environment was not made by dev.py")
    stamp = ROOT / ".venv" / "hearth-ready.json"
    before = stamp.stat().st_mtime_ns
    began = os.times()
    shown = subprocess.check_output([sys.executable, ROOT / "dev.py", "setup"], text=True)
    ended = os.times()
    took_s = ended.children_user + ended.children_system - began.children_user - began.children_system
    assert shown.startswith("Hearth is set up.")
    assert stamp.stat().st_mtime_ns == before
    assert took_s < SECOND_START_S
