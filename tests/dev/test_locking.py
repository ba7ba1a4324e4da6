"""Two set-ups never work on the same folder at once, and a killed one leaves no lock behind."""

import subprocess
import sys
import threading
from pathlib import Path

from devtools.locking import exclusive

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from devtools.locking import exclusive
with exclusive(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


def start_holder(lock: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT / "packaging",
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_free_lock_is_taken_without_waiting(tmp_path: Path) -> None:
    waited: list[str] = []
    for _ in range(2):
        with exclusive(tmp_path / "new folder" / "lock", lambda: waited.append("waited")):
            pass
    assert waited == []


def test_the_second_waits_until_the_first_is_done(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    waiting, entered = threading.Event(), threading.Event()

    def enter() -> None:
        with exclusive(lock, waiting.set):
            entered.set()

    with start_holder(lock) as holder:
        second = threading.Thread(target=enter)
        second.start()
        assert waiting.wait(10)
        assert not entered.is_set()
        assert holder.stdin is not None
        holder.stdin.close()
        assert entered.wait(10)
        second.join(10)


def test_a_killed_holder_releases_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with start_holder(lock) as holder:
        holder.kill()
        holder.wait(10)
    waited: list[str] = []
    with exclusive(lock, lambda: waited.append("waited")):
        assert waited == []
