"""A real HTTP server on loopback that plays the Hugging Face Hub and its CDN, for huggingface_hub as it is.

    with HubServer() as hub:
        commit = hub.add_repo("maker/tiny", {"tiny.gguf": gguf_bytes, "README.md": b"# Tiny"}, likes=3)
        hub.fail_next("/files/*", Fault(FaultKind.DROP, at_byte=1000))
        hf_hub_download("maker/tiny", "tiny.gguf", endpoint=hub.url)

Files live on a second port (`cdn_url`), so on another origin: tokens must not arrive there. Paths there are
/files/{repo}/{commit}/{path}, with a signature that ends after `link_life_s` or with `expire_links`.
"""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from tests.hub.faults import Fault, FaultPlan
from tests.hub.loopback_server import FaultyHandler, LoopbackServer, SeenRequest
from tests.hub.repositories import HubRepo, StoredFile, pointer

LIST_LIMIT = 100
TREE_LIMIT = 1000
_QUIET_LIMIT = {"RateLimit": '"api";r=499;t=299', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}


class HubServer:
    """The hub with its CDN. Facts and faults may be changed from any thread while it answers."""

    def __init__(self) -> None:
        self.repos: dict[str, HubRepo] = {}
        self.renamed: dict[str, str] = {}  # old name → new name
        self.tokens: dict[str, set[str]] = {}  # token → the gated and private repositories that it opens
        self.link_life_s = 3600.0
        self.tree_limit = TREE_LIMIT
        self.requests: list[SeenRequest] = []
        self.faults = FaultPlan()
        self._links: dict[str, float] = {}
        self._links_lock = threading.Lock()
        self.cdn = LoopbackServer("cdn", self._handler(_CdnHandler), self.faults, self.requests)
        self.hub = LoopbackServer("hub", self._handler(_HubHandler), self.faults, self.requests)
        self.url = self.hub.url
        self.cdn_url = self.cdn.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()
        if kind is None and (bugs := self.hub.bugs + self.cdn.bugs):
            raise bugs[0]

    def close(self) -> None:
        self.hub.close()
        self.cdn.close()

    def add_repo(
        self,
        name: str,
        files: dict[str, bytes | Path],
        *,
        gated: str | bool = False,
        private: bool = False,
        **facts: Any,
    ) -> str:
        """Add a repository, or a new commit to one that is there; the id of the commit.

        `gated` is False, "auto" or "manual". `facts` are fields of the API (downloads, likes, tags, cardData, gguf …)
        that replace those made up.
        """
        repo = self.repos.get(name)
        if repo is None:
            repo = self.repos[name] = HubRepo(name, len(self.repos) + 1, facts, gated, private)
        repo.facts |= facts
        return repo.commit(files)

    def file(self, name: str, path: str) -> StoredFile:
        """A file of the newest commit."""
        repo = self.repos[name]
        return repo.commits[repo.head][path]

    def fail_next(self, path_pattern: str, fault: Fault, *, times: int = 1, method: str = "") -> None:
        """Let the next `times` requests fail whose path (without query, with `*` and `?`) and method fit."""
        self.faults.add(path_pattern, fault, times, method)

    def expire_links(self) -> None:
        """Every signed address given out so far is worth nothing any more."""
        with self._links_lock:
            self._links.clear()

    def seen(self, server: str = "", method: str = "", containing: str = "") -> list[SeenRequest]:
        """The requests so far, in order, that fit."""
        return [
            request
            for request in list(self.requests)
            if server in ("", request.server) and method in ("", request.method) and containing in request.path
        ]

    def signed_link(self, repo: HubRepo, commit: str, path: str) -> str:
        signature = secrets.token_hex(8)
        with self._links_lock:
            self._links[signature] = time.monotonic() + self.link_life_s
        query = urlencode({"Expires": int(time.time() + self.link_life_s), "Signature": signature})
        return f"{self.cdn_url}/files/{quote(repo.name)}/{commit}/{quote(path)}?{query}"

    def is_valid_link(self, signature: str) -> bool:
        with self._links_lock:
            return self._links.get(signature, 0.0) > time.monotonic()

    def split_path(self, path: str) -> tuple[HubRepo | None, str, str]:
        """The repository at the beginning of a path, its name as it was asked for, and the rest of the path."""
        for words in (2, 1):
            asked = "/".join(path.split("/")[:words])
            repo = self.repos.get(self.renamed.get(asked, asked))
            if repo is not None:
                return repo, asked, path[len(asked) :].strip("/")
        return None, path, ""

    def _handler(self, kind: type[_HubHandler] | type[_CdnHandler]) -> type[FaultyHandler]:
        return type(kind.__name__, (kind,), {"hub": self})


class _CdnHandler(FaultyHandler):
    hub: HubServer

    def respond(self, path: str, query: dict[str, list[str]]) -> None:
        repo, _, rest = self.hub.split_path(path.removeprefix("/files/"))
        commit, _, name = rest.partition("/")
        file = repo.commits.get(commit, {}).get(name) if repo else None
        if file is None:
            self.send_body(404, b"", {})
        elif not self.hub.is_valid_link(query.get("Signature", [""])[0]):
            self.send_expired()
        else:
            disposition = f'inline; filename="{Path(name).name}"'
            headers = {
                "Content-Type": "application/octet-stream",
                "ETag": f'"{file.sha256[:32]}"',
                "Content-Disposition": disposition,
            }
            self.send_file(file, headers)


class _HubHandler(FaultyHandler):
    hub: HubServer

    def respond(self, path: str, query: dict[str, list[str]]) -> None:
        if path == "/api/whoami-v2":
            self._send_account()
        elif path == "/api/models":
            self._send_list(query)
        elif path.startswith("/api/models/"):
            self._send_api(path.removeprefix("/api/models/"), query)
        else:
            self._send_from_repo(path.strip("/"))

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ").strip()

    def _send_account(self) -> None:
        if self._token() in self.hub.tokens:
            self.send_json({"type": "user", "name": "tester", "auth": {"type": "access_token"}}, headers=_QUIET_LIMIT)
        else:
            self._refuse(401, "", "Invalid credentials in Authorization header")

    def _send_list(self, query: dict[str, list[str]]) -> None:
        def one(name: str) -> str:
            return query.get(name, [""])[0]

        words = one("search").lower()
        filters = {*query.get("filter", []), *query.get("apps", [])}
        found = [
            repo
            for repo in self.hub.repos.values()
            if not repo.private
            and words in repo.name.lower()
            and (info := repo.info(repo.head))
            and one("author") in ("", info["author"])
            and one("pipeline_tag") in ("", info["pipeline_tag"])
            and filters <= {*info["tags"], info["library_name"], info["pipeline_tag"]}
        ]
        sort = one("sort") or "trendingScore"
        found.sort(key=lambda repo: repo.info(repo.head)[sort], reverse=True)
        expand = query.get("expand", []) + query.get("expand[]", [])
        items = [
            repo.list_item(full=_is_on(one("full")), card_data=_is_on(one("cardData")), config=False, expand=expand)
            for repo in found
        ]
        self._send_page(items, query, int(one("limit") or LIST_LIMIT), "/api/models")

    def _send_page(self, items: list[Any], query: dict[str, list[str]], limit: int, path: str) -> None:
        begin = int(query.get("cursor", ["0"])[0] or 0)
        headers = dict(_QUIET_LIMIT)
        if begin + limit < len(items):
            following = {**query, "cursor": [str(begin + limit)]}
            headers["Link"] = f'<{self.hub.url}{quote(path)}?{urlencode(following, doseq=True)}>; rel="next"'
        self.send_json(items[begin : begin + limit], headers=headers)

    def _send_api(self, rest: str, query: dict[str, list[str]]) -> None:
        repo, asked, rest = self.hub.split_path(rest)
        if repo is None or not self._may_see(repo):
            self._refuse_unknown()
            return
        if asked != repo.name:
            tail = f"/{quote(rest)}" if rest else ""
            location = f"/api/models/{quote(repo.name)}{tail}"
            self.send_body(307, b"", {"Location": location + ("?" + urlencode(query, doseq=True) if query else "")})
            return
        what, _, rest = rest.partition("/")
        revision, _, folder = rest.partition("/") if what == "tree" else (rest, "", "")
        commit = repo.resolve(revision or "main")
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif what in ("", "revision"):
            info = repo.info(commit, blobs=_is_on(query.get("blobs", [""])[0]))
            if expand := query.get("expand", []) + query.get("expand[]", []):
                info = {key: info[key] for key in ("_id", "id", *expand) if key in info}
            self.send_json(info, headers=_QUIET_LIMIT)
        elif what == "tree":
            entries = repo.tree(commit, folder, recursive=_is_on(query.get("recursive", [""])[0]))
            limit = int(query.get("limit", [self.hub.tree_limit])[0])
            self._send_page(entries, query, limit, f"/api/models/{repo.name}/tree/{revision}".rstrip("/"))
        else:
            self.send_json({"error": "Sorry, we can't find the page you are looking for."}, 404)

    def _send_from_repo(self, path: str) -> None:
        repo, asked, rest = self.hub.split_path(path)
        what, _, rest = rest.partition("/")
        if repo is None or not self._may_see(repo):
            self._refuse_unknown()
            return
        if what not in ("resolve", "raw"):
            self.send_json({"error": "not found"}, 404)
            return
        if asked != repo.name:
            self.send_body(307, b"", {"Location": f"/{quote(repo.name)}/{what}/{quote(rest)}"})
            return
        if self._is_refused_gate(repo):
            return
        revision, _, name = rest.partition("/")
        commit = repo.resolve(revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        file = repo.commits[commit].get(name)
        if file is None:
            self._refuse(404, "EntryNotFound", "Entry not found")
        else:
            self._send_resolved(repo, commit, file, raw=what == "raw")

    def _send_resolved(self, repo: HubRepo, commit: str, file: StoredFile, *, raw: bool) -> None:
        headers = {"X-Repo-Commit": commit, "Content-Type": "text/plain; charset=utf-8"}
        if raw and file.is_lfs:
            self.send_body(200, pointer(file.sha256, file.size_bytes), headers)
        elif file.is_lfs:
            headers |= {
                "X-Linked-Size": str(file.size_bytes),
                "X-Linked-ETag": f'"{file.sha256}"',
                "ETag": f'"{file.sha256}"',
                "Accept-Ranges": "bytes",
                "Location": self.hub.signed_link(repo, commit, file.path),
            }
            self.send_body(302, b"Found. Redirecting", headers)
        else:
            self.send_file(file, headers | {"ETag": f'"{file.blob_id}"'})

    def _may_see(self, repo: HubRepo) -> bool:
        return not repo.private or repo.name in self.hub.tokens.get(self._token(), set())

    def _is_refused_gate(self, repo: HubRepo) -> bool:
        """Whether a gate keeps this request out; it is then answered."""
        token = self._token()
        if token and token not in self.hub.tokens:
            self._refuse(401, "", "Invalid credentials in Authorization header")
            return True
        if not repo.gated or repo.name in self.hub.tokens.get(token, set()):
            return False
        words = f"Access to model {repo.name} is restricted"
        if token:
            more = "and you are not in the authorized list"
            self._refuse(403, "GatedRepo", f"{words} {more}. Visit {self.hub.url}/{repo.name} to ask for access.")
        else:
            more = "You must have access to it and be authenticated to access it. Please log in."
            self._refuse(401, "GatedRepo", f"{words}. {more}")
        return True

    def _refuse_unknown(self) -> None:
        self._refuse(404 if self._token() in self.hub.tokens else 401, "RepoNotFound", "Repository not found")

    def _refuse(self, status: int, code: str, words: str) -> None:
        headers = {"X-Error-Message": words} | ({"X-Error-Code": code} if code else {})
        self.send_json({"error": words}, status, headers)


def _is_on(value: str) -> bool:
    return value.lower() in ("true", "1")
