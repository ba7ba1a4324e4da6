import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.hearth import Hearth, engines_of, files_under

START_LIMIT_S = 30


def wait_for_window(hearth: Hearth, process: subprocess.Popen[bytes]) -> None:
    """Until the database is open and the engine runs."""
    deadline = time.monotonic() + START_LIMIT_S
    while not ((hearth.data / "hearth.db").exists() and engines_of(process)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(0.5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_window_in_order(hearth: Hearth, number: int) -> None:
    with hearth.start("") as process:
        wait_for_window(hearth, process)
        engine = engines_of(process)[0]
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")
    assert not engine.is_running()
    assert not (hearth.data / "hearth.db-wal").exists(), "the database was closed"
    assert (hearth.data / "settings.json").exists(), "the window's geometry is kept"


def test_everything_is_kept_under_the_data_folder(hearth: Hearth) -> None:
    with hearth.start("") as process:
        wait_for_window(hearth, process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    kept = {Path(name).parts[0] for name in files_under(hearth.data)}
    assert kept <= {"hearth.db", "backups", "logs", "cache", "settings.json"}


def test_a_second_start_ends_and_leaves_the_first_running(hearth: Hearth) -> None:
    with hearth.start("") as first:
        wait_for_window(hearth, first)
        second = hearth.run("")
        assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
        assert first.poll() is None
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0
