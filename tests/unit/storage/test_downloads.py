from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.core.downloads import Download, DownloadFile, DownloadId, DownloadState, WaitReason
from app.core.errors import ErrorKind, UserError
from app.storage.database import Database
from app.storage.downloads import DownloadStore
from app.storage.tables import DownloadRow

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FILES = tuple(DownloadFile("acme/Big", f"big-{n:05}-of-00002.gguf", "d" * 40, "e" * 64, 2**40) for n in (1, 2))
BIG = Download(DownloadId("big"), "Big \udcff", "acme/Big", "Q4_K_M", FILES, "/models", total_bytes=2**41)
SMALL = Download(
    DownloadId("small"),
    "Small",
    "acme/Small",
    "",
    (DownloadFile("acme/Small", "small.gguf"),),
    "/models",
    DownloadState.FAILED,
    error=UserError(ErrorKind.DISK_SPACE, needed_bytes=7, free_bytes=1, path="/models"),
    replaces=True,
)


@pytest.fixture
def downloads(database: Database) -> DownloadStore:
    return DownloadStore(database)


def test_the_list_comes_back_in_its_order(downloads: DownloadStore) -> None:
    assert downloads.list() == []
    downloads.save([], NOON)
    downloads.save([(1, BIG), (0, SMALL)], NOON)
    assert downloads.list() == [SMALL, BIG]
    done = replace(BIG, state=DownloadState.DONE, done_bytes=2**41, path="/models/big-00001-of-00002.gguf")
    downloads.save([(0, done), (1, replace(SMALL, name="Renamed"))], NOON)
    assert downloads.list() == [done, replace(SMALL, name="Renamed")]
    downloads.forget([BIG.id, DownloadId("unknown")])
    assert [download.id for download in downloads.list()] == [SMALL.id]


@pytest.mark.parametrize("state", [DownloadState.RUNNING, DownloadState.WAITING, DownloadState.VERIFYING])
def test_what_was_under_way_is_queued_at_the_next_start(downloads: DownloadStore, state: DownloadState) -> None:
    running = replace(BIG, state=state, done_bytes=5, bytes_per_second=7.0, wait_reason=WaitReason.NETWORK)
    downloads.save([(0, running)], NOON)
    assert downloads.list() == [replace(BIG, done_bytes=5)]


def test_what_was_cancelled_long_ago_is_found(downloads: DownloadStore) -> None:
    cancelled = replace(BIG, state=DownloadState.CANCELLED)
    downloads.save([(0, cancelled), (1, SMALL)], NOON)
    assert downloads.cancelled_before(NOON) == []
    assert downloads.cancelled_before(NOON + timedelta(hours=1)) == [cancelled]


def test_what_a_later_version_wrote_is_read_as_far_as_it_is_known(
    database: Database, downloads: DownloadStore, open_database: Callable[[], Database]
) -> None:
    downloads.save([(0, SMALL)], NOON)
    with database.session() as session:
        row = session.get_one(DownloadRow, SMALL.id)
        row.state = "teleporting"
        row.files = '[{"repo": "acme/Small", "path": "small.gguf", "signature": "x"}]'
    (found,) = downloads.list()
    assert found == replace(SMALL, state=DownloadState.PAUSED)
