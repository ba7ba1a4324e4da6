"""Downloads over a hub that fails in every way it can, slowly or fast."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.downloads import DownloadFile, DownloadState, WaitReason
from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.download.interruptible import StoppedError
from app.hub.download.limiter import RateLimiter
from app.hub.download.part_file import part_path
from app.hub.download.transfer import SILENCE_TIMEOUT_S, Transfer
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer
from tests.hub.running_transfer import CONTENT, NAME, REPO, Running, file, folder, names, start, transfer_of

__all__ = ["file", "folder", "start", "transfer_of"]


@pytest.fixture
def arrives(transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path) -> Callable[[], None]:
    """Downloads the file over all that the hub puts in its way: it is whole in the end."""

    def run() -> None:
        transfer_of(file).run()
        assert (folder / NAME).read_bytes() == CONTENT

    return run


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(FaultKind.RESET)],
        [Fault(FaultKind.RESET, at_byte=1_000_000), Fault(FaultKind.RESET, at_byte=700_000)],
        [Fault(FaultKind.DROP, at_byte=123_457), Fault(FaultKind.DROP, at_byte=1)],
        [Fault(FaultKind.STATUS, status=503), Fault(FaultKind.STATUS, status=500)],
        [Fault(FaultKind.EXPIRED_LINK)],
        [Fault(FaultKind.DROP, at_byte=1_000_000), Fault(FaultKind.EXPIRED_LINK)],
        [Fault(FaultKind.DROP, at_byte=1_000_000), Fault(FaultKind.IGNORE_RANGE)],
        [Fault(FaultKind.DROP, at_byte=1_000_000), Fault(FaultKind.WRONG_RANGE)],
        [Fault(FaultKind.WRONG_LENGTH, at_byte=17)],
        [Fault(FaultKind.DROP, at_byte=1_000_000), Fault(FaultKind.STATUS, status=416)],
    ],
    ids=lambda faults: "-".join(f"{fault.kind}{fault.status if fault.kind == 'status' else ''}" for fault in faults),
)
def test_faults_on_the_way_are_overcome(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer, faults: list[Fault]
) -> None:
    for fault in faults:
        hub.fail_next("/files/*", fault)
    transfer_of(file).run()
    assert (folder / NAME).read_bytes() == CONTENT
    assert names(folder) == {NAME}
    assert hub.faults.left == 0


def test_only_what_is_missing_is_asked_for_again(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer
) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.DROP, at_byte=1_000_000))
    transfer_of(file).run()
    assert [request.headers["range"] for request in hub.seen("cdn")] == ["bytes=0-", "bytes=1000000-"]


def test_a_link_that_ran_out_is_asked_for_again(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.DROP, at_byte=1_000_000))
    hub.fail_next("/files/*", Fault(FaultKind.EXPIRED_LINK))
    transfer_of(file).run()
    assert (folder / NAME).read_bytes() == CONTENT
    assert len(hub.seen("hub", "HEAD")) == 2


def test_several_connections_stay_several_when_their_link_runs_out(
    hub: HubServer, folder: Path, start: Callable[[Transfer], Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_SETTLE_S", 0.1), ("_MEASURE_S", 0.2), ("_LEAST_LEFT_BYTES", 1 << 20)):
        monkeypatch.setattr(f"app.hub.download.lane_count.{name}", value)
    monkeypatch.setattr("app.hub.download.gap_plan.BLOCK_BYTES", 1 << 20)
    monkeypatch.setattr("app.hub.download.gap_plan._SMALLEST_SHARE_BYTES", 1 << 18)
    monkeypatch.setattr("app.hub.download.remote_file._SURELY_FRESH_S", 0.0)

    def connections() -> int:
        return sum(thread.name == "hearth-download-connection" for thread in threading.enumerate())

    hub.add_repo(REPO, {NAME: random.Random(5).randbytes(48 << 20)})
    hub.cdn.bytes_per_second = 1_000_000
    running = start(Transfer(HubAccess(hub.url), (DownloadFile(REPO, NAME),), folder))
    running.until(lambda: connections() >= 3)
    hub.expire_links()
    running.until(lambda: len(hub.seen("hub", "HEAD")) > 1)
    seen = len(hub.seen("cdn"))
    running.until(lambda: connections() >= 3 and len(hub.seen("cdn")) >= seen + 4)
    running.stop()


def test_a_busy_hub_is_waited_for(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer, start: Callable[[Transfer], Running]
) -> None:
    hub.fail_next("*/resolve/*", Fault.rate_limit(3000))
    running = start(transfer_of(file))
    running.until(lambda: running.transfer.snapshot().standing.wait_reason is WaitReason.RATE_LIMIT)
    standing = running.transfer.snapshot().standing
    assert standing.state is DownloadState.WAITING
    assert 2000 < standing.retry_at_s - time.monotonic() <= 3000
    assert standing.cause == UserError(ErrorKind.RATE_LIMITED, retry_in_s=3000)


def test_retry_after_is_obeyed(transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer) -> None:
    hub.fail_next("/files/*", Fault.rate_limit(2))
    began = time.monotonic()
    transfer_of(file).run()
    assert time.monotonic() - began >= 2


def test_a_network_that_is_away_is_waited_for(
    folder: Path, file: DownloadFile, hub: HubServer, start: Callable[[Transfer], Running]
) -> None:
    nobody = HubServer()
    nobody.close()
    running = start(Transfer(HubAccess(nobody.url), (file,), folder))
    running.until(lambda: running.transfer.snapshot().standing.wait_reason is WaitReason.NETWORK)
    cause = running.transfer.snapshot().standing.cause
    assert cause is not None
    assert cause.kind is ErrorKind.HUB_UNREACHABLE


def test_a_stalled_connection_is_given_up(
    arrives: Callable[[], None], hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hub.download.transfer.SILENCE_TIMEOUT_S", 0.5)
    hub.fail_next("/files/*", Fault(FaultKind.STALL, at_byte=500_000))
    arrives()
    assert len(hub.seen("cdn")) == 2


@pytest.mark.parametrize(
    ("sign", "value"),
    [
        ("_own_addresses", lambda: ("192.0.2.77",)),  # another network
        ("_ASLEEP_S", -1.0),  # every pause looks like a sleep
    ],
    ids=["network", "sleep"],
)
def test_a_connection_from_before_a_change_is_not_trusted(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer, sign: str, value: object
) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.STALL, at_byte=500_000))
    running = Running(transfer_of(file))
    running.until(lambda: running.transfer.snapshot().done_bytes > 400_000)
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"app.hub.download.network_watch.{sign}", value)
        running.until(lambda: len(hub.seen("cdn")) > 1)
    running.end()
    assert running.error is None
    assert (folder / NAME).read_bytes() == CONTENT
    assert time.monotonic() - began < SILENCE_TIMEOUT_S / 2  # it did not wait until the silence was too long


def test_a_connection_that_has_gone_silent_is_told(
    transfer_of: Callable[..., Transfer],
    file: DownloadFile,
    hub: HubServer,
    start: Callable[[Transfer], Running],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.hub.download.file_transfer._SILENCE_S", 0.3)
    hub.fail_next("/files/*", Fault(FaultKind.STALL, at_byte=500_000))
    running = start(transfer_of(file))
    running.until(lambda: running.transfer.snapshot().done_bytes > 0)
    running.until(lambda: running.transfer.snapshot().standing.wait_reason is WaitReason.NETWORK)
    assert running.transfer.snapshot().standing.state is DownloadState.RUNNING


def test_the_tags_of_a_server_that_is_no_hub_mean_nothing(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    answer = Fault(FaultKind.STATUS, status=200, headers={"ETag": '"' + "a" * 40 + '"'}, body=CONTENT)
    hub.fail_next("*/resolve/*", answer, method="HEAD")
    (learned,) = transfer_of(DownloadFile(REPO, NAME)).run()
    assert (learned.sha256, learned.size_bytes) == ("", len(CONTENT))
    assert (folder / NAME).read_bytes() == CONTENT


def test_a_connection_that_only_drips_is_replaced(
    arrives: Callable[[], None], hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hub.download.file_transfer._CRAWL_LOOK_S", 0.5)
    hub.fail_next("/files/*", Fault(FaultKind.SLOW_DRIP, bytes_per_second=100))
    arrives()


def test_a_damaged_file_is_fetched_once_more(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.WRONG_BYTE, at_byte=2_000_001))
    transfer_of(file).run()
    assert (folder / NAME).read_bytes() == CONTENT
    assert len(hub.seen("cdn")) == 2


def test_a_file_that_is_damaged_twice_is_not_kept(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.WRONG_BYTE, at_byte=2_000_001), times=9)
    with pytest.raises(UserError) as told:
        transfer_of(file).run()
    assert told.value == UserError(ErrorKind.HASH_MISMATCH, path=str(folder / NAME))
    assert len(hub.seen("cdn")) == 2
    assert not (folder / NAME).exists()
    assert part_path(folder / NAME).stat().st_size == 0


def test_a_server_that_never_makes_sense_is_given_up(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hub.download.patience._FIRST_DELAY_S", 0.01)
    hub.fail_next("/files/*", Fault(FaultKind.WRONG_LENGTH, at_byte=1), times=99)
    with pytest.raises(UserError) as told:
        transfer_of(file).run()
    assert told.value.kind is ErrorKind.HUB_ANSWER_STRANGE


def test_a_server_that_only_begins_anew_and_breaks_off_is_given_up(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hub.download.patience._FIRST_DELAY_S", 0.01)
    for at_byte in (500_000, 100_000, 900_000, 1):  # once it comes further
        times = 99 if at_byte == 1 else 3
        hub.fail_next("/files/*", Fault(FaultKind.IGNORE_RANGE, at_byte=at_byte), times=times)
    with pytest.raises(UserError) as told:
        transfer_of(file).run()
    assert told.value == UserError(ErrorKind.HUB_UNREACHABLE, endpoint=hub.url, reason="no_ranges")
    assert len(hub.seen("cdn")) == 6 + 6  # what was in vain before the last step ahead does not count
    hub.faults.clear()
    transfer_of(file).run()
    assert hub.seen("cdn")[-1].headers["range"] == "bytes=900000-"


def test_a_server_that_can_send_parts_is_waited_for_however_often_it_breaks_off(
    arrives: Callable[[], None], hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hub.download.patience._FIRST_DELAY_S", 0.001)
    hub.fail_next("/files/*", Fault(FaultKind.DROP, at_byte=500_000))
    hub.fail_next("/files/*", Fault(FaultKind.RESET), times=9)
    arrives()


@pytest.mark.parametrize("path", ["*/resolve/*", "/files/*"])
def test_stopping_does_not_wait_for_a_server_that_is_silent(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer, path: str
) -> None:
    hub.fail_next(path, Fault(FaultKind.STALL))
    running = Running(transfer_of(file))
    running.until(lambda: hub.faults.left == 0)
    began = time.monotonic()
    running.stop()
    assert time.monotonic() - began < SILENCE_TIMEOUT_S / 2
    assert isinstance(running.error, StoppedError)


def test_the_limit_holds_for_all_together(
    hub: HubServer, file: DownloadFile, tmp_path: Path, start: Callable[[Transfer], Running]
) -> None:
    limiter = RateLimiter(1_500_000)
    access = HubAccess(hub.url)
    began = time.monotonic()
    both = [start(Transfer(access, (file,), tmp_path / name, limiter)) for name in ("one", "two")]
    for running in both:
        running.end()
        assert running.error is None
    assert time.monotonic() - began >= 0.8 * 2 * len(CONTENT) / 1_500_000


def test_a_limit_may_be_lifted_while_it_holds_something_up(
    transfer_of: Callable[..., Transfer], file: DownloadFile, start: Callable[[Transfer], Running]
) -> None:
    limiter = RateLimiter(1000)
    running = start(transfer_of(file, limiter=limiter))
    running.until(lambda: running.transfer.snapshot().done_bytes > 0)
    limiter.set_limit(0)
    running.end()
    assert running.error is None


def test_several_connections_where_one_is_slow(hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_SETTLE_S", 0.1), ("_MEASURE_S", 0.3), ("_LEAST_LEFT_BYTES", 1 << 20)):
        monkeypatch.setattr(f"app.hub.download.lane_count.{name}", value)
    monkeypatch.setattr("app.hub.download.gap_plan.BLOCK_BYTES", 1 << 20)
    monkeypatch.setattr("app.hub.download.gap_plan._SMALLEST_SHARE_BYTES", 1 << 18)
    content = random.Random(5).randbytes(24 << 20)
    hub.add_repo(REPO, {NAME: content})
    hub.cdn.bytes_per_second = 4_000_000
    hub.fail_next("/files/*", Fault(FaultKind.RESET, at_byte=6_000_000))
    Transfer(HubAccess(hub.url), (DownloadFile(REPO, NAME),), folder).run()
    assert (folder / NAME).read_bytes() == content
    assert len({request.headers["range"] for request in hub.seen("cdn")}) > 3


def test_what_a_server_sends_again_counts_as_life(
    arrives: Callable[[], None], hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hub.download.file_transfer._CRAWL_LOOK_S", 0.3)
    hub.fail_next("/files/*", Fault(FaultKind.DROP, at_byte=2_500_000))
    hub.fail_next("/files/*", Fault(FaultKind.IGNORE_RANGE))  # all of it once more, at the pace of the line
    hub.cdn.bytes_per_second = 1_500_000
    arrives()
    assert len(hub.seen("cdn")) == 2


def test_the_limit_holds_for_what_a_server_sends_again(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer
) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.DROP, at_byte=2_500_000))
    hub.fail_next("/files/*", Fault(FaultKind.IGNORE_RANGE))
    began = time.monotonic()
    transfer_of(file, limiter=RateLimiter(2_500_000)).run()
    assert time.monotonic() - began >= 0.8 * (2_500_000 + len(CONTENT)) / 2_500_000


def test_a_slow_disk_is_not_taken_for_a_sleep(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hub.download.network_watch._ASLEEP_S", 3.0)
    monkeypatch.setattr("app.hub.download.file_transfer._SYNC_INTERVAL_S", 0.2)
    sync, pauses_s = os.fsync, [4.0]

    def sync_slowly(descriptor: int) -> None:
        sync(descriptor)
        if pauses_s:
            time.sleep(pauses_s.pop())

    monkeypatch.setattr("os.fsync", sync_slowly)
    hub.cdn.bytes_per_second = 500_000
    transfer_of(file).run()
    assert pauses_s == []
    assert len(hub.seen("cdn")) == 1
