"""Repositories as the hub's stand-in keeps them, and the JSON that the hub tells of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LFS_SUFFIXES = (".gguf", ".safetensors", ".bin", ".pt", ".onnx")
LFS_FROM_BYTES = 10_000_000
_HASH_BLOCK_BYTES = 1 << 20
_ALWAYS_LISTED = (
    *("_id", "id", "modelId", "createdAt", "downloads", "likes", "private"),
    *("tags", "pipeline_tag", "library_name", "trendingScore"),
)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a repository; the bytes are in memory or on disk."""

    path: str
    content: bytes | Path
    size_bytes: int
    sha256: str
    is_lfs: bool
    blob_id: str  # git's: of the content, or of the pointer that stands for it

    @classmethod
    def of(cls, path: str, content: bytes | Path) -> StoredFile:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        is_lfs = path.endswith(LFS_SUFFIXES) or size >= LFS_FROM_BYTES
        sha256 = _sha256(content)
        shown = pointer(sha256, size) if is_lfs else _read(content)
        blob_id = hashlib.sha1(b"blob %d\0" % len(shown) + shown).hexdigest()
        return cls(path, content, size, sha256, is_lfs, blob_id)

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.blob_id

    def read(self) -> bytes:
        return _read(self.content)

    def as_sibling(self, *, blobs: bool) -> dict[str, Any]:
        sibling: dict[str, Any] = {"rfilename": self.path}
        if blobs:
            sibling |= {"blobId": self.blob_id, "size": self.size_bytes}
            if self.is_lfs:
                pointer_bytes = len(pointer(self.sha256, self.size_bytes))
                sibling["lfs"] = {"sha256": self.sha256, "size": self.size_bytes, "pointerSize": pointer_bytes}
        return sibling

    def as_tree_entry(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "type": "file",
            "oid": self.blob_id,
            "size": self.size_bytes,
            "path": self.path,
        }
        if self.is_lfs:
            pointer_bytes = len(pointer(self.sha256, self.size_bytes))
            entry["lfs"] = {"oid": self.sha256, "size": self.size_bytes, "pointerSize": pointer_bytes}
        return entry


@dataclass(slots=True)
class HubRepo:
    """One repository with all its commits. `facts` are fields of the API that replace those made up here."""

    name: str
    number: int  # makes up figures that differ from one repository to the next
    facts: dict[str, Any]
    gated: str | bool = False  # False, "auto" or "manual"
    private: bool = False
    commits: dict[str, dict[str, StoredFile]] = field(default_factory=dict)
    head: str = ""

    def commit(self, files: dict[str, bytes | Path]) -> str:
        """Make `files` the newest commit; its id."""
        stored = {path: StoredFile.of(path, content) for path, content in sorted(files.items())}
        listing = "".join(f"{path} {file.sha256}\n" for path, file in stored.items())
        identity = f"{self.name}\n{len(self.commits)}\n{listing}"
        self.head = hashlib.sha1(identity.encode()).hexdigest()
        self.commits[self.head] = stored
        return self.head

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch or an id stands for."""
        if revision == "main":
            return self.head
        return revision if revision in self.commits else None

    def info(self, commit: str, *, blobs: bool = False) -> dict[str, Any]:
        """Everything that the API tells when a repository is opened."""
        files = self.commits[commit]
        author = self.name.split("/")[0]
        readme = files.get("README.md")
        info: dict[str, Any] = {
            "_id": f"{self.number:024x}",
            "id": self.name,
            "modelId": self.name,
            "author": author,
            "sha": commit,
            "lastModified": f"2026-10-{self.number % 28 + 1:02}T12:00:00.000Z",
            "createdAt": f"2026-01-{self.number % 28 + 1:02}T12:00:00.000Z",
            "private": self.private,
            "gated": self.gated,
            "disabled": False,
            "downloads": 1000 - self.number,
            "likes": 10 * self.number,
            "trendingScore": self.number,
            "library_name": "gguf",
            "pipeline_tag": "text-generation",
            "tags": ["gguf", "text-generation", "region:us"],
            "cardData": {} if readme is not None else None,
            "siblings": [file.as_sibling(blobs=blobs) for file in files.values()],
            "usedStorage": sum(file.size_bytes for file in files.values()),
        }
        return info | self.facts

    def list_item(self, *, full: bool, card_data: bool, config: bool, expand: list[str]) -> dict[str, Any]:
        """What the API tells of a repository in a list; much less unless it is asked for."""
        info = self.info(self.head)
        if expand:
            return {key: info[key] for key in ("_id", "id", "modelId", *expand) if key in info}
        keys = set(_ALWAYS_LISTED)
        if full:
            keys |= {"author", "sha", "lastModified", "gated", "disabled", "siblings"}
        if card_data:
            keys.add("cardData")
        if config:
            keys.add("config")
        return {key: value for key, value in info.items() if key in keys}

    def tree(self, commit: str, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
        """Files, and unless `recursive` the folders, below `folder`."""
        prefix = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        for path, file in self.commits[commit].items():
            if not path.startswith(prefix):
                continue
            parts = path.removeprefix(prefix).split("/")
            for depth in range(1, len(parts)):
                inner = prefix + "/".join(parts[:depth])
                oid = hashlib.sha1(inner.encode()).hexdigest()
                entries.setdefault(inner, {"type": "directory", "oid": oid, "size": 0, "path": inner})
                if not recursive:
                    break
            if recursive or len(parts) == 1:
                entries[path] = file.as_tree_entry()
        return list(entries.values())


def pointer(sha256: str, size_bytes: int) -> bytes:
    """What git keeps in place of a large file."""
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size_bytes}\n"
    return text.encode()


def _read(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    digest = hashlib.sha256()
    with content.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
