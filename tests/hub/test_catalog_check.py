from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.core.catalog import parse_catalog
from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.catalog_check import CatalogCheck, Finding, FindingKind
from app.hub.catalog_file import encode_catalog
from tests.fixtures.catalog_json import catalog_json
from tests.hub.faults import Fault, FaultKind
from tests.hub.hub_server import HubServer

REPO = "shore/tern-7b-chat-GGUF"
ONE = "tern-7b-chat.Q4_K_M.gguf"
SPLIT = ("Q8_0/tern-7b-chat-00001-of-00002.gguf", "Q8_0/tern-7b-chat-00002-of-00002.gguf")
FILES = {ONE: b"GGUF one", SPLIT[0]: b"GGUF two", SPLIT[1]: b"GGUF and three"}
TAGS = ["gguf", "license:apache-2.0"]


@pytest.fixture
def commit(hub: HubServer) -> str:
    return hub.add_repo(REPO, FILES, tags=TAGS)


@pytest.fixture
def document(hub: HubServer, commit: str) -> dict[str, Any]:
    """A catalogue that says of its confirmed file what the hub says."""
    document = catalog_json()
    stored = hub.file(REPO, ONE)
    document["models"][1]["files"][0].update(size_bytes=stored.size_bytes, sha256=stored.sha256, commit=commit)
    return document


def check(hub: HubServer, document: dict[str, Any], pauses_s: tuple[float, ...] = ()) -> list[Finding]:
    return list(CatalogCheck(HubAccess(hub.url), pauses_s).findings(parse_catalog(document)))


def kinds(findings: list[Finding]) -> list[FindingKind]:
    return [finding.kind for finding in findings if finding.is_problem]


def test_nothing_is_wrong_with_a_true_row(hub: HubServer, document: dict[str, Any]) -> None:
    assert kinds(check(hub, document)) == []


def test_each_repository_and_commit_is_asked_about_once(hub: HubServer, document: dict[str, Any]) -> None:
    document["models"][1]["files"] += [dict(file) for file in document["models"][1]["files"]]
    check(hub, document)
    assert len(hub.seen("hub")) == 2  # the pinned commit, and the newest one for the file without a commit


def test_the_hubs_facts_about_a_file_that_is_not_confirmed(
    hub: HubServer, document: dict[str, Any], commit: str
) -> None:
    (finding,) = check(hub, document)
    assert (finding.kind, finding.path, finding.commit) == (FindingKind.CAN_BE_CONFIRMED, SPLIT[0], commit)
    assert [fact.size_bytes for fact in finding.facts] == [8, 14]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"size_bytes": 9}, FindingKind.SIZE_DIFFERS),
        ({"sha256": "0" * 64}, FindingKind.HASH_DIFFERS),
        ({"path": "other.gguf"}, FindingKind.FILE_MISSING),
        ({"commit": "f" * 40}, FindingKind.COMMIT_MISSING),
        ({"repo": "shore/gone"}, FindingKind.REPOSITORY_MISSING),
    ],
)
def test_a_row_that_is_not_true(
    hub: HubServer, document: dict[str, Any], change: dict[str, Any], kind: FindingKind
) -> None:
    document["models"][1]["files"][0].update(change)
    assert kinds(check(hub, document)) == [kind]


def test_a_file_that_was_exchanged_after_its_commit_is_still_the_one_of_the_row(
    hub: HubServer, document: dict[str, Any]
) -> None:
    hub.add_repo(REPO, {**FILES, ONE: b"GGUF, but another"})
    assert kinds(check(hub, document)) == []


def test_a_repository_with_terms_to_accept(hub: HubServer, document: dict[str, Any]) -> None:
    hub.repos[REPO].gated = "auto"
    assert kinds(check(hub, document)) == [FindingKind.GATED]


def test_a_licence_that_is_not_the_one_of_the_row(hub: HubServer, document: dict[str, Any]) -> None:
    hub.repos[REPO].facts["tags"] = ["license:cc-by-nc-4.0"]
    (finding,) = (found for found in check(hub, document) if found.is_problem)
    assert finding.kind is FindingKind.LICENCE_DIFFERS
    assert finding.words == "tagged cc-by-nc-4.0, the row says Apache 2.0"


def test_a_repository_without_a_licence_tag_proves_nothing(hub: HubServer, document: dict[str, Any]) -> None:
    hub.repos[REPO].facts["tags"] = ["gguf"]
    assert kinds(check(hub, document)) == []


def test_it_waits_as_long_as_the_hub_asks(hub: HubServer, document: dict[str, Any]) -> None:
    hub.fail_next("/api/models/*", Fault.rate_limit(17))
    hub.fail_next("/api/models/*", Fault(FaultKind.STATUS, status=503))
    waited: list[float] = []
    check = CatalogCheck(HubAccess(hub.url), (2.0, 5.0), waited.append)
    assert kinds(list(check.findings(parse_catalog(document)))) == []
    assert waited == [17, 5.0]


def test_a_hub_that_stays_busy_is_not_a_mistake_of_the_row(hub: HubServer, document: dict[str, Any]) -> None:
    hub.fail_next("/api/models/*", Fault(FaultKind.STATUS, status=503), times=99)
    assert set(kinds(check(hub, document, (0.0, 0.0)))) == {FindingKind.NOT_REACHED}
    assert len(hub.seen("hub")) == 6  # two questions, three tries each


def test_a_rate_limit_of_an_hour_is_not_waited_for(hub: HubServer, document: dict[str, Any]) -> None:
    hub.fail_next("/api/models/*", Fault.rate_limit(3600), times=9)
    assert set(kinds(check(hub, document, (0.0,)))) == {FindingKind.NOT_REACHED}
    assert len(hub.seen("hub")) == 2


def test_an_answer_that_is_no_hubs(hub: HubServer, document: dict[str, Any]) -> None:
    hub.fail_next("/api/models/*", Fault(FaultKind.STATUS, status=200, body=b'["welcome to our hotel"]'), times=9)
    assert set(kinds(check(hub, document))) == {FindingKind.NOT_REACHED}


@pytest.mark.parametrize(
    "facts",
    [
        {"sha": "main", "siblings": []},
        {"sha": None, "siblings": []},
        {"sha": "c" * 40, "siblings": 5},
        {"sha": "c" * 40, "siblings": [{"rfilename": ONE, "lfs": {"sha256": 5}}]},
    ],
    ids=["a branch", "no commit", "no list", "no hash"],
)
def test_facts_that_are_none_fill_in_nothing(hub: HubServer, document: dict[str, Any], facts: dict[str, Any]) -> None:
    body = json.dumps(facts).encode()
    hub.fail_next("/api/models/*", Fault(FaultKind.STATUS, status=200, body=body), times=9)
    assert set(kinds(check(hub, document))) == {FindingKind.NOT_REACHED}


def test_a_size_or_a_hash_that_is_none_does_not_confirm_a_file(hub: HubServer, document: dict[str, Any]) -> None:
    files = [{"rfilename": path, "size": "8", "lfs": {"sha256": "main"}} for path in SPLIT]
    body = json.dumps({"sha": "c" * 40, "siblings": files}).encode()
    document["models"][1]["files"] = document["models"][1]["files"][1:]
    document["models"][1]["recommended"] = False
    hub.fail_next("/api/models/*", Fault(FaultKind.STATUS, status=200, body=body), times=9)
    assert check(hub, document) == []


def test_nothing_is_asked_offline(hub: HubServer, document: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        list(CatalogCheck(HubAccess(hub.url, offline=True)).findings(parse_catalog(document)))
    assert caught.value.kind is ErrorKind.OFFLINE
    assert not hub.requests


class Command:
    """The checker as its maintainers run it."""

    def __init__(self, hub: HubServer, path: Path) -> None:
        self._hub = hub
        self.path = path

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment["HF_ENDPOINT"] = self._hub.url
        command = [sys.executable, "-m", "app.hub.check_catalog", "--catalog", str(self.path), *options]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def command(hub: HubServer, document: dict[str, Any], tmp_path: Path) -> Command:
    path = tmp_path / "catalog.json"
    path.write_bytes(encode_catalog(document))
    return Command(hub, path)


def test_the_command_says_what_is_right_and_fills_in_what_it_learned(command: Command) -> None:
    done = command.run("--fill")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 rows, 2 files, 1 of them confirmed; 0 things are wrong" in done.stdout
    assert "1 files are confirmed now" in done.stdout
    split = parse_catalog(json.loads(command.path.read_bytes())).models[1].files[1]
    assert split.is_confirmed
    assert (split.size_bytes, split.estimated_bytes) == (22, None)
    assert "2 of them confirmed" in command.run().stdout


def test_the_command_says_what_is_wrong(command: Command, document: dict[str, Any]) -> None:
    document["models"][1]["files"][0]["sha256"] = "0" * 64
    command.path.write_bytes(encode_catalog(document))
    done = command.run()
    assert done.returncode == 1
    assert f"WRONG tern-7b-chat: {REPO}/{ONE}: hash differs" in done.stdout


def test_a_broken_catalogue_is_not_checked(command: Command) -> None:
    command.path.write_bytes(b'{"version": 1')
    done = command.run()
    assert done.returncode == 2
    assert "it is not JSON" in done.stdout
