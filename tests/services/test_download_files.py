"""What the queue of downloads does to files: those that are there already, and those that nobody wants any more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from app.core.downloads import DownloadFile, DownloadState
from app.core.errors import ErrorKind, UserError
from app.hub.download.part_file import part_path
from tests.hub.hub_server import HubServer
from tests.services.download_queue import CONTENT, SLOW_BYTES_PER_S, Start, hub, start

__all__ = ["hub", "start"]


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
    queue.until_idle()
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
