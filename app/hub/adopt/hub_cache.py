"""The cache of Hugging Face's own tools: models--OWNER--NAME/snapshots/COMMIT/… are links into blobs.

Layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache. A blob of a large file is named after its
SHA-256. Where links cannot be made (Windows) the files themselves lie in snapshots. llama.cpp's tools use the same
cache since 2026.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from app.core.digests import SHA256
from app.core.library import FoundFile, Owner
from app.hub.adopt.places import Places
from app.hub.folder_scan import scan_folder

_PREFIX = "models--"


def find(places: Places) -> Iterator[FoundFile]:
    """The GGUF files in the cache; a file that several snapshots share comes once, from the newest of them."""
    seen_folders, seen = set(), set()
    for folder in _folders(places):
        if folder in seen_folders:
            continue
        seen_folders.add(folder)
        for repository in _folders_in(folder):
            if not repository.name.startswith(_PREFIX):
                continue
            repo = repository.name.removeprefix(_PREFIX).replace("--", "/", 1)
            for snapshot in sorted(_folders_in(repository / "snapshots"), key=_changed_at, reverse=True):
                for found in scan_folder(snapshot, Owner.HUB_CACHE):
                    target = os.path.realpath(found.path)
                    if target not in seen:
                        seen.add(target)
                        yield replace(found, repo=repo, commit=snapshot.name, sha256=_hash_of(found, target))


def _folders(places: Places) -> Iterator[Path]:
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "LLAMA_CACHE"):
        if (named := places.named(variable)) is not None:
            yield named
    if (home := places.named("HF_HOME")) is not None:
        yield home / "hub"
    if (cache := places.named("XDG_CACHE_HOME")) is not None:
        yield cache / "huggingface" / "hub"
    yield places.home / ".cache" / "huggingface" / "hub"  # on Windows and macOS too


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _hash_of(found: FoundFile, target: str) -> str:
    name = Path(target).name
    return name if len(found.parts) == 1 and SHA256.fullmatch(name) else ""
