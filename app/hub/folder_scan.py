"""Finds the GGUF files in a folder and puts the parts of split models together."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from app.core.library import FoundFile, Owner
from app.core.quantizations import group_files

MAX_FILES = 20_000
MAX_DEPTH = 8

# What stands beside models without being one: it loads nothing by itself.
_NO_MODEL = re.compile(r"^(mmproj|ggml-vocab)|[-._]mmproj[-._]|imatrix", re.IGNORECASE)


def scan_folder(folder: Path, owner: Owner, max_depth: int = MAX_DEPTH) -> list[FoundFile]:
    """The models in `folder` and below, by path. Headers are not read; what cannot be read is left out.

    Links to files are followed, links to folders are not: they may lead in circles.
    """
    return join_parts(((path, _size(path)) for path in walk(folder, max_depth)), owner)


def walk(folder: Path, max_depth: int = MAX_DEPTH) -> Iterator[Path]:
    """The GGUF files in `folder` and below, at most MAX_FILES."""
    found = 0
    depth_of = len(folder.parts)
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(Path(at).parts) - depth_of >= max_depth:
            folders.clear()
        for name in sorted(files):
            if name.lower().endswith(".gguf") and not name.startswith(".") and not _NO_MODEL.search(name):
                yield Path(at, name)
                found += 1
                if found >= MAX_FILES:
                    return


def join_parts(files: Iterable[tuple[Path, int | None]], owner: Owner) -> list[FoundFile]:
    """Whole models out of files with their sizes in bytes; without those that miss a part or cannot be read (None)."""
    groups = group_files((str(path), size) for path, size in files if size)
    whole = [FoundFile(owner, group.parts, group.size_bytes) for group in groups if group.size_bytes]
    return sorted(whole, key=lambda found: found.path)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # a link whose target is gone, or no permission
        return None
