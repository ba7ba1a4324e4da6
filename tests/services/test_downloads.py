"""The queue of downloads over a real database and a hub on loopback."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.core.downloads import Download, DownloadFile, DownloadState, WaitReason
from app.core.errors import ErrorKind, UserError
from app.core.settings import Value
from app.hub.access import HubAccess
from app.hub.download.part_file import part_path
from app.hub.download.transfer import SILENCE_TIMEOUT_S
from app.services.downloads import DownloadService
from app.services.explain import explain
from app.services.settings import SettingsService
from app.services.store import StoreService
from app.services.tasks import Tasks
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer

WAIT_MS = 15_000
CONTENT = random.Random(7).randbytes(2_000_000)
SLOW_BYTES_PER_S = 400_000


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        for name in ("one", "two", "three"):
            server.add_repo(f"maker/{name}", {f"{name}.gguf": CONTENT})
        yield server


class Queue:
    """One run of the program, as far as downloads go, and what it said."""

    def __init__(self, folder: Path, hub: HubServer, qtbot: QtBot, values: dict[str, Value]) -> None:
        folder.mkdir(exist_ok=True)
        self.own = folder / "models"
        self.access = HubAccess(hub.url)
        self.store = StoreService(folder / "hearth.db", folder / "backups")
        self.tasks = Tasks()
        self.settings = SettingsService(folder / "settings.json")
        for key, value in values.items():
            self.settings.set_value(key, value)
        self.service = DownloadService(self.store, self.tasks, self.settings, lambda: self.access, self.own)
        self.finished: list[Download] = []
        self.failed: list[Download] = []
        self.changes: list[tuple[float, Download]] = []
        self.service.finished.connect(self.finished.append)
        self.service.failed.connect(self.failed.append)
        self.service.changed.connect(lambda download: self.changes.append((time.monotonic(), download)))
        self._qtbot = qtbot

    def open(self) -> None:
        with self._qtbot.waitSignal(self.service.listed, timeout=WAIT_MS):
            self.store.open()

    def add(self, name: str, **options: object) -> Download:
        return self.service.add([DownloadFile(f"maker/{name}", f"{name}.gguf")], name, **options)  # type: ignore[arg-type]

    def until(self, condition: Callable[[], bool]) -> None:
        self._qtbot.waitUntil(condition, timeout=WAIT_MS)

    def states(self) -> list[DownloadState]:
        return [download.state for download in self.service.downloads]

    def names(self) -> list[str]:
        return [download.name for download in self.service.downloads]

    def now(self, download: Download) -> Download:
        found = self.service.download(download.id)
        assert found is not None
        return found

    def until_state(self, download: Download, *states: DownloadState) -> None:
        self.until(lambda: self.now(download).state in states)

    def until_received(self, download: Download) -> None:
        self.until(lambda: self.now(download).done_bytes > 100_000)

    def end(self) -> None:
        self.service.shut_down()
        self.settings.close()
        self.tasks.shut_down()
        self.store.close()


Start = Callable[..., Queue]


@pytest.fixture
def start(tmp_path: Path, hub: HubServer, qtbot: QtBot) -> Iterator[Start]:
    queues: list[Queue] = []

    def begin(*, is_open: bool = True, **values: Value) -> Queue:
        named = {key.replace("__", "."): value for key, value in values.items()}
        queue = Queue(tmp_path / "data", hub, qtbot, named)
        queues.append(queue)
        if is_open:
            queue.open()
        return queue

    yield begin
    for queue in queues:
        queue.end()


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
    assert queue.service.active_count == 0


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


def test_what_was_cancelled_long_ago_gives_its_room_back(
    start: Start, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.downloads.CLOCK_MS", 200)
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    added, other = queue.add("one"), queue.add("two")
    queue.until_received(added)
    queue.service.cancel(added.id)
    part = part_path(queue.own / "maker" / "one" / "one.gguf")
    queue.until_received(other)
    assert part.exists()
    monkeypatch.setattr("app.services.download_list.CANCELLED_KEPT", timedelta(0))
    queue.until(lambda: not part.exists())
    assert queue.service.download(added.id) is None
    queue.service.restore(added.id)  # too late: nothing happens
    assert queue.names() == ["two"]


def test_what_was_cancelled_takes_nothing_from_another_version_of_the_file(
    start: Start, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.downloads.CLOCK_MS", 200)
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    cancelled = queue.add("one")
    queue.until_received(cancelled)
    queue.service.cancel(cancelled.id)
    commit = hub.add_repo("maker/one", {"one.gguf": bytes(reversed(CONTENT))})
    newer = queue.service.add([DownloadFile("maker/one", "one.gguf", commit)], "one")
    queue.until_received(newer)
    queue.service.pause(newer.id)
    queue.until(lambda: queue.service.active_count == 0)
    monkeypatch.setattr("app.services.download_list.CANCELLED_KEPT", timedelta(0))
    queue.until(lambda: queue.service.download(cancelled.id) is None)
    last = queue.add("two")  # what was to be removed is removed by then
    queue.until_received(last)
    assert part_path(queue.own / "maker" / "one" / "one.gguf").stat().st_size > 100_000


def test_what_was_cancelled_in_an_earlier_run_gives_its_room_back(
    start: Start, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    added = queue.add("one")
    queue.until_received(added)
    queue.service.cancel(added.id)
    queue.end()
    part = part_path(queue.own / "maker" / "one" / "one.gguf")
    assert part.exists()
    monkeypatch.setattr("app.services.download_list.CANCELLED_KEPT", timedelta(0))
    later = start()
    later.until(lambda: not part.exists())
    assert later.service.download(added.id) is None


def test_a_download_that_is_done_leaves_the_list_and_stays_on_the_disk(start: Start) -> None:
    queue = start()
    added = queue.add("one")
    queue.until_state(added, DownloadState.DONE)
    path = Path(queue.now(added).path)
    queue.service.clear_done()
    assert queue.service.downloads == []
    assert path.exists()


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


def test_a_failure_is_told_and_can_be_tried_again(start: Start, hub: HubServer) -> None:
    hub.add_repo("maker/gated", {"gated.gguf": CONTENT}, gated="auto")
    hub.tokens = {"good": {"maker/gated"}}
    queue = start()
    added = queue.add("gated")
    queue.until(lambda: len(queue.failed) == 1)
    error = queue.now(added).error
    assert error is not None
    assert error.kind is ErrorKind.GATED
    assert explain(error).actions
    queue.access = HubAccess(hub.url, "good")
    queue.service.retry(added.id)
    queue.until_state(added, DownloadState.DONE)


def test_a_token_opens_what_was_refused(start: Start, hub: HubServer) -> None:
    hub.add_repo("maker/gated", {"gated.gguf": CONTENT}, gated="auto")
    hub.tokens = {"good": {"maker/gated"}}
    queue = start()
    refused, missing = queue.add("gated"), queue.add("missing")
    queue.until(lambda: len(queue.failed) == 2)
    queue.access = HubAccess(hub.url, find_token=lambda: "good")
    queue.service.reconnect()
    queue.until_state(refused, DownloadState.DONE)
    assert queue.now(missing).state is DownloadState.FAILED


def test_another_file_of_that_name_is_replaced_only_when_told(start: Start) -> None:
    queue = start()
    place = queue.own / "maker" / "one" / "one.gguf"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    added = queue.add("one")
    queue.until_state(added, DownloadState.FAILED)
    assert queue.now(added).error == UserError(ErrorKind.NAME_TAKEN, path=str(place))
    assert place.read_bytes() == b"mine"
    queue.service.replace(added.id)
    queue.until_state(added, DownloadState.DONE)
    assert place.read_bytes() == CONTENT


def test_what_runs_already_may_be_told_to_replace(start: Start) -> None:
    queue = start()
    place = queue.own / "maker" / "one" / "one.gguf"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"an older version")
    added = queue.add("one")
    queue.service.replace(added.id)
    queue.until_state(added, DownloadState.DONE, DownloadState.FAILED)
    assert queue.now(added).error is None
    assert place.read_bytes() == CONTENT


def test_a_file_in_another_folder_is_not_replaced_because_one_in_the_first_was_to_be(
    start: Start, tmp_path: Path
) -> None:
    queue = start()
    places = [queue.own / "maker" / "one" / "one.gguf", tmp_path / "other" / "one.gguf"]
    for place in places:
        place.parent.mkdir(parents=True)
        place.write_bytes(b"mine")
    added = queue.add("one")
    queue.until_state(added, DownloadState.FAILED)
    queue.service.replace(added.id)
    queue.service.use_folder(added.id, tmp_path / "other")
    queue.until_state(added, DownloadState.FAILED)
    assert queue.now(added).error == UserError(ErrorKind.NAME_TAKEN, path=str(places[1]))
    assert [place.read_bytes() for place in places] == [b"mine", b"mine"]


def test_the_folder_where_it_is_already_costs_nothing(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    added = queue.add("one")
    queue.until_received(added)
    queue.service.pause(added.id)
    queue.service.use_folder(added.id, Path(added.folder))
    hub.cdn.bytes_per_second = None
    queue.until_state(added, DownloadState.DONE)
    assert hub.seen("cdn")[-1].headers["range"] != "bytes=0-"


def test_another_folder(start: Start, hub: HubServer, tmp_path: Path) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start(downloads__folder=str(tmp_path / "drive"))
    added = queue.add("one")
    part = part_path(tmp_path / "drive" / "maker" / "one" / "one.gguf")
    queue.until_received(added)
    assert part.exists()
    hub.cdn.bytes_per_second = None
    queue.service.use_folder(added.id, tmp_path / "other")
    queue.until_state(added, DownloadState.DONE)
    assert queue.now(added).path == str(tmp_path / "other" / "one.gguf")
    queue.until(lambda: not part.exists())


def test_why_nothing_moves_is_told(start: Start, hub: HubServer) -> None:
    hub.fail_next("*/resolve/*", Fault.rate_limit(2000))
    queue = start()
    added = queue.add("one")
    queue.until(lambda: queue.now(added).wait_reason is WaitReason.RATE_LIMIT)
    waiting = queue.now(added)
    assert waiting.state is DownloadState.WAITING
    assert 1000 < waiting.retry_in_s <= 2000
    assert waiting.error is not None
    assert explain(waiting.error).text


def test_the_offline_switch(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    queue = start()
    added = queue.add("one")
    queue.until_received(added)
    queue.settings.set_value("hub.offline", True)
    offline = queue.now(added)
    assert (offline.state, offline.wait_reason) == (DownloadState.WAITING, WaitReason.OFFLINE)
    queue.until(lambda: queue.service.active_count == 0)
    hub.cdn.bytes_per_second = None
    queue.settings.set_value("hub.offline", False)
    queue.until_state(added, DownloadState.DONE)


def test_hours_are_waited_for_and_one_download_may_start_at_once(start: Start) -> None:
    hour = datetime.now().hour
    queue = start(
        downloads__at_night=True,
        downloads__night_from_hour=(hour + 3) % 24,
        downloads__night_until_hour=(hour + 5) % 24,
    )
    first, second = queue.add("one"), queue.add("two")
    assert queue.states() == [DownloadState.SCHEDULED] * 2
    assert queue.now(first).wait_reason is WaitReason.NIGHT
    queue.service.resume(second.id)
    queue.until_state(second, DownloadState.DONE)
    assert queue.now(first).state is DownloadState.SCHEDULED
    queue.settings.set_value("downloads.night_from_hour", hour)
    queue.until_state(first, DownloadState.DONE)


def test_what_runs_when_the_hours_end_goes_on_in_the_next(start: Start, hub: HubServer) -> None:
    hub.cdn.bytes_per_second = SLOW_BYTES_PER_S
    hour = datetime.now().hour
    queue = start(downloads__night_from_hour=(hour + 3) % 24, downloads__night_until_hour=(hour + 5) % 24)
    added = queue.add("one")
    queue.until_received(added)
    queue.settings.set_value("downloads.at_night", True)
    assert queue.now(added).state is DownloadState.SCHEDULED
    queue.until(lambda: not queue.service.active_count)
    assert queue.now(added).done_bytes > 100_000
    hub.cdn.bytes_per_second = None
    queue.settings.set_value("downloads.at_night", False)
    queue.until_state(added, DownloadState.DONE)
    assert hub.seen("cdn")[-1].headers["range"] != "bytes=0-"


def test_no_time_is_told_while_the_size_is_not_known(start: Start, hub: HubServer) -> None:
    hub.add_repo("maker/split", {"a.gguf": CONTENT, "b.gguf": CONTENT})
    hub.cdn.bytes_per_second = 2 * SLOW_BYTES_PER_S
    queue = start()
    added = queue.service.add([DownloadFile("maker/split", path) for path in ("a.gguf", "b.gguf")], "split")
    queue.until(lambda: queue.now(added).total_bytes == 2 * len(CONTENT))
    assert len(queue.changes) > 4
    assert all(told.seconds_left is None or told.total_bytes for _, told in queue.changes)


def test_the_limit_holds_and_can_be_lifted(start: Start) -> None:
    queue = start(downloads__limit_mb_per_s=0.5)
    added = queue.add("one")
    queue.until_received(added)
    assert queue.now(added).state is DownloadState.RUNNING
    queue.settings.set_value("downloads.limit_mb_per_s", 0.0)
    queue.until_state(added, DownloadState.DONE)


def test_a_new_way_to_the_hub_is_taken_at_once(start: Start, hub: HubServer) -> None:
    queue = start()
    nobody = HubServer()
    nobody.close()
    queue.access = HubAccess(nobody.url)
    added = queue.add("one")
    queue.until(lambda: queue.now(added).wait_reason is WaitReason.NETWORK)
    queue.access = HubAccess(hub.url)
    queue.service.reconnect()
    queue.until_state(added, DownloadState.DONE)


def test_connections_that_break_do_not_reach_the_person(start: Start, hub: HubServer) -> None:
    for at_byte in (300_000, 700_000):
        hub.fail_next("/files/*", Fault(FaultKind.RESET, at_byte=at_byte))
    queue = start()
    added = queue.add("one")
    queue.until_state(added, DownloadState.DONE)
    assert queue.failed == []
    assert Path(queue.now(added).path).read_bytes() == CONTENT
