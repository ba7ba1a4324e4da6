"""The queue of downloads: what runs, in which order, and what of it outlives the program."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from app.core.downloads import DownloadFile, DownloadState
from app.hub.download.transfer import SILENCE_TIMEOUT_S
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer
from tests.services.download_queue import CONTENT, SLOW_BYTES_PER_S, WAIT_MS, Start, hub, start

__all__ = ["hub", "start"]


def test_one_after_the_other_in_the_order_of_the_list(start: Start) -> None:
    queue = start()
    added = [queue.add(name) for name in ("one", "two")]
    assert queue.states() == [DownloadState.RUNNING, DownloadState.QUEUED]
    queue.until(lambda: len(queue.finished) == 2)
    assert [download.name for download in queue.finished] == ["one", "two"]
    first = queue.now(added[0])
    assert first.path == str(queue.own / "maker" / "one" / "one.gguf")
    assert Path(first.path).read_bytes() == CONTENT
    assert first.done_bytes == first.total_bytes == len(CONTENT)
    assert first.files[0].sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert len(first.files[0].commit) == 40


def test_several_at_a_time(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start(downloads__parallel=2)
    for name in ("one", "two", "three"):
        queue.add(name)
    assert queue.states() == [DownloadState.RUNNING, DownloadState.RUNNING, DownloadState.QUEUED]
    queue.settings.set_value("downloads.parallel", 3)
    assert queue.states() == [DownloadState.RUNNING] * 3
    queue.settings.set_value("downloads.parallel", 1)
    assert queue.states() == [DownloadState.RUNNING, DownloadState.QUEUED, DownloadState.QUEUED]


def test_progress_is_told_four_times_a_second_at_most(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S * 2
    queue = start()
    added = queue.add("one")
    queue.until_state(added, DownloadState.DONE)
    told = [(moment, d) for moment, d in queue.changes if d.state is DownloadState.RUNNING and d.done_bytes]
    assert 4 < len(told) <= (told[-1][0] - told[0][0]) * 4 + 2
    late = told[-1][1]
    assert 0 < late.bytes_per_second < 2 * hub.cdn.bytes_per_second
    assert late.seconds_left is not None


def test_pause_and_resume(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    first, second = queue.add("one"), queue.add("two")
    queue.until_received(first)
    queue.service.pause(first.id)
    assert queue.states() == [DownloadState.PAUSED, DownloadState.RUNNING]
    queue.service.pause(second.id)
    hub.cdn.bytes_per_second = None
    queue.until(lambda: queue.now(first).done_bytes > 0)
    queue.service.resume(first.id)
    queue.until_state(first, DownloadState.DONE)
    assert queue.now(second).state is DownloadState.PAUSED
    assert Path(queue.now(first).path).read_bytes() == CONTENT
    assert hub.seen("cdn", containing="one")[-1].headers["range"] != "bytes=0-"


def test_pausing_and_resuming_in_quick_turns(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    added = queue.add("one")
    for _ in range(5):
        queue.service.pause(added.id)
        queue.service.resume(added.id)
    queue.until_received(added)
    queue.service.pause(added.id)
    queue.service.resume(added.id)
    hub.cdn.bytes_per_second = None
    queue.until_state(added, DownloadState.DONE)
    assert Path(queue.now(added).path).read_bytes() == CONTENT


def test_the_order_can_be_changed(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    _, second, third = (queue.add(name) for name in ("one", "two", "three"))
    queue.service.move(third.id, 1)
    assert queue.names() == ["one", "three", "two"]
    queue.service.move(second.id, 0)  # whoever is first runs
    assert queue.names() == ["two", "one", "three"]
    assert queue.states() == [DownloadState.RUNNING, DownloadState.QUEUED, DownloadState.QUEUED]


def test_a_cancelled_download_can_be_brought_back(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    added = queue.add("one")
    queue.until_received(added)
    queue.service.cancel(added.id)
    assert queue.service.downloads == []
    hub.cdn.bytes_per_second = None
    queue.service.restore(added.id)
    assert queue.names() == ["one"]
    queue.until_state(added, DownloadState.DONE)
    assert hub.seen("cdn")[-1].headers["range"] != "bytes=0-"


def test_the_same_files_are_one_download(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    added = queue.add("one")
    assert queue.add("one").id == added.id
    queue.service.cancel(added.id)
    assert queue.add("one").id == added.id
    assert queue.names() == ["one"]


def test_the_list_survives_the_end_of_the_program(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    first, second, third = (queue.add(name) for name in ("one", "two", "three"))
    queue.service.pause(second.id)
    queue.service.move(third.id, 0)
    queue.service.move(first.id, 0)
    queue.until_received(first)
    queue.end()
    hub.cdn.bytes_per_second = None

    later = start()
    assert later.names() == ["one", "three", "two"]
    assert later.service.downloads[0].done_bytes > 100_000
    later.until(lambda: len(later.finished) == 2)
    assert later.now(second).state is DownloadState.PAUSED
    assert Path(later.now(first).path).read_bytes() == CONTENT
    assert hub.seen("cdn", containing="one")[-1].headers["range"] != "bytes=0-"


def test_what_is_complete_in_the_last_moment_is_told_at_the_next_start(start: Start) -> None:
    queue = start()
    added = queue.add("one")
    path = queue.own / "maker" / "one" / "one.gguf"
    deadline = time.monotonic() + WAIT_MS / 1000
    while not path.exists() or len(list(path.parent.iterdir())) > 1:  # no event is handled, so nothing is noticed
        assert time.monotonic() < deadline
        time.sleep(0.01)
    queue.end()
    assert queue.finished == []
    later = start()
    later.until_state(added, DownloadState.DONE)
    assert [download.path for download in later.finished] == [str(path)]


def test_the_end_of_the_program_does_not_wait_for_a_dead_connection(start: Start, hub: HubServer) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.STALL, at_byte=500_000))
    queue = start()
    queue.until_received(queue.add("one"))
    began = time.monotonic()
    queue.end()
    assert time.monotonic() - began < SILENCE_TIMEOUT_S / 2


def test_what_is_added_before_the_database_is_open_is_not_lost(start: Start) -> None:
    queue = start(is_open=False)
    queue.add("one")
    assert queue.states() == [DownloadState.QUEUED]
    queue.open()
    queue.until(lambda: len(queue.finished) == 1)


def test_what_is_added_before_the_database_is_open_comes_last(start: Start) -> None:
    queue = start(hub__offline=True)
    for name in ("one", "two"):
        queue.add(name)
    queue.end()
    later = start(is_open=False)
    later.add("three")
    later.open()
    assert later.names() == ["one", "two", "three"]


def test_no_time_is_told_while_the_size_is_not_known(start: Start, hub: HubServer) -> None:
    hub.add_repo("maker/split", {"a.gguf": CONTENT, "b.gguf": CONTENT})
    hub.cdn.bytes_per_second = 2 * SLOW_BYTES_PER_S
    queue = start()
    added = queue.service.add([DownloadFile("maker/split", path) for path in ("a.gguf", "b.gguf")], "split")
    queue.until(lambda: queue.now(added).total_bytes == 2 * len(CONTENT))
    assert len(queue.changes) > 4
    assert all(told.seconds_left is None or told.total_bytes for _, told in queue.changes)


def test_connections_that_break_do_not_reach_the_person(start: Start, hub: HubServer) -> None:
    for at_byte in (300_000, 700_000):
        hub.fail_next("/files/*", Fault(FaultKind.RESET, at_byte=at_byte))
    queue = start()
    added = queue.add("one")
    queue.until_state(added, DownloadState.DONE)
    assert queue.failed == []
    assert Path(queue.now(added).path).read_bytes() == CONTENT
