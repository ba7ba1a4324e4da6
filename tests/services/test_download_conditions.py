"""What the queue of downloads waits for: hours, a switch, a limit, a token, another way to the hub."""

from __future__ import annotations

from datetime import datetime

from app.core.downloads import DownloadState, WaitReason
from app.core.errors import ErrorKind
from app.hub.access import HubAccess
from app.services.explain import explain
from tests.hub.faults import Fault
from tests.hub.hub_server import HubServer
from tests.services.download_queue import CONTENT, SLOW_BYTES_PER_S, Start, hub, start

__all__ = ["hub", "start"]


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
    queue.until_idle()
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
    queue.until_idle()
    assert queue.now(added).done_bytes > 100_000
    hub.cdn.bytes_per_second = None
    queue.settings.set_value("downloads.at_night", False)
    queue.until_state(added, DownloadState.DONE)
    assert hub.seen("cdn")[-1].headers["range"] != "bytes=0-"


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
