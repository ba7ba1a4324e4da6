"""The hub's stand-in answers huggingface_hub as the hub does, and fails as it is told."""

from __future__ import annotations

import hashlib
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def commit(hub: HubServer) -> str:
    return hub.add_repo("maker/tiny", {"tiny.gguf": CONTENT, "sub/notes.txt": b"notes", "README.md": b"# Tiny"})


def link(hub: HubServer, name: str = "tiny.gguf") -> str:
    return hf_hub_url("maker/tiny", name, endpoint=hub.url)


def get(hub: HubServer, **headers: str) -> httpx2.Response:
    return httpx2.get(link(hub), headers=headers, follow_redirects=True, timeout=5)


def test_the_librarys_own_download_works(hub: HubServer, commit: str, tmp_path: Path) -> None:
    path = hf_hub_download("maker/tiny", "tiny.gguf", endpoint=hub.url, cache_dir=tmp_path)
    assert Path(path).read_bytes() == CONTENT
    assert commit in path
    notes = hf_hub_download("maker/tiny", "sub/notes.txt", endpoint=hub.url, local_dir=tmp_path / "local")
    assert Path(notes).read_bytes() == b"notes"


def test_metadata_of_a_large_file(hub: HubServer, commit: str) -> None:
    found = get_hf_file_metadata(link(hub), endpoint=hub.url)
    assert (found.commit_hash, found.size) == (commit, len(CONTENT))
    assert found.etag == hashlib.sha256(CONTENT).hexdigest()
    assert found.location.startswith(hub.cdn_url)


def test_a_file_from_disk_is_sent_whole_and_in_parts(hub: HubServer, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    hub.add_repo("maker/tiny", {"tiny.gguf": source})
    assert get(hub).content == CONTENT
    part = get(hub, Range="bytes=10-19")
    assert (part.status_code, part.content) == (206, CONTENT[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(CONTENT)}"
    assert get(hub, Range="bytes=255990-").content == CONTENT[255990:]
    assert get(hub, Range=f"bytes={len(CONTENT)}-").status_code == 416


def test_lists_are_searched_sorted_and_paged(hub: HubServer) -> None:
    for number in range(5):
        hub.add_repo(f"maker/model-{number}", {"a.gguf": b"x"}, downloads=number)
    hub.add_repo("other/thing", {"a.gguf": b"x"}, tags=["gguf", "german"])
    api = HfApi(hub.url)
    found = [model.id for model in api.list_models(search="MODEL", sort="downloads")]
    assert found == [f"maker/model-{number}" for number in (4, 3, 2, 1, 0)]
    assert [model.id for model in api.list_models(author="other", filter="german")] == ["other/thing"]
    before = len(hub.requests)
    paged = api.list_models(search="model", sort="downloads", limit=2)
    assert len(list(paged)) == 2
    page = httpx2.get(f"{hub.url}/api/models?search=model&limit=2&sort=downloads")
    assert httpx2.get(page.links["next"]["url"]).json()[0]["id"] == "maker/model-2"
    assert len(hub.requests) == before + 3
    (expanded,) = api.list_models(search="thing", expand=["gated", "likes", "gguf"])
    assert (expanded.gated, expanded.likes) == (False, 60)


def test_details_of_a_repository(hub: HubServer, commit: str) -> None:
    gguf = {"total": 1_100_000, "architecture": "llama", "context_length": 2048, "chat_template": "{{ messages }}"}
    hub.add_repo("maker/told", {"a.gguf": CONTENT}, gguf=gguf, cardData={"license": "mit"}, likes=7)
    api = HfApi(hub.url)
    info = api.model_info("maker/told", files_metadata=True)
    assert (info.gguf, info.likes, info.card_data.license) == (gguf, 7, "mit")
    assert info.siblings[0].lfs.sha256 == hashlib.sha256(CONTENT).hexdigest()
    tree = list(api.list_repo_tree("maker/tiny", recursive=True))
    assert [(entry.path, getattr(entry, "size", 0)) for entry in tree] == [
        ("README.md", 6),
        ("sub", 0),
        ("sub/notes.txt", 5),
        ("tiny.gguf", len(CONTENT)),
    ]
    assert tree[3].lfs.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert [entry.path for entry in api.list_repo_tree("maker/tiny", "sub", revision=commit)] == ["sub/notes.txt"]
    hub.tree_limit = 2
    assert len(list(api.list_repo_tree("maker/tiny", recursive=True))) == 4


def test_older_commits_stay(hub: HubServer, commit: str) -> None:
    newer = hub.add_repo("maker/tiny", {"tiny.gguf": b"newer"})
    assert newer != commit
    old = hf_hub_url("maker/tiny", "tiny.gguf", revision=commit, endpoint=hub.url)
    assert httpx2.get(old, follow_redirects=True).content == CONTENT
    assert get(hub).content == b"newer"


def test_a_renamed_repository_is_found(hub: HubServer, commit: str, tmp_path: Path) -> None:
    hub.renamed["maker/older"] = "maker/tiny"
    assert HfApi(hub.url).model_info("maker/older").id == "maker/tiny"
    path = hf_hub_download("maker/older", "tiny.gguf", endpoint=hub.url, cache_dir=tmp_path)
    assert Path(path).read_bytes() == CONTENT


def test_what_is_not_there(hub: HubServer, commit: str) -> None:
    with pytest.raises(RepositoryNotFoundError):
        HfApi(hub.url).model_info("maker/none")
    with pytest.raises(EntryNotFoundError):
        get_hf_file_metadata(link(hub, "none.gguf"), endpoint=hub.url)
    with pytest.raises(RevisionNotFoundError):
        get_hf_file_metadata(hf_hub_url("maker/tiny", "tiny.gguf", revision="gone", endpoint=hub.url))


def test_gates_and_tokens(hub: HubServer) -> None:
    hub.add_repo("maker/gated", {"a.gguf": CONTENT}, gated="manual")
    hub.tokens = {"good": {"maker/gated"}, "poor": set()}
    url = hf_hub_url("maker/gated", "a.gguf", endpoint=hub.url)
    assert HfApi(hub.url).model_info("maker/gated").gated == "manual"
    for token, status in ((None, 401), ("poor", 403)):
        with pytest.raises(GatedRepoError) as refused:
            get_hf_file_metadata(url, token=token, endpoint=hub.url)
        assert refused.value.response.status_code == status
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        get_hf_file_metadata(url, token="wrong", endpoint=hub.url)
    assert get_hf_file_metadata(url, token="good", endpoint=hub.url).size == len(CONTENT)
    assert HfApi(hub.url, token="good").whoami()["name"] == "tester"


def test_the_token_stays_with_the_hub(hub: HubServer, commit: str) -> None:
    hub.tokens = {"good": set()}
    assert get(hub, Authorization="Bearer good").content == CONTENT
    assert "authorization" in hub.seen("hub")[-1].headers
    assert "authorization" not in hub.seen("cdn")[-1].headers


def test_links_expire(hub: HubServer, commit: str) -> None:
    signed = get_hf_file_metadata(link(hub), endpoint=hub.url).location
    assert httpx2.get(signed).content == CONTENT
    hub.expire_links()
    assert httpx2.get(signed).status_code == 403
    hub.link_life_s = 0.0
    assert get(hub).status_code == 403


def test_status_faults_are_used_up(hub: HubServer, commit: str) -> None:
    hub.fail_next("*/resolve/*", Fault.rate_limit(3))
    hub.fail_next("/files/*", Fault(FaultKind.STATUS, status=503), times=2)
    limited = get(hub)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "3")
    assert [get(hub).status_code for _ in range(3)] == [503, 503, 200]
    assert hub.faults.left == 0


def test_broken_connections(hub: HubServer, commit: str) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.RESET))
    with pytest.raises(httpx2.NetworkError):
        get(hub)
    for kind, error in ((FaultKind.DROP, httpx2.RemoteProtocolError), (FaultKind.RESET, httpx2.ReadError)):
        hub.fail_next("/files/*", Fault(kind, at_byte=70_000))
        received: list[bytes] = []
        with httpx2.stream("GET", link(hub), follow_redirects=True) as response, pytest.raises(error):
            received.extend(response.iter_raw())
        assert b"".join(received) == CONTENT[:70_000]
    assert get(hub).content == CONTENT


def test_wrong_content(hub: HubServer, commit: str) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.WRONG_BYTE, at_byte=100_000))
    wrong = get(hub).content
    assert [at for at in range(len(CONTENT)) if wrong[at] != CONTENT[at]] == [100_000]
    hub.fail_next("/files/*", Fault(FaultKind.WRONG_LENGTH, at_byte=10))
    assert get(hub).content == CONTENT[:-10]
    hub.fail_next("/files/*", Fault(FaultKind.IGNORE_RANGE))
    whole = get(hub, Range="bytes=1000-")
    assert (whole.status_code, whole.content) == (200, CONTENT)
    hub.fail_next("/files/*", Fault(FaultKind.WRONG_RANGE))
    assert get(hub, Range="bytes=1000-1009").content == CONTENT[999:1009]


def test_slow_answers(hub: HubServer, commit: str) -> None:
    hub.fail_next("/files/*", Fault(FaultKind.STALL, at_byte=1000))
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(link(hub), follow_redirects=True, timeout=0.3)
    hub.fail_next("/files/*", Fault(FaultKind.SLOW_DRIP, bytes_per_second=10_000_000))
    assert get(hub).content == CONTENT


def test_a_redirect_to_another_host(hub: HubServer, commit: str) -> None:
    with HubServer() as other:
        hub.fail_next("*/resolve/*", Fault(FaultKind.REDIRECT, location=f"{other.url}/stolen"))
        get(hub, Authorization="Bearer secret")
        (request,) = other.seen()
        assert "authorization" not in request.headers


def test_closing_ends_open_connections() -> None:
    with HubServer() as hub:
        address: Any = hub.hub.server_address
        connection = socket.create_connection(address[:2], timeout=5)
        connection.sendall(b"GET /api/whoami-v2 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 401"
    while connection.recv(4096):
        pass
    connection.close()


def test_the_standard_library_is_served_too(hub: HubServer, commit: str) -> None:
    raw = f"{hub.url}/maker/tiny/raw/main/tiny.gguf"
    with urllib.request.urlopen(raw, timeout=5) as response:
        assert response.read().startswith(b"version https://git-lfs.github.com/spec/v1\noid sha256:")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{hub.url}/maker/tiny/elsewhere", timeout=5)
