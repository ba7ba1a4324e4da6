"""Downloads that wait for another program, or for a host, beside those that could go on meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.downloads import DownloadState, WaitReason
from app.hub.download.part_file import part_path
from tests.hub.faults import Fault
from tests.hub.hub_server import HubServer
from tests.services.download_queue import CONTENT, SLOW_BYTES_PER_S, Start, hub, start

__all__ = ["hub", "start"]

CRAWL_BYTES_PER_S = 50_000  # so that nothing ends before it was looked at
CRAWL_MB_PER_S = 0.1
ROOT = Path(__file__).resolve().parents[2]
OTHER_PROGRAM = """
import json, sys
from pathlib import Path
from app.core.downloads import DownloadFile
from app.hub.access import HubAccess
from app.hub.download.transfer import Transfer

url, repo, file, folder = json.loads(sys.argv[1])
Transfer(HubAccess(url), (DownloadFile(repo, file),), Path(folder)).run()
"""
StartOther = Callable[[str, Path], "subprocess.Popen[bytes]"]


@pytest.fixture
def start_other(hub: HubServer) -> Iterator[StartOther]:
    """Starts another process that downloads the same file to the same place."""
    children: list[subprocess.Popen[bytes]] = []

    def begin(name: str, folder: Path) -> subprocess.Popen[bytes]:
        argument = json.dumps([hub.url, f"maker/{name}", f"{name}.gguf", str(folder)])
        children.append(subprocess.Popen([sys.executable, "-c", OTHER_PROGRAM, argument], cwd=ROOT))
        return children[-1]

    yield begin
    for child in children:
        child.kill()
        child.wait()


def test_while_one_waits_for_another_program_the_next_runs(
    start: Start, hub: HubServer, start_other: StartOther
) -> None:
    hub.cdn.bytes_per_second = CRAWL_BYTES_PER_S
    queue = start(downloads__limit_mb_per_s=CRAWL_MB_PER_S)
    folder = queue.own / "maker" / "one"
    other = start_other("one", folder)
    queue.until(part_path(folder / "one.gguf").exists)
    first, second, third = (queue.add(name) for name in ("one", "two", "three"))
    queue.until_received(second)
    assert queue.states() == [DownloadState.WAITING, DownloadState.RUNNING, DownloadState.QUEUED]
    assert queue.now(first).wait_reason is WaitReason.OTHER_PROGRAM

    other.kill()
    other.wait()
    hub.cdn.bytes_per_second = None
    running_first = [DownloadState.RUNNING, DownloadState.QUEUED, DownloadState.QUEUED]
    queue.until(lambda: queue.states() == running_first)  # it comes before the others again
    queue.settings.set_value("downloads.limit_mb_per_s", 0.0)
    queue.until(lambda: len(queue.finished) == 3)
    assert queue.finished[0].name == "one"
    assert all(Path(queue.now(each).path).read_bytes() == CONTENT for each in (first, second, third))


def test_a_file_that_another_program_completes_is_not_fetched_again(
    start: Start, hub: HubServer, start_other: StartOther
) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    folder = queue.own / "maker" / "one"
    other = start_other("one", folder)
    queue.until(part_path(folder / "one.gguf").exists)
    first, _ = queue.add("one"), queue.add("two")
    queue.until(lambda: len(queue.finished) == 2)
    assert other.wait() == 0
    assert len(hub.seen("cdn", containing="one.gguf")) == 1
    assert Path(queue.now(first).path).read_bytes() == CONTENT


def test_a_host_that_asks_for_a_pause_holds_only_what_comes_from_it(start: Start, hub: HubServer) -> None:
    hub.fail_next("/files/maker/one/*", Fault.rate_limit(2000))
    queue = start()
    first, second = queue.add("one"), queue.add("two")
    queue.until_state(second, DownloadState.DONE)
    waiting = queue.now(first)
    assert (waiting.state, waiting.wait_reason) == (DownloadState.WAITING, WaitReason.RATE_LIMIT)
    assert waiting.retry_in_s > 1000


def test_after_the_pause_of_a_host_the_order_of_the_list_counts_again(start: Start, hub: HubServer) -> None:
    hub.fail_next("/files/maker/one/*", Fault.rate_limit(2))
    queue = start(downloads__limit_mb_per_s=CRAWL_MB_PER_S)
    first, second = queue.add("one"), queue.add("two")
    queue.until_received(second)
    queue.until_received(first)
    queue.until(lambda: queue.states() == [DownloadState.RUNNING, DownloadState.QUEUED])
    queue.settings.set_value("downloads.limit_mb_per_s", 0.0)
    queue.until(lambda: len(queue.finished) == 2)


def test_a_pause_that_the_hub_itself_asks_for_holds_all_that_would_ask_it(start: Start, hub: HubServer) -> None:
    hub.fail_next("/maker/one/resolve/*", Fault.rate_limit(2000))
    queue = start()
    first, second = queue.add("one"), queue.add("two")
    queue.until(lambda: queue.now(first).wait_reason is WaitReason.RATE_LIMIT)
    queue.settings.set_value("downloads.connections", 2)  # something else that arranges them
    queue.until(lambda: queue.now(first).retry_in_s < 1999)  # some looks later
    assert queue.now(second).state is DownloadState.QUEUED
    assert not hub.seen(containing="two")
