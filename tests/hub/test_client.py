from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import HfApi, hf_hub_url, set_client_factory
from huggingface_hub.utils._http import default_client_factory

from app.core.errors import ErrorKind, UserError
from app.core.hub_values import Gate, HubModel, SearchQuery, SearchSort
from app.hub.access import HubAccess
from app.hub.answer_cache import AnswerCache
from app.hub.client import FRESH_S, HubClient
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer

CARD = b"---\nlicense: mit\nbase_model: maker/base\n---\n# Tiny\n\nA small model.\n"
GGUF = b"GGUF and weights"
Open = Callable[..., HubClient]


class Clock:
    """The time of day, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_hub(hub: HubServer, tmp_path: Path, clock: Clock) -> Iterator[Open]:
    """Makes clients of the hub that share one cache."""
    cache = AnswerCache(tmp_path / "answers", now_s=clock)
    made: list[HubClient] = []

    def open_client(**changes: Any) -> HubClient:
        client = HubClient(replace(HubAccess(hub.url, proxy="direct"), **changes), cache)
        made.append(client)
        return client

    yield open_client
    for client in made:
        client.close()


def fill(hub: HubServer) -> str:
    files: dict[str, bytes | Path] = {
        "tiny.Q4_K_M.gguf": GGUF,
        "tiny.Q8_0.gguf": GGUF * 2,
        "big/tiny-F16-00001-of-00002.gguf": GGUF * 3,
        "big/tiny-F16-00002-of-00002.gguf": GGUF,
        "lost-00001-of-00002.gguf": GGUF,
        "mmproj-tiny-f16.gguf": b"eyes",
        "tiny.imatrix.gguf": b"statistics",
        "README.md": CARD,
        "config.json": b"{}",
    }
    gguf = {"total": 1_100_000_000, "architecture": "llama", "context_length": 2048, "chat_template": "{{ messages }}"}
    return hub.add_repo(
        "maker/Tiny-1.1B-GGUF",
        files,
        gguf=gguf,
        cardData={"license": "mit", "base_model": "maker/base"},
        tags=["gguf", "license:mit", "base_model:maker/base", "base_model:quantized:maker/base"],
        downloads=500,
        likes=7,
    )


def failure(call: Callable[[], object]) -> UserError:
    with pytest.raises(UserError) as raised:
        call()
    return raised.value


def names(models: tuple[HubModel, ...]) -> list[str]:
    return [model.repo for model in models]


def test_details_say_everything_with_two_requests(hub: HubServer, open_hub: Open) -> None:
    commit = fill(hub)
    details = open_hub().details("maker/Tiny-1.1B-GGUF")
    assert details.commit == commit
    assert [(file.path, file.quantization, file.size_bytes, len(file.parts)) for file in details.files] == [
        ("tiny.Q4_K_M.gguf", "Q4_K_M", 16, 1),
        ("tiny.Q8_0.gguf", "Q8_0", 32, 1),
        ("big/tiny-F16-00001-of-00002.gguf", "F16", 64, 2),
    ], "a split model with parts missing and statistics are no models"
    assert details.files[0].parts[0].sha256 == hashlib.sha256(GGUF).hexdigest()
    assert [file.path for file in details.projectors] == ["mmproj-tiny-f16.gguf"]
    assert details.card == "# Tiny\n\nA small model."
    assert (details.chat_template, details.context_length) == ("{{ messages }}", 2048)
    assert details.has_template is True
    assert replace(details, chat_template=None).has_template is False
    assert replace(details, chat_template=None, model=replace(details.model, architecture="")).has_template is None
    assert details.base_models == ("maker/base",)
    model = details.model
    assert (model.author, model.name, model.licence, model.gate) == ("maker", "Tiny-1.1B-GGUF", "mit", Gate.OPEN)
    assert (model.parameters, model.architecture, model.downloads, model.likes) == (1_100_000_000, "llama", 500, 7)
    assert (details.answered_at, details.why_old) == (None, None)
    assert len(hub.requests) == 2


def test_an_older_revision_is_asked_for_by_name(hub: HubServer, open_hub: Open) -> None:
    first = fill(hub)
    hub.add_repo("maker/Tiny-1.1B-GGUF", {"tiny.Q4_K_M.gguf": b"newer"})
    client = open_hub()
    assert client.details("maker/Tiny-1.1B-GGUF").files[0].size_bytes == 5
    assert client.details("maker/Tiny-1.1B-GGUF", first).files[0].size_bytes == 16


def test_search_by_name_author_and_task(hub: HubServer, open_hub: Open) -> None:
    hub.add_repo("maker/Tiny-GGUF", {"a.gguf": GGUF})
    hub.add_repo("other/Tiny-coder", {"a.gguf": GGUF}, pipeline_tag="feature-extraction")
    hub.add_repo("maker/plain", {"a.safetensors": GGUF}, tags=["x"], library_name="transformers")
    client = open_hub()
    assert names(client.search(SearchQuery("tiny")).models) == ["maker/Tiny-GGUF", "other/Tiny-coder"]
    assert names(client.search(SearchQuery("  TINY \n", author="other")).models) == ["other/Tiny-coder"]
    assert names(client.search(SearchQuery(task="feature-extraction")).models) == ["other/Tiny-coder"]
    assert names(client.search(SearchQuery(author="maker")).models) == ["maker/Tiny-GGUF"], "only GGUF files"
    pasted = client.search(SearchQuery("https://huggingface.co/other/Tiny-coder/tree/main"))
    assert names(pasted.models) == ["other/Tiny-coder"]


def test_search_is_sorted(hub: HubServer, open_hub: Open) -> None:
    for number, (downloads, likes, day) in enumerate([(5, 1, "02"), (9, 2, "01"), (1, 3, "03")]):
        facts = {"downloads": downloads, "likes": likes, "lastModified": f"2026-10-{day}T12:00:00.000Z"}
        hub.add_repo(f"maker/m{number}", {"a.gguf": GGUF}, **facts)
    client = open_hub()

    def order(sort: SearchSort) -> list[str]:
        return [model.name for model in client.search(SearchQuery(sort=sort)).models]

    assert order(SearchSort.DOWNLOADS) == ["m1", "m0", "m2"]
    assert order(SearchSort.LIKES) == ["m2", "m1", "m0"]
    assert order(SearchSort.RECENT) == ["m2", "m0", "m1"]


def test_search_goes_on_page_by_page(hub: HubServer, open_hub: Open) -> None:
    for number in range(5):
        hub.add_repo(f"maker/m{number}", {"a.gguf": GGUF}, downloads=100 - number)
    client, query = open_hub(), SearchQuery(limit=2)
    found: list[str] = []
    for _ in range(3):
        page = client.search(query)
        found += [model.name for model in page.models]
        query = replace(query, cursor=page.next_cursor)
    assert found == ["m0", "m1", "m2", "m3", "m4"]
    assert page.next_cursor == ""


def test_search_for_what_fits_reads_on_until_there_is_enough(hub: HubServer, open_hub: Open) -> None:
    for number in range(6):
        size = "70B" if number % 2 == 0 else "1B"
        hub.add_repo(f"maker/m{number}-{size}", {"a.gguf": GGUF}, downloads=100 - number)
    hub.add_repo("maker/nameless", {"a.gguf": GGUF}, downloads=1)
    page = open_hub().search(SearchQuery(limit=2, max_bytes=2_000_000_000))
    assert names(page.models) == ["maker/m1-1B", "maker/m3-1B"]
    assert page.next_cursor
    rest = open_hub().search(SearchQuery(limit=2, max_bytes=2_000_000_000, cursor=page.next_cursor))
    assert names(rest.models) == ["maker/m5-1B", "maker/nameless"], "what tells no size may fit"


def test_the_same_addresses_as_huggingface_hub(hub: HubServer, open_hub: Open) -> None:
    """Should a new version of the library ask in another way, this says so."""
    commit = fill(hub)
    set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=5, trust_env=False))
    try:
        api = HfApi(hub.url, token=False)
        list(
            api.list_models(
                filter="gguf",
                author="maker",
                pipeline_tag="text-generation",
                search="tiny",
                sort="last_modified",
                limit=30,
                expand=[
                    *("author", "downloads", "gated", "lastModified"),
                    *("library_name", "likes", "pipeline_tag", "tags"),
                ],
            )
        )
        api.model_info("maker/Tiny-1.1B-GGUF", revision="main", files_metadata=True)
    finally:
        set_client_factory(default_client_factory)
    theirs = [(request.path, request.query) for request in hub.requests]
    hub.requests.clear()
    client = open_hub()
    client.search(SearchQuery("tiny", "maker", "text-generation", sort=SearchSort.RECENT))
    client.details("maker/Tiny-1.1B-GGUF")
    ours = [(request.path, request.query) for request in hub.requests]
    lower = [(path, {key: [value.lower() for value in values] for key, values in q.items()}) for path, q in theirs]
    assert [(path, {k: [v.lower() for v in vs] for k, vs in q.items()}) for path, q in ours[:2]] == lower
    assert client.file_url("maker/x", "a b/c#1.gguf", commit) == hf_hub_url(
        "maker/x", "a b/c#1.gguf", revision=commit, endpoint=hub.url
    )


def test_a_fresh_answer_is_not_asked_for_again(hub: HubServer, open_hub: Open, clock: Clock) -> None:
    fill(hub)
    first = open_hub().search(SearchQuery("tiny"))
    clock.now_s += FRESH_S - 1
    assert open_hub().search(SearchQuery("tiny")) == first
    assert len(hub.requests) == 1
    clock.now_s += 2
    open_hub().search(SearchQuery("tiny"))
    assert len(hub.requests) == 2


def test_an_answer_that_still_holds_is_not_sent_again(hub: HubServer, open_hub: Open, clock: Clock) -> None:
    fill(hub)
    before = open_hub().details("maker/Tiny-1.1B-GGUF")
    clock.now_s += FRESH_S + 1
    hub.requests.clear()
    assert open_hub().details("maker/Tiny-1.1B-GGUF") == before
    (asked,) = hub.requests
    assert asked.headers["if-none-match"]
    clock.now_s += FRESH_S - 1
    open_hub().details("maker/Tiny-1.1B-GGUF")
    assert len(hub.requests) == 1, "the answer counts as new"


def test_a_token_has_answers_of_its_own(hub: HubServer, open_hub: Open) -> None:
    hub.add_repo("maker/secret", {"a.gguf": GGUF}, private=True)
    hub.tokens = {"good": {"maker/secret"}}
    assert open_hub(token="good").details("maker/secret").files
    assert failure(lambda: open_hub().details("maker/secret")).kind is ErrorKind.NOT_ON_HUB


def test_offline_shows_what_was_seen_and_says_so(hub: HubServer, open_hub: Open, clock: Clock) -> None:
    fill(hub)
    seen = open_hub().search(SearchQuery("tiny"))
    details = open_hub().details("maker/Tiny-1.1B-GGUF")
    hub.requests.clear()
    offline = open_hub(offline=True)
    page = offline.search(SearchQuery("tiny"))
    assert (page.models, page.why_old) == (seen.models, ErrorKind.OFFLINE)
    assert page.answered_at is not None
    assert page.answered_at.timestamp() == clock.now_s
    assert offline.details("maker/Tiny-1.1B-GGUF").card == details.card
    assert failure(lambda: offline.search(SearchQuery("other"))) == UserError(ErrorKind.OFFLINE)
    assert failure(offline.check) == UserError(ErrorKind.OFFLINE)
    assert hub.requests == []


def test_an_old_answer_helps_while_the_hub_is_away(hub: HubServer, open_hub: Open, clock: Clock) -> None:
    fill(hub)
    seen = open_hub().search(SearchQuery("tiny"))
    clock.now_s += FRESH_S + 1
    hub.fail_next("/api/*", Fault(FaultKind.STATUS, status=503), times=2)
    page = open_hub().search(SearchQuery("tiny"))
    assert (page.models, page.why_old) == (seen.models, ErrorKind.HUB_FAILED)


def test_a_hub_that_stumbles_is_asked_once_more(hub: HubServer, open_hub: Open) -> None:
    fill(hub)
    for fault in (
        Fault(FaultKind.STATUS, status=503),
        Fault(FaultKind.RESET),
        Fault(FaultKind.DROP, at_byte=20),
    ):
        hub.fail_next("/api/*", fault)
        assert open_hub().search(SearchQuery(str(fault.kind))).models == ()
    assert hub.faults.left == 0
    hub.fail_next("/api/*", Fault(FaultKind.STATUS, status=503), times=2)
    assert failure(lambda: open_hub().search(SearchQuery("x"))) == UserError(ErrorKind.HUB_FAILED, status=503)


def test_a_rate_limit_is_respected_without_asking(hub: HubServer, open_hub: Open) -> None:
    fill(hub)
    hub.fail_next("/api/*", Fault.rate_limit(42))
    client = open_hub()
    limited = failure(lambda: client.search(SearchQuery("a")))
    assert (limited.kind, limited.integer("retry_in_s")) == (ErrorKind.RATE_LIMITED, 42)
    again = failure(lambda: client.search(SearchQuery("b")))
    assert again.kind is ErrorKind.RATE_LIMITED
    assert 1 <= again.integer("retry_in_s") <= 42
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"api";r=0;t=55', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}, 55),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 60),
        ({"Retry-After": "-5"}, 60),
        ({"Retry-After": "9" * 30}, 60),
        ({"Retry-After": "999999999"}, 24 * 60 * 60),
        ({}, 60),
    ],
)
def test_how_long_to_wait(hub: HubServer, open_hub: Open, headers: dict[str, str], seconds: int) -> None:
    hub.fail_next("/api/*", Fault(FaultKind.STATUS, status=429, headers=headers))
    assert failure(lambda: open_hub().check()).integer("retry_in_s") == seconds


def test_the_last_request_of_the_window_is_noticed(hub: HubServer, open_hub: Open) -> None:
    used_up = Fault(FaultKind.STATUS, status=200, headers={"RateLimit": '"api";r=0;t=30'}, body=b"[]")
    hub.fail_next("/api/*", used_up)
    client = open_hub()
    assert client.search(SearchQuery("a")).models == ()
    assert failure(lambda: client.search(SearchQuery("b"))).kind is ErrorKind.RATE_LIMITED


@pytest.mark.parametrize("before", ["good", None])
def test_an_answer_that_comes_after_its_token_was_changed_is_not_kept(
    hub: HubServer, open_hub: Open, tmp_path: Path, before: str | None
) -> None:
    hub.tokens = {"good": {"maker/secret"}}
    hub.add_repo("maker/secret", {"a.gguf": GGUF}, private=True)
    after = None if before else "good"
    client = open_hub(find_token=lambda: after if hub.requests else before)
    client.search(SearchQuery("secret"))
    assert list((tmp_path / "answers").iterdir()) == []


def test_a_token_that_was_entered_because_of_the_limit_helps_at_once(hub: HubServer, open_hub: Open) -> None:
    fill(hub)
    hub.tokens = {"good": set()}
    tokens: list[str] = []
    client = open_hub(find_token=lambda: tokens[-1] if tokens else None)
    hub.fail_next("/api/*", Fault.rate_limit(42))
    assert failure(lambda: client.search(SearchQuery("tiny"))).kind is ErrorKind.RATE_LIMITED
    tokens.append("good")
    assert client.search(SearchQuery("tiny")).models
    tokens.clear()
    assert failure(lambda: client.search(SearchQuery("other"))).kind is ErrorKind.RATE_LIMITED


def test_gated_repositories_can_be_looked_at(hub: HubServer, open_hub: Open) -> None:
    hub.add_repo("maker/gated", {"a.gguf": GGUF, "README.md": CARD}, gated="manual")
    details = open_hub().details("maker/gated")
    assert (details.model.gate, details.card) == (Gate.MANUAL, ""), "its card is behind the gate"
    assert details.files
    hub.tokens = {"good": {"maker/gated"}}
    assert open_hub(token="good").details("maker/gated").card.startswith("# Tiny")


def test_tokens_are_checked(hub: HubServer, open_hub: Open) -> None:
    hub.tokens = {"good": set()}
    assert open_hub(token="good").account() == "tester"
    rejected = UserError(ErrorKind.TOKEN_REJECTED, endpoint=hub.url)
    assert failure(open_hub(token="wrong").account) == rejected
    assert failure(open_hub().account) == rejected


@pytest.mark.parametrize("token", ["hf_\u00fc", "hf_a\nX-Evil: 1", "hf_\x00", "\udcff", ""])
def test_what_can_be_no_token_is_rejected_before_anything_is_sent(hub: HubServer, open_hub: Open, token: str) -> None:
    for changes in ({"token": token}, {"find_token": lambda: token}):
        rejected = failure(open_hub(**changes).account)
        assert rejected == UserError(ErrorKind.TOKEN_REJECTED, endpoint=hub.url)
    assert hub.requests == []


def test_what_is_not_there(hub: HubServer, open_hub: Open) -> None:
    fill(hub)
    missing = failure(lambda: open_hub().details("maker/none"))
    assert missing == UserError(ErrorKind.NOT_ON_HUB, repo="maker/none", path="", revision="")
    revision = failure(lambda: open_hub().details("maker/Tiny-1.1B-GGUF", "gone"))
    assert revision == UserError(ErrorKind.NOT_ON_HUB, repo="maker/Tiny-1.1B-GGUF", path="", revision="gone")


@pytest.mark.parametrize("repo", ["", "gpt2", "../whoami-v2", "a/b/c", "a/b?x=1", "a b/c"])
def test_what_names_no_repository_is_not_asked_for(hub: HubServer, open_hub: Open, repo: str) -> None:
    assert failure(lambda: open_hub().details(repo)) == UserError(ErrorKind.NOT_ON_HUB, repo=repo, path="", revision="")
    assert hub.requests == []


def test_a_renamed_repository_is_found_under_its_new_name(hub: HubServer, open_hub: Open) -> None:
    fill(hub)
    hub.renamed["maker/older"] = "maker/Tiny-1.1B-GGUF"
    assert open_hub().details("maker/older").model.repo == "maker/Tiny-1.1B-GGUF"


def test_a_token_does_not_follow_to_another_host(hub: HubServer, open_hub: Open) -> None:
    hub.tokens = {"good": set()}
    with HubServer() as other:
        hub.fail_next("/api/*", Fault(FaultKind.REDIRECT, location=f"{other.url}/api/models"))
        open_hub(token="good").search(SearchQuery("x"))
        assert hub.requests[0].headers["authorization"] == "Bearer good"
        (request,) = other.seen()
        assert "authorization" not in request.headers


def test_pages_of_a_mirror_stay_on_the_mirror(hub: HubServer, open_hub: Open) -> None:
    link = '<https://huggingface.co/api/models?limit=1&cursor=abc%3D>; rel="next"'
    hub.fail_next("/api/*", Fault(FaultKind.STATUS, status=200, headers={"Link": link}, body=b"[]"))
    assert open_hub().search(SearchQuery("x")).next_cursor == "abc="


@pytest.mark.parametrize(
    "body",
    [b"<html>log in</html>", b"", b"{}", b'{"id": "maker/x"}', b"[" * 100_000, b"\xff\xfe", b"null"],
    ids=["page", "nothing", "empty", "no commit", "deep", "not UTF-8", "null"],
)
def test_what_is_no_answer_is_told_and_not_kept(hub: HubServer, open_hub: Open, body: bytes) -> None:
    fill(hub)
    hub.fail_next("/api/*", Fault(FaultKind.STATUS, status=200, body=body))
    strange = failure(lambda: open_hub().details("maker/Tiny-1.1B-GGUF"))
    assert strange.kind is ErrorKind.HUB_ANSWER_STRANGE
    assert open_hub().details("maker/Tiny-1.1B-GGUF").files


def test_an_endless_answer_is_cut_off(hub: HubServer, open_hub: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.hub.client.MAX_ANSWER_BYTES", 1000)
    hub.fail_next("/api/*", Fault(FaultKind.STATUS, status=200, body=b"[" + b" " * 2000 + b"]"))
    assert failure(lambda: open_hub().check()).string("reason") == "endless"


def test_a_dripping_answer_is_cut_off(hub: HubServer, open_hub: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.hub.client.DEADLINE_S", 0.05)
    fill(hub)
    hub.fail_next("/api/*", Fault(FaultKind.SLOW_DRIP, bytes_per_second=300))
    slow = failure(lambda: open_hub().details("maker/Tiny-1.1B-GGUF"))
    assert slow == UserError(ErrorKind.HUB_UNREACHABLE, endpoint=hub.url, reason="timeout")


def test_a_silent_hub_is_not_waited_for(hub: HubServer, open_hub: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.hub.http_client.READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr("app.hub.http_client.open_client.__defaults__", (0.2,))
    fill(hub)
    hub.fail_next("/api/*", Fault(FaultKind.STALL))
    silent = failure(lambda: open_hub().check())
    assert silent == UserError(ErrorKind.HUB_UNREACHABLE, endpoint=hub.url, reason="timeout")


def test_nobody_at_the_address(open_hub: Open) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    refused = failure(open_hub(endpoint=endpoint).check)
    assert refused == UserError(ErrorKind.HUB_UNREACHABLE, endpoint=endpoint, reason="refused")


def test_redirects_in_a_circle(hub: HubServer, open_hub: Open) -> None:
    hub.fail_next("/api/*", Fault(FaultKind.REDIRECT, location=f"{hub.url}/api/models?limit=1"), times=100)
    assert failure(open_hub().check).kind is ErrorKind.HUB_ANSWER_STRANGE
    hub.faults.clear()


@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.parametrize("name", ["Link", "ETag", "RateLimit", "Retry-After", "X-Error-Code", "Content-Type"])
@pytest.mark.parametrize("value", ['<http://[::1/?cursor=x>; rel="next"', "\xff\xfe", ";,<>=;r=x;t=", "9" * 99])
def test_headers_may_hold_anything(
    hub: HubServer, open_hub: Open, clock: Clock, name: str, value: str, status: int
) -> None:
    fault = Fault(FaultKind.STATUS, status=status, headers={name: value}, body=b"[]")
    hub.fail_next("/api/*", fault)
    client = open_hub()
    if status == 200:
        assert client.search(SearchQuery("x")).models == ()
        clock.now_s += FRESH_S + 1
        assert client.search(SearchQuery("x")).why_old is None
    else:
        assert failure(lambda: client.search(SearchQuery("x"))).kind is ErrorKind.RATE_LIMITED


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "[::1", "a:99999", ""])
def test_a_redirect_to_what_can_be_no_host(hub: HubServer, open_hub: Open, host: str) -> None:
    hub.fail_next("/api/*", Fault(FaultKind.REDIRECT, location=f"http://{host}/"), times=2)
    assert failure(open_hub().check).kind in (ErrorKind.HUB_ANSWER_STRANGE, ErrorKind.HUB_UNREACHABLE)
    hub.faults.clear()


def test_a_closed_client_can_still_be_asked(hub: HubServer, open_hub: Open) -> None:
    fill(hub)
    client = open_hub()
    client.check()
    client.close()
    client.close()
    assert client.search(SearchQuery("tiny")).models


def test_the_token_is_not_shown() -> None:
    assert "secret" not in repr(HubAccess(token="secret"))


def test_json_of_the_server_is_what_is_read(hub: HubServer, open_hub: Open) -> None:
    """A description may hold anything; only legal names are shown."""
    items = [{"id": "../etc"}, {"id": "a/b", "likes": "many", "gated": 7, "tags": [1, "x" * 999]}, 5, {"id": "no"}]
    hub.fail_next("/api/*", Fault(FaultKind.STATUS, status=200, body=json.dumps(items).encode()))
    (model,) = open_hub().search(SearchQuery("x")).models
    assert (model.repo, model.likes, model.gate) == ("a/b", 0, Gate.OPEN)
    assert [len(tag) for tag in model.tags] == [300]
