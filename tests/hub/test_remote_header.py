"""Verdicts before a download, over real HTTP."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.core.errors import ErrorKind, UserError
from app.core.estimated_shape import described_shape
from app.core.fit import need_of
from app.core.gguf_reader import read_header
from app.hub.access import HubAccess
from app.hub.remote_header import RANGE_BYTES, RemoteHeader, read_remote_header
from tests.fixtures.gguf_bytes import STRING, Array, gguf, llama_keys, llama_tensors, tiny_llama
from tests.fixtures.planned_models import planned_model
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer

REPO = "maker/tiny-GGUF"
MANY_WORDS = [b"word%d" % number for number in range(40_000)]
CDN = "/files/*"
HUB = "/maker/*"


def long_file(**changed: object) -> bytes:
    """A file whose vocabulary alone is longer than what is fetched, keys in the usual order."""
    keys = llama_keys(**changed)
    for name in ("tokens", "scores", "token_type"):
        keys.pop(f"tokenizer.ggml.{name}")
    keys["tokenizer.ggml.tokens"] = Array(STRING, MANY_WORDS)
    return gguf(keys, llama_tensors())


def read(hub: HubServer, path: str = "tiny.gguf", token: str | None = None, **more: float) -> RemoteHeader:
    return read_remote_header(HubAccess(hub.url, token), REPO, path, **more)


def refused(hub: HubServer, path: str = "tiny.gguf", token: str | None = None, **more: float) -> UserError:
    with pytest.raises(UserError) as caught:
        read(hub, path, token, **more)
    return caught.value


def test_64_kib_and_two_requests_tell_what_a_file_is(hub: HubServer) -> None:
    data = long_file()
    commit = hub.add_repo(REPO, {"tiny.gguf": data})
    found = read(hub)
    assert (found.size_bytes, found.commit) == (len(data), commit)
    assert found.sha256 == hub.file(REPO, "tiny.gguf").sha256
    assert not found.header.is_complete
    assert found.header.architecture == "llama"
    tokens = found.header.array("tokenizer.ggml.tokens")
    assert tokens is not None
    assert tokens.count == len(MANY_WORDS)
    assert (found.requests, found.fetched_bytes) == (2, RANGE_BYTES)
    assert [(seen.server, seen.headers.get("range")) for seen in hub.requests] == [
        ("hub", "bytes=0-65535"),
        ("cdn", "bytes=0-65535"),
    ]


def test_a_small_file_is_known_whole(hub: HubServer) -> None:
    data = tiny_llama()
    hub.add_repo(REPO, {"tiny.gguf": data})
    found = read(hub)
    assert found.header == read_header(data)


def test_a_vocabulary_behind_long_texts_takes_a_second_range(hub: HubServer) -> None:
    hub.add_repo(REPO, {"tiny.gguf": long_file(general__description="x" * 80_000)})
    keys = llama_keys(general__description="x" * 80_000)
    keys["tokenizer.ggml.tokens"] = Array(STRING, keys.pop("tokenizer.ggml.tokens").values + MANY_WORDS)
    hub.add_repo(REPO, {"tiny.gguf": gguf(keys, llama_tensors())})
    hub.requests.clear()
    found = read(hub)
    assert "tokenizer.ggml.tokens" in found.header.metadata
    assert found.fetched_bytes == 2 * RANGE_BYTES
    # The second goes to where the bytes are: the hub counts what it resolves.
    assert [seen.server for seen in hub.requests] == ["hub", "cdn", "cdn"]


def test_a_file_without_end_of_texts_is_given_up_after_128_kib(hub: HubServer) -> None:
    keys = {"general.architecture": "llama", "llama.block_count": 2, "general.description": "x" * 300_000}
    hub.add_repo(REPO, {"tiny.gguf": gguf(keys)})
    found = read(hub)
    assert (found.fetched_bytes, found.header.integer("llama.block_count")) == (2 * RANGE_BYTES, 2)
    assert not found.header.is_complete


@pytest.mark.parametrize("name", ["Llama 3.2 3B", "Qwen2.5 0.5B", "Qwen3 30B-A3B"])
def test_the_estimate_is_within_half_a_percent_of_the_whole_header(hub: HubServer, tmp_path: Path, name: str) -> None:
    data = planned_model(name).whole_header()
    header = read_header(data, 1 << 45)
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(min(header.needed_bytes, 1 << 28))  # the rest would be a hole: hashing it takes long
    hub.add_repo(REPO, {"model.gguf": path})
    found = read(hub, "model.gguf")
    exact = need_of(described_shape(header, header.needed_bytes), 8192)
    estimate = need_of(described_shape(found.header, header.needed_bytes), 8192)
    assert estimate.total_bytes == pytest.approx(exact.total_bytes, rel=0.005)
    assert (found.requests, found.fetched_bytes) == (2, RANGE_BYTES)


def test_the_token_goes_to_the_hub_and_nowhere_else(hub: HubServer) -> None:
    hub.add_repo(REPO, {"tiny.gguf": long_file(general__description="x" * 80_000)}, gated="auto")
    hub.tokens["secret"] = {REPO}
    read(hub, token="secret")
    assert [("authorization" in seen.headers, seen.server) for seen in hub.requests] == [
        (True, "hub"),
        (False, "cdn"),
        (False, "cdn"),
    ]


def test_gates_and_what_is_not_there(hub: HubServer) -> None:
    hub.add_repo(REPO, {"tiny.gguf": tiny_llama()}, gated="manual")
    assert refused(hub).kind is ErrorKind.GATED
    hub.add_repo("maker/open", {"tiny.gguf": tiny_llama()})
    with pytest.raises(UserError) as caught:
        read_remote_header(HubAccess(hub.url), "maker/open", "absent.gguf")
    assert caught.value.kind is ErrorKind.NOT_ON_HUB
    with pytest.raises(UserError) as caught:
        read_remote_header(HubAccess(hub.url, offline=True), "maker/open", "tiny.gguf")
    assert caught.value.kind is ErrorKind.OFFLINE


def test_a_server_that_ignores_ranges_sends_40_gb_to_nobody(hub: HubServer) -> None:
    data = long_file(general__description="x" * 80_000) + bytes(4_000_000)
    hub.add_repo(REPO, {"tiny.gguf": data})
    hub.fail_next(CDN, Fault(FaultKind.IGNORE_RANGE), times=2)
    found = read(hub)
    assert found.size_bytes == len(data)
    assert found.header.architecture == "llama"
    assert found.fetched_bytes < 1_000_000


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(FaultKind.RESET), ErrorKind.HUB_UNREACHABLE),
        (Fault(FaultKind.RESET, at_byte=1000), ErrorKind.HUB_UNREACHABLE),
        (Fault(FaultKind.DROP, at_byte=1000), ErrorKind.HUB_UNREACHABLE),
        (Fault(FaultKind.STATUS, status=503), ErrorKind.HUB_FAILED),
        (Fault(FaultKind.STATUS, status=429, headers={"Retry-After": "7"}), ErrorKind.RATE_LIMITED),
        (Fault(FaultKind.STALL, at_byte=1000), ErrorKind.HUB_UNREACHABLE),
        (Fault(FaultKind.SLOW_DRIP, bytes_per_second=1000), ErrorKind.HUB_UNREACHABLE),
        (Fault(FaultKind.STATUS, status=200, body=b"<html>log in to this hotel</html>"), ErrorKind.NOT_A_MODEL),
        (Fault(FaultKind.WRONG_BYTE, at_byte=0), ErrorKind.NOT_A_MODEL),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else "",
)
def test_what_goes_wrong_on_the_way(hub: HubServer, fault: Fault, kind: ErrorKind) -> None:
    hub.add_repo(REPO, {"tiny.gguf": long_file()})
    hub.fail_next(CDN, fault)
    assert refused(hub, read_timeout_s=0.5, deadline_s=1.0).kind is kind


def test_another_part_than_asked_for(hub: HubServer) -> None:
    hub.add_repo(REPO, {"tiny.gguf": long_file(general__description="x" * 80_000)})
    hub.fail_next(CDN, Fault(FaultKind.WRONG_RANGE), times=2)  # of these the second range is wrong
    assert refused(hub).kind is ErrorKind.HUB_ANSWER_STRANGE


@pytest.mark.parametrize("location", ["/maker/around", "http://a..b/"])
def test_redirects_that_lead_nowhere(hub: HubServer, location: str) -> None:
    hub.add_repo(REPO, {"tiny.gguf": tiny_llama()})
    hub.fail_next(HUB, Fault(FaultKind.REDIRECT, location=location), times=100)
    assert refused(hub).kind is ErrorKind.HUB_ANSWER_STRANGE


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", ErrorKind.FILE_EMPTY),
        (b"GG", ErrorKind.TRUNCATED),
        (b"<!DOCTYPE html><html>not found</html>", ErrorKind.NOT_A_MODEL),
        (b"lmgg" + bytes(100), ErrorKind.OLD_FORMAT),
        (gguf({}, key_count=1 << 60), ErrorKind.CORRUPT),
        (tiny_llama()[:3000], ErrorKind.TRUNCATED),
    ],
)
def test_files_that_are_no_models(hub: HubServer, data: bytes, kind: ErrorKind) -> None:
    hub.add_repo(REPO, {"tiny.gguf": data})
    assert refused(hub).kind is kind


ABOUT_THE_FILE = {
    ErrorKind.NOT_A_MODEL,
    ErrorKind.OLD_FORMAT,
    ErrorKind.UNKNOWN_VERSION,
    ErrorKind.OTHER_ENDIANNESS,
    ErrorKind.TRUNCATED,
    ErrorKind.CORRUPT,
}
DATA = long_file()


@pytest.fixture(scope="module")
def open_hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, RANGE_BYTES), st.binary(min_size=1, max_size=8)), max_size=4),
    st.integers(1, len(DATA)),
)
@example([(8, struct.pack("<Q", 1 << 63))], len(DATA))
@example([(16, struct.pack("<Q", 1 << 40))], len(DATA))
@example([(24, struct.pack("<Q", (1 << 64) - 1))], len(DATA))
@example([(0, b"FUGG")], 70_000)
@example([], 65_536)
@example([], 65_537)
def test_damaged_and_cut_files(open_hub: HubServer, edits: list[tuple[int, bytes]], length: int) -> None:
    changed = bytearray(DATA)
    for place, new in edits:
        changed[place : place + len(new)] = new
    data = bytes(changed[:length])
    open_hub.add_repo(REPO, {"tiny.gguf": data})
    kind, path = None, "tiny.gguf"
    try:
        found = read(open_hub)
    except UserError as error:
        kind, path = error.kind, error.string("path")
    else:
        assert found.size_bytes == length
        assert found.fetched_bytes <= 2 * RANGE_BYTES
    assert kind in ABOUT_THE_FILE | {None}
    assert path == "tiny.gguf"
