"""Compares every row of the catalogue of models with what the hub says of its repositories and files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from app.core.catalog import Catalog, CatalogFile, CatalogModel
from app.core.digests import COMMIT, SHA256
from app.core.errors import ErrorKind, UserError
from app.hub.access import HubAccess
from app.hub.failures import as_user_errors, raise_for_status
from app.hub.http_client import headers, open_client

if TYPE_CHECKING:
    import httpx2

PAUSES_S = (2.0, 10.0, 60.0)  # before each new try, when the hub is busy or not reached
LONGEST_WAIT_S = 600  # the hub counts requests in windows of five minutes
NEWEST = "main"
_WORTH_A_RETRY = (ErrorKind.HUB_UNREACHABLE, ErrorKind.NO_NETWORK, ErrorKind.HUB_FAILED, ErrorKind.RATE_LIMITED)


class FindingKind(StrEnum):
    """What a comparison may bring to light; everything but CAN_BE_CONFIRMED is a mistake in the row or an absence."""

    REPOSITORY_MISSING = "repository missing"
    COMMIT_MISSING = "commit missing"
    FILE_MISSING = "file missing"
    SIZE_DIFFERS = "size differs"
    HASH_DIFFERS = "hash differs"
    GATED = "gated"
    LICENCE_DIFFERS = "licence differs"
    NOT_REACHED = "not reached"
    CAN_BE_CONFIRMED = "can be confirmed"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the hub says of one file; the hash is that of files in its large storage alone."""

    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """What the hub says of a repository at one commit."""

    commit: str
    is_gated: bool
    licence_tags: tuple[str, ...]
    files: Mapping[str, FileFacts]


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference, or facts by which a file becomes a confirmed one."""

    kind: FindingKind
    model_id: str
    repo: str
    path: str
    words: str
    commit: str = ""
    facts: tuple[FileFacts, ...] = ()  # for CAN_BE_CONFIRMED: of each part, or of the file

    @property
    def is_problem(self) -> bool:
        """Whether somebody has to look at the row."""
        return self.kind is not FindingKind.CAN_BE_CONFIRMED


class CatalogCheck:
    """Asks the hub once for each repository and commit. Used on any one thread."""

    def __init__(
        self, access: HubAccess, pauses_s: Sequence[float] = PAUSES_S, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._access = access
        self._pauses_s = tuple(pauses_s)
        self._sleep = sleep
        self._known: dict[tuple[str, str], RepositoryFacts | UserError] = {}

    def findings(self, catalog: Catalog) -> Iterator[Finding]:
        """The findings, row by row, as they come. Raises UserError OFFLINE and PROXY_FAILED."""
        with open_client(self._access) as client:
            for model in catalog.models:
                yield from self._findings_of(client, model)

    def _findings_of(self, client: httpx2.Client, model: CatalogModel) -> Iterator[Finding]:
        told: set[tuple[str, FindingKind]] = set()
        projector = (model.projector,) if model.projector else ()
        for file in (*model.files, *projector):
            facts = self._facts(client, file.repo, file.commit or NEWEST)
            if isinstance(facts, UserError):
                found = [_absence(model, file, facts)]
            else:
                found = [*_compare_repository(model, file, facts), *_compare_file(model, file, facts)]
            for finding in found:
                key = (finding.repo, finding.kind)
                if finding.path or key not in told:  # what holds for the repository is said once
                    told.add(key)
                    yield finding

    def _facts(self, client: httpx2.Client, repo: str, revision: str) -> RepositoryFacts | UserError:
        key = (repo, revision)
        if key not in self._known:
            try:
                self._known[key] = self._ask_patiently(client, repo, revision)
            except UserError as error:
                self._known[key] = error
        return self._known[key]

    def _ask_patiently(self, client: httpx2.Client, repo: str, revision: str) -> RepositoryFacts:
        for pause_s in (*self._pauses_s, None):
            try:
                return _ask(client, self._access, repo, revision)
            except UserError as error:
                is_ours = error.kind is ErrorKind.HUB_FAILED and error.integer("status") < 500
                if pause_s is None or is_ours or error.kind not in _WORTH_A_RETRY:
                    raise
                wait_s = max(pause_s, error.integer("retry_in_s"))
                if wait_s > LONGEST_WAIT_S:
                    raise
            self._sleep(wait_s)
        raise AssertionError("the last try returns or raises")


def _ask(client: httpx2.Client, access: HubAccess, repo: str, revision: str) -> RepositoryFacts:
    """One request. Raises UserError as `app.hub.failures` does."""
    url = f"{access.endpoint}/api/models/{quote(repo)}/revision/{quote(revision)}"
    with as_user_errors(access, repo, "", revision):
        response = client.get(url, params={"blobs": "true"}, headers=headers(access))
    raise_for_status(response, access, repo, "", revision)
    try:
        return _facts_in(response.json())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(ErrorKind.HUB_ANSWER_STRANGE, endpoint=access.endpoint, reason=str(error)) from error


def _facts_in(answer: Any) -> RepositoryFacts:
    """Raises ValueError, TypeError, KeyError or AttributeError for what is not the hub's answer about a repository."""
    commit = answer["sha"]
    if not COMMIT.fullmatch(commit):
        raise ValueError("no commit")
    files = {str(file["rfilename"]): _file_facts(file) for file in answer["siblings"]}
    tags = (str(tag) for tag in answer.get("tags", ()))
    licences = tuple(tag.removeprefix("license:") for tag in tags if tag.startswith("license:"))
    return RepositoryFacts(commit, bool(answer.get("gated")), licences, files)


def _file_facts(file: Any) -> FileFacts:
    size_bytes, sha256 = file.get("size"), (file.get("lfs") or {}).get("sha256")
    if type(size_bytes) is not int or size_bytes <= 0:
        size_bytes = None
    return FileFacts(size_bytes, sha256 if sha256 is not None and SHA256.fullmatch(sha256) else None)


def _absence(model: CatalogModel, file: CatalogFile, error: UserError) -> Finding:
    if error.kind is ErrorKind.NOT_ON_HUB:
        kind = FindingKind.COMMIT_MISSING if error.string("revision") else FindingKind.REPOSITORY_MISSING
        words = f"the hub has no commit {file.commit}" if error.string("revision") else "the hub has no such repository"
    elif error.kind is ErrorKind.GATED:
        kind, words = FindingKind.GATED, "its files are given to people who accepted its terms"
    else:
        kind, words = FindingKind.NOT_REACHED, str(error)
    return Finding(kind, model.id, file.repo, "", words)


def _compare_repository(model: CatalogModel, file: CatalogFile, facts: RepositoryFacts) -> Iterator[Finding]:
    if facts.is_gated:
        yield Finding(
            FindingKind.GATED, model.id, file.repo, "", "its files are given to people who accepted its terms"
        )
    if facts.licence_tags and not set(facts.licence_tags) & set(model.licence_terms.tags):
        words = f"tagged {', '.join(facts.licence_tags)}, the row says {model.licence}"
        yield Finding(FindingKind.LICENCE_DIFFERS, model.id, file.repo, "", words)


def _compare_file(model: CatalogModel, file: CatalogFile, facts: RepositoryFacts) -> Iterator[Finding]:
    stated = [(part.path, part.size_bytes, part.sha256) for part in file.parts] or [
        (file.path, file.size_bytes, file.sha256)
    ]
    found = []
    for path, size_bytes, sha256 in stated:
        fact = facts.files.get(path)
        if fact is None:
            where = f"at {facts.commit[:12]}" if file.commit else "now"
            yield Finding(FindingKind.FILE_MISSING, model.id, file.repo, path, f"not in the repository {where}")
            return
        if size_bytes is not None and fact.size_bytes != size_bytes:
            words = f"{size_bytes} bytes in the row, {fact.size_bytes} on the hub"
            yield Finding(FindingKind.SIZE_DIFFERS, model.id, file.repo, path, words)
        elif sha256 is not None and fact.sha256 != sha256:
            yield Finding(
                FindingKind.HASH_DIFFERS, model.id, file.repo, path, f"{sha256} in the row, {fact.sha256} there"
            )
        elif fact.size_bytes is not None and fact.sha256 is not None:
            found.append(fact)
    if not file.is_confirmed and len(found) == len(stated):
        words = f"commit {facts.commit}, " + ", ".join(f"{fact.size_bytes} bytes {fact.sha256}" for fact in found)
        kind = FindingKind.CAN_BE_CONFIRMED
        yield Finding(kind, model.id, file.repo, file.path, words, facts.commit, tuple(found))


def fill_in(document: Mapping[str, Any], findings: Sequence[Finding]) -> int:
    """Write what the hub said into a decoded catalogue, for files that can be confirmed; how many were."""
    known = {
        (finding.model_id, finding.repo, finding.path): finding
        for finding in findings
        if finding.kind is FindingKind.CAN_BE_CONFIRMED
    }
    filled = 0
    for model in document["models"]:
        for file in (*model.get("files", ()), *model.get("projectors", ())):
            finding = known.get((model["id"], file["repo"], file["path"]))
            if finding is None:
                continue
            file.pop("estimated_bytes", None)
            if parts := file.get("parts"):
                for part, fact in zip(parts, finding.facts, strict=True):
                    part.update(size_bytes=fact.size_bytes, sha256=fact.sha256)
                file["size_bytes"] = sum(fact.size_bytes or 0 for fact in finding.facts)
            else:
                file.update(size_bytes=finding.facts[0].size_bytes, sha256=finding.facts[0].sha256)
            file["commit"] = finding.commit
            filled += 1
    return filled
