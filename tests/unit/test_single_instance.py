import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtNetwork import QLocalSocket
from pytestqt.qtbot import QtBot

from app import single_instance
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
instance.raised.connect(lambda path: print(path, flush=True))
print(instance.acquire(), flush=True)
time.sleep(float(sys.argv[2]))
instance.release() if sys.argv[3] == "release" else application.exec()
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


@contextmanager
def another_instance(folder: Path, busy_s: float, then: str = "answer") -> Iterator[subprocess.Popen[str]]:
    """A process that has the lock, does nothing for a while, and then answers or releases the lock."""
    command = [sys.executable, "-c", HOLD, str(folder), str(busy_s), then]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "True\n"
            yield holder
        finally:
            holder.kill()


def test_the_lock_of_a_killed_process_is_taken_over(qtbot: QtBot, make: Make, tmp_path: Path) -> None:
    with another_instance(tmp_path, 60):
        assert not make(tmp_path).acquire()
    instance, opened = make(tmp_path), []
    instance.raised.connect(opened.append)
    assert instance.acquire()
    assert hand_over(qtbot, tmp_path, "x")
    assert opened == ["x"]


def test_the_one_that_is_still_starting_is_asked_once_and_waited_for(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_instance, "CONNECT_MS", 200)
    with another_instance(tmp_path, 1) as first:
        assert not make(tmp_path).become_the_one("/a model.gguf")
        assert first.stdout is not None
        assert first.stdout.readline() == "/a model.gguf\n"
        first.kill()
        assert first.stdout.read() == ""


def test_the_one_that_is_closing_makes_room(qtbot: QtBot, make: Make, tmp_path: Path) -> None:
    with another_instance(tmp_path, 0.5, "release"):
        assert make(tmp_path).become_the_one("/a model.gguf")
    assert not make(tmp_path).acquire(), "the second has the lock"


def test_one_that_hangs_keeps_nobody_out(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_instance, "PATIENCE_MS", 200)
    with another_instance(tmp_path, 60):
        assert make(tmp_path).become_the_one("")


def test_a_folder_under_another_name_is_the_same(qtbot: QtBot, make: Make, tmp_path: Path) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    try:
        link.symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("links are not allowed here")
    first, opened = make(folder), []
    first.raised.connect(opened.append)
    assert first.acquire()
    for other in (link, folder / ".." / "folder"):
        assert hand_over(qtbot, other, "x")
    assert opened == ["x", "x"]


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
