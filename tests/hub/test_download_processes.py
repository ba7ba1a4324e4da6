"""Downloads of several processes, of killed ones, and on disks that are full."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.downloads import DownloadFile
from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.download.part_file import lock_path, part_path
from app.hub.download.transfer import Transfer
from tests.hub.hub_server import HubServer
from tests.unit.storage.conftest import read_only, small_disk
from tests.unit.storage.disks import fill_disk

__all__ = ["read_only", "small_disk"]

REPO, NAME = "maker/tiny", "tiny.gguf"
CONTENT = random.Random(9).randbytes(1_500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = DownloadFile(REPO, NAME, sha256=SHA256, size_bytes=len(CONTENT))
WAIT_S = 30.0
CHILD = """
import json, sys
from pathlib import Path
from app.core.downloads import DownloadFile
from app.core.errors import UserError
from app.hub.access import HubAccess
from app.hub.download.transfer import Transfer

url, folder, file, limit_bytes = json.loads(sys.argv[1])
if limit_bytes:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
try:
    Transfer(HubAccess(url), (DownloadFile(**file),), Path(folder)).run()
except UserError as error:
    print(json.dumps(error.to_json()))
    sys.exit(3)
"""
ROOT = Path(__file__).resolve().parents[2]

StartChild = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def tiny_hub(hub: HubServer) -> HubServer:
    hub.add_repo(REPO, {NAME: CONTENT})
    return hub


@pytest.fixture
def start_child(tiny_hub: HubServer) -> Iterator[StartChild]:
    children: list[subprocess.Popen[str]] = []

    def start(folder: Path, limit_bytes: int = 0) -> subprocess.Popen[str]:
        file = {"repo": REPO, "path": NAME, "sha256": SHA256, "size_bytes": len(CONTENT)}
        argument = json.dumps([tiny_hub.url, str(folder), file, limit_bytes])
        command = [sys.executable, "-c", CHILD, argument]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def received_bytes(folder: Path) -> int:
    """What the journal in a folder says."""
    try:
        journal = json.loads((folder / f"{NAME}.part.json").read_text())
    except FileNotFoundError:
        return 0
    return sum(end - begin for begin, end in journal["done"])


def test_a_killed_process_loses_two_seconds_at_most(
    tiny_hub: HubServer, start_child: StartChild, tmp_path: Path
) -> None:
    tiny_hub.cdn.bytes_per_second = 150_000
    child = start_child(tmp_path)
    wait_until(lambda: received_bytes(tmp_path) > 400_000)
    child.kill()
    assert child.wait(WAIT_S) == -signal.SIGKILL
    received = received_bytes(tmp_path)
    assert received <= part_path(tmp_path / NAME).stat().st_size <= received + 3 * 150_000
    tiny_hub.cdn.bytes_per_second = None
    Transfer(HubAccess(tiny_hub.url), (FILE,), tmp_path).run()
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert tiny_hub.seen("cdn")[-1].headers["range"] == f"bytes={received}-"
    assert {path.name for path in tmp_path.iterdir()} == {NAME}


def test_two_processes_on_one_file_download_it_once(
    tiny_hub: HubServer, start_child: StartChild, tmp_path: Path
) -> None:
    tiny_hub.cdn.bytes_per_second = 500_000
    children = [start_child(tmp_path) for _ in range(2)]
    assert [child.wait(WAIT_S) for child in children] == [0, 0]
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert len(tiny_hub.seen("cdn")) == 1
    assert {path.name for path in tmp_path.iterdir()} == {NAME}


def test_who_waits_goes_on_where_a_killed_process_was(
    tiny_hub: HubServer, start_child: StartChild, tmp_path: Path
) -> None:
    tiny_hub.cdn.bytes_per_second = 150_000
    first = start_child(tmp_path)
    wait_until(lambda: received_bytes(tmp_path) > 100_000)
    second = start_child(tmp_path)
    first.kill()
    first.wait(WAIT_S)
    tiny_hub.cdn.bytes_per_second = None
    assert second.wait(WAIT_S) == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert tiny_hub.seen("cdn")[-1].headers["range"] != "bytes=0-"


def test_a_disk_that_fills_up_is_told_and_what_came_is_kept(
    tiny_hub: HubServer, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hub.download.transfer.RESERVE_BYTES", 0)
    folder = small_disk / "models"
    folder.mkdir()
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    with pytest.raises(UserError) as told:
        Transfer(HubAccess(tiny_hub.url), (FILE,), folder).run()
    assert told.value.kind is ErrorKind.DISK_SPACE
    assert not tiny_hub.seen("cdn")

    monkeypatch.setattr("app.hub.download.transfer.free_bytes", lambda folder: 1 << 40)  # as before others filled it
    with pytest.raises(UserError) as told:
        Transfer(HubAccess(tiny_hub.url), (DownloadFile(REPO, NAME),), folder).run()
    assert told.value.kind is ErrorKind.DISK_SPACE
    assert 0 < told.value.integer("needed_bytes") < len(CONTENT)
    kept_bytes = part_path(folder / NAME).stat().st_size
    assert kept_bytes > 500_000
    ballast.unlink()
    Transfer(HubAccess(tiny_hub.url), (FILE,), folder).run()
    assert (folder / NAME).read_bytes() == CONTENT


def test_a_disk_that_is_full_already(tiny_hub: HubServer, small_disk: Path) -> None:
    folder = small_disk / "models"
    folder.mkdir()
    fill_disk(small_disk)
    with pytest.raises(UserError) as told:
        Transfer(HubAccess(tiny_hub.url), (FILE,), folder).run()
    assert told.value.kind is ErrorKind.DISK_SPACE


@pytest.mark.skipif(os.name != "posix", reason="only POSIX limits the size of files")
def test_a_disk_that_cannot_hold_so_large_a_file(start_child: StartChild, tmp_path: Path) -> None:
    child = start_child(tmp_path, limit_bytes=1_000_000)
    told, _ = child.communicate(timeout=WAIT_S)
    assert child.returncode == 3
    assert json.loads(told)["kind"] == ErrorKind.FILE_TOO_LARGE


def test_a_folder_that_cannot_be_written(
    tiny_hub: HubServer, tmp_path: Path, read_only: Callable[[Path], None]
) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    read_only(folder)
    with pytest.raises(UserError) as told:
        Transfer(HubAccess(tiny_hub.url), (FILE,), folder).run()
    assert told.value.kind is ErrorKind.FOLDER_READ_ONLY


def test_a_folder_that_is_a_file(tiny_hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.write_text("not a folder")
    with pytest.raises(UserError) as told:
        Transfer(HubAccess(tiny_hub.url), (FILE,), folder).run()
    assert told.value.kind is ErrorKind.WRITE_FAILED


def test_a_folder_that_cannot_even_be_looked_for(tiny_hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        Transfer(HubAccess(tiny_hub.url), (FILE,), tmp_path / ("long" * 80)).run()
    assert told.value.kind is ErrorKind.WRITE_FAILED


def test_a_lock_that_a_killed_process_left_does_not_hold_anybody_up(
    tiny_hub: HubServer, start_child: StartChild, tmp_path: Path
) -> None:
    tiny_hub.cdn.bytes_per_second = 100_000
    child = start_child(tmp_path)
    wait_until(lambda: received_bytes(tmp_path) > 0)
    child.kill()
    child.wait(WAIT_S)
    assert lock_path(tmp_path / NAME).exists()
    tiny_hub.cdn.bytes_per_second = None
    Transfer(HubAccess(tiny_hub.url), (FILE,), tmp_path).run()
    assert (tmp_path / NAME).read_bytes() == CONTENT
