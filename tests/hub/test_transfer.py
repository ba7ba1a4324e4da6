"""What a download brings, what it refuses, and how it goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.downloads import DownloadFile, DownloadState, WaitReason
from app.core.errors import ErrorKind, UserError
from app.hub.download.file_lock import FileLock
from app.hub.download.interruptible import StoppedError
from app.hub.download.part_file import lock_path, part_path
from app.hub.download.transfer import RESERVE_BYTES, Transfer, discard_parts
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer
from tests.hub.running_transfer import CONTENT, NAME, REPO, Running, file, folder, names, start, transfer_of

__all__ = ["file", "folder", "start", "transfer_of"]


def stopped_midway(transfer: Transfer, hub: HubServer) -> Running:
    """A transfer that was stopped when more than 500,000 bytes had come."""
    hub.cdn.bytes_per_second = 1_000_000
    running = Running(transfer)
    running.until(lambda: transfer.snapshot().done_bytes > 500_000)
    running.stop()
    hub.cdn.bytes_per_second = None
    return running


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


def test_a_file_that_changed_on_the_hub_is_told_before_the_download(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer
) -> None:
    hub.add_repo(REPO, {NAME: b"newer" * 1000})
    with pytest.raises(UserError) as told:
        transfer_of(replace(file, commit="")).run()
    assert told.value.kind is ErrorKind.CHANGED_ON_HUB
    assert not hub.seen("cdn")


def test_a_file_that_changes_during_the_download_is_told(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer
) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.DROP, at_byte=1_000_000))
    hub.fail_next("/files/*", Fault(FaultKind.EXPIRED_LINK))
    hub.cdn.bytes_per_second = 2_000_000
    running = Running(transfer_of(DownloadFile(REPO, NAME)))
    running.until(lambda: running.transfer.snapshot().done_bytes > 0)
    hub.fail_next("*/resolve/*", Fault(FaultKind.STATUS, status=200, body=b"newer" * 1000), method="HEAD")
    running.end()
    assert running.error == UserError(ErrorKind.CHANGED_ON_HUB, repo=REPO, path=NAME)


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


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", f"http://{'a' * 300}/", ""])
def test_a_redirect_to_nowhere_is_strange(
    transfer_of: Callable[..., Transfer],
    file: DownloadFile,
    hub: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    location: str,
) -> None:
    monkeypatch.setattr("app.hub.download.patience._FIRST_DELAY_S", 0.01)
    fault = Fault(FaultKind.REDIRECT, location=location)
    hub.fail_next("*/resolve/*" if method == "HEAD" else "/files/*", fault, method=method, times=99)
    with pytest.raises(UserError) as told:
        transfer_of(file).run()
    assert told.value.kind is ErrorKind.HUB_ANSWER_STRANGE


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


def test_a_stopped_download_goes_on_where_it_was(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    assert isinstance(stopped_midway(transfer_of(file), hub).error, StoppedError)
    journal = json.loads(part_path(folder / NAME).with_name(f"{NAME}.part.json").read_text())
    ((begin, end),) = journal["done"]
    assert begin == 0
    assert end > 500_000
    transfer_of(file).run()
    assert (folder / NAME).read_bytes() == CONTENT
    assert hub.seen("cdn")[-1].headers["range"] == f"bytes={end}-"


def test_a_part_of_another_version_is_not_continued(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    stopped_midway(transfer_of(file), hub)
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
    for known in (DownloadFile(REPO, NAME), replace(file, size_bytes=0)):
        transfer_of(known).run()
        assert not hub.seen("cdn")


def test_a_check_of_what_is_there_can_be_stopped(
    transfer_of: Callable[..., Transfer], folder: Path, start: Callable[[Transfer], Running]
) -> None:
    folder.mkdir(parents=True)
    with (folder / NAME).open("wb") as large:
        large.truncate(4 << 30)  # seconds of reading, without a byte on the disk
    running = start(transfer_of(DownloadFile(REPO, NAME, sha256="0" * 64, size_bytes=4 << 30)))
    running.until(lambda: running.transfer.snapshot().standing.state is DownloadState.VERIFYING)
    running.stop()
    assert isinstance(running.error, StoppedError)


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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets few users make links")
def test_a_link_to_a_drive_that_is_not_there_is_not_touched(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path
) -> None:
    folder.mkdir(parents=True)
    (folder / NAME).symlink_to(folder / "unplugged" / NAME)
    with pytest.raises(UserError) as told:
        transfer_of(file).run()
    assert told.value == UserError(ErrorKind.NAME_TAKEN, path=str(folder / NAME))
    assert (folder / NAME).is_symlink()


def test_a_name_that_is_taken_in_the_meantime_is_not_touched(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    hub.cdn.bytes_per_second = 2_000_000
    running = Running(transfer_of(file))
    running.until(lambda: running.transfer.snapshot().done_bytes > 0)
    (folder / NAME).write_bytes(b"the person's own")
    running.end()
    assert running.error == UserError(ErrorKind.NAME_TAKEN, path=str(folder / NAME))
    assert (folder / NAME).read_bytes() == b"the person's own"
    hub.requests.clear()
    transfer_of(file, replaces=True).run()
    assert (folder / NAME).read_bytes() == CONTENT
    assert not hub.seen("cdn")  # all was there already


def test_what_no_digest_vouches_for_is_not_continued(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    unknown = DownloadFile(REPO, NAME)
    no_hub = Fault(FaultKind.STATUS, status=200, body=CONTENT)  # tells neither a commit nor a digest
    hub.fail_next("*/resolve/*", no_hub, method="HEAD", times=9)
    stopped_midway(transfer_of(unknown), hub)
    newer = bytes(reversed(CONTENT))
    hub.add_repo(REPO, {NAME: newer})
    transfer_of(unknown).run()
    assert (folder / NAME).read_bytes() == newer


def test_a_file_of_the_same_size_is_not_taken_for_one_without_a_digest(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path, hub: HubServer
) -> None:
    hub.fail_next("*/resolve/*", Fault(FaultKind.STATUS, status=200, body=CONTENT), method="HEAD")
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(bytes(len(CONTENT)))
    with pytest.raises(UserError) as told:
        transfer_of(DownloadFile(REPO, NAME)).run()
    assert told.value.kind is ErrorKind.NAME_TAKEN


def test_what_a_killed_run_left_beside_a_complete_file_goes(
    transfer_of: Callable[..., Transfer], file: DownloadFile, folder: Path
) -> None:
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(CONTENT)
    for left in (part_path(folder / NAME), lock_path(folder / NAME), folder / f"{NAME}.part.json"):
        left.write_bytes(b"{}")
    transfer_of(file).run()
    assert names(folder) == {NAME}


def test_a_model_of_several_files_is_there_when_all_are(
    transfer_of: Callable[..., Transfer], hub: HubServer, folder: Path
) -> None:
    paths = ("a-00001-of-00002.gguf", "a-00002-of-00002.gguf")
    hub.add_repo(REPO, dict.fromkeys(paths, CONTENT))
    files = tuple(DownloadFile(REPO, path) for path in paths)
    hub.cdn.bytes_per_second = 3_000_000
    running = Running(transfer_of(*files))
    running.until(lambda: running.transfer.snapshot().done_bytes > len(CONTENT))
    running.stop()
    assert not list(folder.glob("*.gguf"))
    hub.cdn.bytes_per_second = None
    transfer_of(*files).run()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == dict.fromkeys(paths, CONTENT)
    assert len(hub.seen("cdn", containing=paths[0])) == 1


def test_of_a_model_of_several_files_nothing_is_left_when_nobody_wants_it(
    transfer_of: Callable[..., Transfer], hub: HubServer, folder: Path
) -> None:
    files = tuple(DownloadFile(REPO, f"a-0000{number}-of-00002.gguf") for number in (1, 2))
    hub.add_repo(REPO, {file.path: CONTENT for file in files})
    hub.cdn.bytes_per_second = 3_000_000
    running = Running(transfer_of(*files))
    running.until(lambda: running.transfer.snapshot().done_bytes > len(CONTENT))
    running.stop()
    discard_parts(files, folder)
    assert names(folder) == set()


def test_a_disk_without_room_is_told_before_the_download(
    transfer_of: Callable[..., Transfer], file: DownloadFile, hub: HubServer
) -> None:
    huge = DownloadFile(REPO, "second.gguf", sha256="0" * 64, size_bytes=1 << 41)
    with pytest.raises(UserError) as told:
        transfer_of(file, huge).run()
    assert told.value.kind is ErrorKind.DISK_SPACE
    assert told.value.integer("needed_bytes") == (1 << 41) + len(CONTENT) + RESERVE_BYTES
    assert told.value.integer("free_bytes") > 0  # what the system says too: what stays free is needed, not gone
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
