"""Downloads over a hub that fails in every way it can."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.downloads import DownloadFile, DownloadState, WaitReason
from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.download.file_lock import FileLock
from app.hub.download.interruptible import StoppedError
from app.hub.download.limiter import RateLimiter
from app.hub.download.part_file import lock_path, part_path
from app.hub.download.transfer import SILENCE_TIMEOUT_S, Transfer, discard_parts
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer

CONTENT = random.Random(4).randbytes(3_000_000)
REPO = "maker/tiny"
NAME = "tiny.Q4_0.gguf"
WAIT_S = 20.0


@pytest.fixture
def file(hub: HubServer) -> DownloadFile:
    commit = hub.add_repo(REPO, {NAME: CONTENT, "README.md": b"# Tiny"})
    return DownloadFile(REPO, NAME, commit, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "maker"


@pytest.fixture
def transfer_of(hub: HubServer, folder: Path) -> Callable[..., Transfer]:
    def make(*files: DownloadFile, token: str | None = None, **options: object) -> Transfer:
        return Transfer(HubAccess(hub.url, token), files, folder, **options)  # type: ignore[arg-type]

    return make


class Running:
    """A transfer in its thread."""

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.transfer.run()
        except Exception as error:
            self.error = error

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline, self.transfer.snapshot()
            assert self._thread.is_alive(), self.error
            time.sleep(0.01)

    def stop(self) -> None:
        self.transfer.stop()
        self.end()

    def end(self) -> None:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()


@pytest.fixture
def start() -> Iterator[Callable[[Transfer], Running]]:
    running: list[Running] = []

    def begin(transfer: Transfer) -> Running:
        running.append(Running(transfer))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_arrives_with_nothing_beside_it(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    transfer = transfer_of(file)
    assert transfer.run() == (file,)
    assert (folder / NAME).read_bytes() == CONTENT
    assert names(folder) == {NAME}
    assert transfer.snapshot().done_bytes == transfer.snapshot().total_bytes == len(CONTENT)
    assert [request.method for request in hub.requests] == ["HEAD", "GET"]


def test_what_the_hub_promises_is_enough(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path
) -> None:
    (learned,) = transfer_of(DownloadFile(REPO, NAME)).run()
    assert learned == file
    (small,) = transfer_of(DownloadFile(REPO, "README.md")).run()
    assert (small.size_bytes, len(small.sha256)) == (6, 40)  # git's own digest
    assert (folder / "README.md").read_bytes() == b"# Tiny"


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
    transfer_of: Callable[..., Transfer],
    file: DownloadFile,
    folder: Path,
    hub: HubServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.hub.download.transfer.SILENCE_TIMEOUT_S", 0.5)
    hub.fail_next("/files/*", Fault(FaultKind.STALL, at_byte=500_000))
    transfer_of(file).run()
    assert (folder / NAME).read_bytes() == CONTENT
    assert len(hub.seen("cdn")) == 2


def test_a_connection_from_before_a_change_of_network_is_not_trusted(
    transfer_of: Callable[..., Transfer],
    file: DownloadFile,
    folder: Path,
    hub: HubServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.STALL, at_byte=500_000))
    running = Running(transfer_of(file))
    running.until(lambda: running.transfer.snapshot().done_bytes > 400_000)
    began = time.monotonic()
    monkeypatch.setattr("app.hub.download.network_watch._own_addresses", lambda: ("192.0.2.77",))
    running.end()
    assert running.error is None
    assert (folder / NAME).read_bytes() == CONTENT
    assert time.monotonic() - began < SILENCE_TIMEOUT_S / 2  # it did not wait until the silence was too long


def test_a_connection_from_before_a_sleep_is_not_trusted(
    transfer_of: Callable[..., Transfer],
    file: DownloadFile,
    folder: Path,
    hub: HubServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.STALL, at_byte=500_000))
    running = Running(transfer_of(file))
    running.until(lambda: running.transfer.snapshot().done_bytes > 400_000)
    began = time.monotonic()
    monkeypatch.setattr("app.hub.download.network_watch._ASLEEP_S", -1.0)  # every pause looks like a sleep
    running.until(lambda: len(hub.seen("cdn")) > 1)
    monkeypatch.undo()
    running.end()
    assert running.error is None
    assert (folder / NAME).read_bytes() == CONTENT
    assert time.monotonic() - began < SILENCE_TIMEOUT_S / 2


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
    transfer_of: Callable[..., Transfer],
    file: DownloadFile,
    folder: Path,
    hub: HubServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.hub.download.file_transfer._CRAWL_LOOK_S", 0.5)
    hub.fail_next("/files/*", Fault(FaultKind.SLOW_DRIP, bytes_per_second=100))
    transfer_of(file).run()
    assert (folder / NAME).read_bytes() == CONTENT


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


def test_a_file_that_changed_on_the_hub_is_told_before_the_download(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer
) -> None:
    hub.add_repo(REPO, {NAME: b"newer" * 1000})
    with pytest.raises(UserError) as told:
        transfer_of(replace(file, commit="")).run()
    assert told.value.kind is ErrorKind.CHANGED_ON_HUB
    assert not hub.seen("cdn")


def test_a_download_stays_with_its_version(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.DROP, at_byte=1_000_000))
    hub.fail_next("/files/*", Fault(FaultKind.EXPIRED_LINK))
    hub.cdn.bytes_per_second = 2_000_000
    running = Running(transfer_of(DownloadFile(REPO, NAME)))
    running.until(lambda: running.transfer.snapshot().done_bytes > 0)
    hub.add_repo(REPO, {NAME: b"newer" * 1000})
    running.end()
    assert running.error is None
    assert (folder / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize(("token", "has_token"), [(None, 0), ("poor", 1)])
def test_a_gate_is_told(
    transfer_of: Callable[..., Transfer], hub: HubServer, token: str | None, has_token: int
) -> None:
    hub.add_repo("maker/gated", {NAME: CONTENT}, gated="manual")
    hub.tokens = {"poor": set(), "good": {"maker/gated"}}
    with pytest.raises(UserError) as told:
        transfer_of(DownloadFile("maker/gated", NAME), token=token).run()
    url = f"{hub.url}/maker/gated"
    assert told.value == UserError(ErrorKind.GATED, repo="maker/gated", url=url, has_token=has_token)


def test_the_token_opens_a_gate_and_stays_with_the_hub(
    transfer_of: Callable[..., Transfer], hub: HubServer, folder: Path
) -> None:
    hub.add_repo("maker/gated", {NAME: CONTENT, "README.md": b"text"}, gated="auto")
    hub.tokens = {"good": {"maker/gated"}}
    files = [DownloadFile("maker/gated", name) for name in (NAME, "README.md")]
    transfer_of(*files, token="good").run()
    assert (folder / "README.md").read_bytes() == b"text"
    assert all(request.headers["authorization"] == "Bearer good" for request in hub.seen("hub"))
    assert not any("authorization" in request.headers for request in hub.seen("cdn"))


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_the_token_does_not_follow_a_redirect_to_another_host(
    transfer_of: Callable[..., Transfer], hub: HubServer, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hub.download.patience._FIRST_DELAY_S", 0.01)
    hub.tokens = {"good": set()}
    hub.add_repo(REPO, {"notes.txt": CONTENT})  # not in the large file storage: the hub itself sends it
    with HubServer() as other:
        location = f"{other.url}/stolen"
        hub.fail_next("*/resolve/*", Fault(FaultKind.REDIRECT, location=location), method=method, times=9)
        with pytest.raises(UserError):
            transfer_of(DownloadFile(REPO, "notes.txt"), token="good").run()
        assert other.requests
        assert not any("authorization" in request.headers for request in other.requests)


@pytest.mark.parametrize(
    ("repo", "path", "kind"),
    [
        ("maker/none", NAME, ErrorKind.NOT_ON_HUB),
        (REPO, "none.gguf", ErrorKind.NOT_ON_HUB),
        (REPO, "../../evil.gguf", ErrorKind.UNSAFE_NAME),
        (REPO, "/etc/evil.gguf", ErrorKind.UNSAFE_NAME),
    ],
)
def test_what_cannot_be_had(
    transfer_of: Callable[..., Transfer], file: DownloadFile, repo: str, path: str, kind: ErrorKind
) -> None:
    with pytest.raises(UserError) as told:
        transfer_of(DownloadFile(repo, path)).run()
    assert told.value.kind is kind


def test_a_server_that_never_makes_sense_is_given_up(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.hub.download.patience._FIRST_DELAY_S", 0.01)
    hub.fail_next("/files/*", Fault(FaultKind.WRONG_LENGTH, at_byte=1), times=99)
    with pytest.raises(UserError) as told:
        transfer_of(file).run()
    assert told.value.kind is ErrorKind.HUB_ANSWER_STRANGE


def test_a_stopped_download_goes_on_where_it_was(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    hub.cdn.bytes_per_second = 1_000_000
    running = Running(transfer_of(file))
    running.until(lambda: running.transfer.snapshot().done_bytes > 500_000)
    running.stop()
    assert isinstance(running.error, StoppedError)
    journal = json.loads(part_path(folder / NAME).with_name(f"{NAME}.part.json").read_text())
    ((begin, end),) = journal["done"]
    assert begin == 0
    assert end > 500_000
    hub.cdn.bytes_per_second = None
    transfer_of(file).run()
    assert (folder / NAME).read_bytes() == CONTENT
    assert hub.seen("cdn")[-1].headers["range"] == f"bytes={end}-"


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


def test_a_part_of_another_version_is_not_continued(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    hub.cdn.bytes_per_second = 1_000_000
    running = Running(transfer_of(file))
    running.until(lambda: running.transfer.snapshot().done_bytes > 500_000)
    running.stop()
    hub.cdn.bytes_per_second = None
    newer = bytes(reversed(CONTENT))
    hub.add_repo(REPO, {NAME: newer})
    transfer_of(DownloadFile(REPO, NAME)).run()
    assert (folder / NAME).read_bytes() == newer
    assert hub.seen("cdn")[-1].headers["range"] == "bytes=0-"


@pytest.mark.parametrize("journal", ["", "{", "[]", '{"format": 99}', '{"done": [[5, 1]]}'])
def test_a_part_with_a_broken_journal_is_begun_anew(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, journal: str
) -> None:
    folder.mkdir(parents=True)
    part_path(folder / NAME).write_bytes(b"rubbish")
    (folder / f"{NAME}.part.json").write_text(journal)
    transfer_of(file).run()
    assert (folder / NAME).read_bytes() == CONTENT


def test_split_files_are_one_item(transfer_of: Callable[..., Transfer], hub: HubServer, folder: Path) -> None:
    parts = {f"Q8_0/big-{number:05}-of-00003.gguf": CONTENT[number:] for number in (1, 2, 3)}
    hub.add_repo(REPO, dict(parts))
    files = tuple(DownloadFile(REPO, path, size_bytes=len(content)) for path, content in parts.items())
    hub.fail_next("/files/*00002*", Fault(FaultKind.RESET, at_byte=1_000_000))
    transfer = transfer_of(*files)
    assert transfer.snapshot().total_bytes == sum(map(len, parts.values()))
    transfer.run()
    assert {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.gguf")} == parts
    assert transfer.snapshot().done_bytes == transfer.snapshot().total_bytes


def test_a_file_that_is_there_already_is_not_downloaded(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(CONTENT)
    transfer_of(file).run()
    assert hub.requests == []
    transfer_of(DownloadFile(REPO, NAME)).run()
    assert not hub.seen("cdn")


def test_another_file_of_the_same_name_is_not_touched(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path
) -> None:
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(b"the person's own")
    with pytest.raises(UserError) as told:
        transfer_of(file).run()
    assert told.value == UserError(ErrorKind.NAME_TAKEN, path=str(folder / NAME))
    assert (folder / NAME).read_bytes() == b"the person's own"
    transfer_of(file, replaces=True).run()
    assert (folder / NAME).read_bytes() == CONTENT


def test_a_disk_without_room_is_told_before_the_download(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer
) -> None:
    huge = DownloadFile(REPO, "second.gguf", sha256="0" * 64, size_bytes=1 << 41)
    with pytest.raises(UserError) as told:
        transfer_of(file, huge).run()
    assert told.value.kind is ErrorKind.DISK_SPACE
    assert told.value.integer("needed_bytes") == (1 << 41) + len(CONTENT)
    assert not hub.seen("cdn")


def test_whoever_holds_the_lock_is_waited_for(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, start: Callable[[Transfer], Running]
) -> None:
    folder.mkdir(parents=True)
    lock = FileLock(lock_path(folder / NAME))
    assert lock.acquire()
    running = start(transfer_of(file))
    running.until(lambda: running.transfer.snapshot().standing.wait_reason is WaitReason.OTHER_PROGRAM)
    lock.release()
    running.end()
    assert (folder / NAME).read_bytes() == CONTENT


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


def test_parts_that_nobody_wants_are_removed(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    hub.cdn.bytes_per_second = 1_000_000
    running = Running(transfer_of(file))
    running.until(lambda: running.transfer.snapshot().done_bytes > 200_000)
    discard_parts((file,), folder)  # it is being written
    assert part_path(folder / NAME).exists()
    running.stop()
    discard_parts((file,), folder)
    assert names(folder) == set()
