"""Tools run quietly: what they print is logged, what fails is told, what is stopped really ends."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools import console as console_module
from devtools.console import Console, SetupError, ToolError, describe_progress, spell_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3600, "60 min 00 s"),
    ],
)
def test_durations_are_spelled_for_people(seconds: float, text: str) -> None:
    assert spell_duration(seconds) == text


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (b"", ""),
        (b"-- Detecting compiler", ""),
        (b"[1/150] Building a\n[75/150] Building b\n", "50 %"),
        (b"[  8%] Building a\n[ 42%] Building b\n", "42 %"),
        (b"[0/0] nothing", "0 %"),
        (
            b"Collecting numpy==2.4.6\n  Downloading numpy-2.4.6-cp311-cp311-manylinux_2_27.whl (16.9 MB)\n",
            "fetching numpy, 16.9 MB",
        ),
        (
            b"  Downloading a_b-1.0-py3-none-any.whl (9 kB)\nInstalling collected packages: a-b\n",
            "writing files",
        ),
    ],
)
def test_progress_is_read_from_the_output_of_tools(output: bytes, text: str) -> None:
    assert describe_progress(output) == text


def test_output_of_a_tool_goes_to_the_log_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    console = Console(tmp_path / "logs" / "setup.log")
    with console.step("Trying"):
        console.run([sys.executable, "-c", "print('inner words')"])
    shown = capfd.readouterr().out
    assert "inner words" not in shown
    assert "Trying: done in" in shown
    assert "inner words" in console.log_path.read_text()


def test_a_step_within_a_step_leaves_it_its_name_and_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = iter(range(100))
    monkeypatch.setattr(console_module.time, "monotonic", lambda: next(minutes) * 60.0)
    console = Console(tmp_path / "setup.log")
    with console.step("Compiling"), console.step("Fetching headers"):
        pass
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[2:] == ["Fetching headers: done in 1 min 00 s", "Compiling: done in 3 min 00 s"]


def test_a_failing_tool_tells_what_it_printed_and_nothing_of_earlier_ones(tmp_path: Path) -> None:
    console = Console(tmp_path / "setup.log")
    console.run([sys.executable, "-c", "print('first')"])
    with pytest.raises(ToolError, match="ended with code 3") as caught:
        console.run([sys.executable, "-c", "print('second'); raise SystemExit(3)"])
    assert caught.value.output.strip() == "second"


def test_a_tool_that_does_not_exist_is_a_setup_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="could not be started"):
        Console(tmp_path / "setup.log").run([tmp_path / "missing"])


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_stopping_set_up_ends_the_tool_and_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    tool = (
        "import os, subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n');"
        "time.sleep(60)"
    )
    script = (
        "import sys; from pathlib import Path; from devtools.console import Console;"
        f"Console(Path({str(tmp_path / 'setup.log')!r})).run([sys.executable, '-c', {tool!r}])"
    )
    setup = subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2] / "packaging"
    )
    _wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    setup.send_signal(signal.SIGINT)
    setup.wait(10)
    for pid in map(int, pids.read_text().split()):
        _wait_until(lambda pid=pid: not _is_running(pid))


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_what_runs_as_root_is_waited_for_rather_than_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"], process_group=0)
    monkeypatch.setattr(os, "killpg", refuse)
    Console(tmp_path / "setup.log")._end(process)
    assert process.returncode == 0


def _is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
