"""The journal of attempts: what a dead process left behind is a failure, everything else is not."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.engine.attempts import AttemptJournal, AttemptKind


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "attempts.json"


def die_while_trying(path: Path, name: str, engine: str = "one") -> None:
    """A real process that ends without another word."""
    code = (
        "import os, sys; from pathlib import Path; from app.engine.attempts import *\n"
        "with AttemptJournal(Path(sys.argv[1])).attempt(AttemptKind.DEVICE, sys.argv[2], '/m.gguf', sys.argv[3]):\n"
        "    os._exit(9)"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code, str(path), name, engine], cwd=root, check=False)
    assert done.returncode == 9


def test_an_attempt_is_on_the_disk_while_it_is_made_and_gone_after_it(path: Path) -> None:
    journal = AttemptJournal(path)
    with journal.attempt(AttemptKind.DEVICE, "Vulkan0"):
        assert json.loads(path.read_text())["running"][0]["name"] == "Vulkan0"
        assert AttemptJournal(path).settle() == (), "its process lives"
    assert not journal.is_open
    with pytest.raises(ValueError, match="no model"), journal.attempt(AttemptKind.DEVICE, "Vulkan0"):
        raise ValueError("no model")
    assert (journal.is_open, journal.failed(AttemptKind.DEVICE)) == (False, {})


def test_what_a_dead_process_left_is_a_failure_until_it_is_forgotten(path: Path) -> None:
    die_while_trying(path, "Vulkan0")
    journal = AttemptJournal(path)
    assert [attempt.name for attempt in journal.settle()] == ["Vulkan0"]
    assert journal.settle() == ()
    assert set(journal.failed(AttemptKind.DEVICE, "one")) == {"Vulkan0"}
    assert journal.failed(AttemptKind.DEVICE, "two") == {}, "another engine may try"
    assert journal.failed(AttemptKind.BACKEND, "one") == {}
    journal.forget("/other.gguf")
    assert journal.failed(AttemptKind.DEVICE)
    journal.forget("/m.gguf")
    assert journal.failed(AttemptKind.DEVICE) == {}


def test_a_device_that_fails_twice_is_there_once(path: Path) -> None:
    journal = AttemptJournal(path)
    for _ in range(2):
        die_while_trying(path, "Vulkan0")
        journal.settle()
    assert len(json.loads(path.read_text())["failed"]) == 1


def test_what_was_ended_on_purpose_is_no_failure(path: Path) -> None:
    die_while_trying(path, "Vulkan0")
    journal = AttemptJournal(path)
    journal.strike()
    assert journal.settle() == ()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"running": 3, "failed": []}',
        '{"running": [{}], "failed": []}',
        '{"running": [{"kind": "device", "name": "Vulkan0", "pid": "one"}], "failed": []}',
        '{"running": [{"kind": "device", "name": "Vulkan0", "pid": -1}], "failed": []}',
        '{"running": [{"kind": "device", "name": "Vulkan0", "pid": 1, "process_started_at": null}], "failed": []}',
    ],
)
def test_a_broken_journal_is_as_good_as_none(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    journal = AttemptJournal(path)
    assert (journal.settle(), journal.failed(AttemptKind.DEVICE)) == ((), {})
    with journal.attempt(AttemptKind.DEVICE, "Vulkan0"):
        assert journal.is_open


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be made read-only so")
def test_a_disk_that_takes_nothing_stops_nobody(path: Path) -> None:
    if os.geteuid() == 0:
        journal = AttemptJournal(Path("/proc/none/attempts.json"))
    else:
        path.parent.mkdir()
        path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
        journal = AttemptJournal(path)
    with journal.attempt(AttemptKind.DEVICE, "Vulkan0"):
        assert not journal.is_open
    with AttemptJournal(None).attempt(AttemptKind.DEVICE, "Vulkan0"):
        pass
