"""The whole of the services of the program, killed in the middle of a download and started again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.hub.download.part_file import lock_path
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer

ROOT = Path(__file__).resolve().parents[2]
CONTENT = random.Random(11).randbytes(1_500_000)
WAIT_S = 60.0
PROGRAM = """
import sys
from PySide6.QtCore import QCoreApplication, QTimer
from app.bootstrap import build_profile
from app.core.downloads import DownloadFile
from app.paths import choose_paths

data, adds = sys.argv[1], sys.argv[2] == "add"
application = QCoreApplication([])
profile = build_profile(choose_paths(data), application, "scripted:none")
downloads = profile.downloads

def on_finished(download):
    print(download.path, flush=True)
    application.quit()

downloads.finished.connect(on_finished)
downloads.failed.connect(lambda download: print(download.error, flush=True))
if adds:
    downloads.add([DownloadFile("maker/tiny", "tiny.gguf")], "Tiny")
profile.store.open()
if ends_after_ms := int(sys.argv[3]):
    QTimer.singleShot(ends_after_ms, application.quit)
application.exec()
profile.shut_down()
"""


@contextmanager
def program(data: Path, hub: HubServer, what: str, ends_after_ms: int = 0) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", PROGRAM, str(data), what, str(ends_after_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def received_bytes(data: Path) -> int:
    for journal in data.rglob("*.part.json"):
        return sum(end - begin for begin, end in json.loads(journal.read_text())["done"])
    return 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no file here keeps whoever opens it waiting")
def test_a_disk_that_does_not_answer_lets_the_program_end(tmp_path: Path) -> None:
    data = tmp_path / "data"
    target = data / "models" / "maker" / "tiny" / "tiny.gguf"
    target.parent.mkdir(parents=True)
    os.mkfifo(lock_path(target))
    with HubServer() as hub, program(data, hub, "add", ends_after_ms=1500) as process:
        assert process.wait(WAIT_S) == 0
        assert not hub.requests  # it did wait there


def test_two_resets_and_a_kill_cost_a_person_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with HubServer() as hub:
        hub.add_repo("maker/tiny", {"tiny.gguf": CONTENT})
        hub.cdn.bytes_per_second = 250_000
        for at_byte in (100_000, 150_000):
            hub.fail_next("/files/*", Fault(FaultKind.RESET, at_byte=at_byte))
        with program(data, hub, "add") as first:
            deadline = time.monotonic() + WAIT_S
            while received_bytes(data) < 400_000:
                assert time.monotonic() < deadline
                assert first.poll() is None
                time.sleep(0.05)
            first.kill()
            assert first.wait(WAIT_S) == -signal.SIGKILL
        received = received_bytes(data)
        hub.cdn.bytes_per_second = None
        with program(data, hub, "go on") as second:
            assert second.stdout is not None
            path = Path(second.stdout.readline().strip())
            assert second.wait(WAIT_S) == 0
        assert path.read_bytes() == CONTENT
        assert hub.seen("cdn")[-1].headers["range"] == f"bytes={received}-"
        assert hub.faults.left == 0
