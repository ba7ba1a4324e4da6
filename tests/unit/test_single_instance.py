import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtNetwork import QLocalSocket
from pytestqt.qtbot import QtBot

from app.single_instance import MAX_MESSAGE_BYTES, SingleInstance

Make = Callable[[Path], SingleInstance]
ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from app.single_instance import SingleInstance
application = QCoreApplication([])
instance = SingleInstance(Path(sys.argv[1]), application)
print(instance.acquire(), flush=True)
time.sleep(60)
"""

HAND_OVER = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from app.single_instance import SingleInstance
application = QCoreApplication([])
sys.exit(0 if SingleInstance(Path(sys.argv[1]), application).hand_over(sys.argv[2]) else 1)
"""


@pytest.fixture
def make(qtbot: QtBot) -> Iterator[Make]:
    made: list[SingleInstance] = []

    def make_one(folder: Path) -> SingleInstance:
        made.append(SingleInstance(folder))
        return made[-1]

    yield make_one
    for instance in made:
        instance.release()


def hand_over(qtbot: QtBot, folder: Path, path: str) -> bool:
    """What a second start does, in a process of its own; whether the first answered."""
    with subprocess.Popen([sys.executable, "-c", HAND_OVER, str(folder), path], cwd=ROOT) as second:
        try:
            qtbot.waitUntil(lambda: second.poll() is not None, timeout=15_000)
        finally:
            second.kill()
    return second.returncode == 0


@pytest.mark.parametrize("name", ["data", "ein Ordner mit Ümläuten 😀", "long/" * 40 + "end"])
def test_a_second_start_hands_its_file_to_the_first(qtbot: QtBot, make: Make, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    first, opened = make(folder), []
    first.raised.connect(opened.append)
    assert first.acquire()
    assert not make(folder).acquire()
    assert hand_over(qtbot, folder, "/tmp/ä model.gguf")
    assert hand_over(qtbot, folder, "")
    assert opened == ["/tmp/ä model.gguf", ""]


def test_folders_do_not_disturb_each_other(make: Make, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert make(tmp_path / name).acquire()


def test_after_its_release_the_next_may_have_it(make: Make, tmp_path: Path) -> None:
    first = make(tmp_path)
    assert first.acquire()
    first.release()
    assert make(tmp_path).acquire()


def test_the_lock_of_a_killed_process_is_taken_over(qtbot: QtBot, make: Make, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"True\n"
            assert not make(tmp_path).acquire()
        finally:
            holder.kill()
    instance, opened = make(tmp_path), []
    instance.raised.connect(opened.append)
    assert instance.acquire()
    assert hand_over(qtbot, tmp_path, "x")
    assert opened == ["x"]


def test_nobody_there_is_told(make: Make, tmp_path: Path) -> None:
    assert not make(tmp_path).hand_over("x")


def test_a_folder_that_cannot_hold_a_lock_does_not_keep_hearth_from_starting(make: Make, tmp_path: Path) -> None:
    assert make(tmp_path / "missing").acquire()


def test_without_a_lock_the_first_that_answers_is_the_one(make: Make, tmp_path: Path) -> None:
    nowhere = tmp_path / "not" / "there"
    first, second = make(nowhere), make(nowhere)
    assert first.acquire()
    assert not second.acquire()


@pytest.mark.parametrize(
    "message",
    [b"\n", b"garbage\n", b'{"open": 5}\n', b"[]\n", b"\xff\xfe\n", b'"' + b"x" * (MAX_MESSAGE_BYTES * 3) + b'"\n'],
    ids=["empty", "garbage", "number", "list", "bytes", "too long"],
)
def test_garbage_at_the_door_harms_nobody(qtbot: QtBot, make: Make, tmp_path: Path, message: bytes) -> None:
    instance, opened = make(tmp_path), []
    instance.raised.connect(opened.append)
    assert instance.acquire()
    socket = QLocalSocket()
    socket.connectToServer(instance._name)
    assert socket.waitForConnected(2_000)
    socket.write(message)
    qtbot.wait(100)
    socket.abort()
    assert all(path == "" for path in opened)
    opened.clear()
    assert hand_over(qtbot, tmp_path, "real.gguf")
    assert opened == ["real.gguf"]
