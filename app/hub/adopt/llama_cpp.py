"""llama.cpp's tools: -hf keeps OWNER_REPOSITORY_FILE.gguf in a cache folder, with the hub's answer beside it.

Since 2026 the tools use Hugging Face's cache instead (`hub_cache`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from app.core.library import FoundFile, Owner
from app.hub.adopt.places import Places, read_record
from app.hub.folder_scan import scan_folder


def find(places: Places) -> Iterator[FoundFile]:
    """What its programs downloaded."""
    folder = places.named("LLAMA_CACHE") or places.cache / "llama.cpp"
    for found in scan_folder(folder, Owner.LLAMA_CPP, max_depth=1):
        yield replace(found, repo=_repo_of(Path(found.path)))


def _repo_of(path: Path) -> str:
    """From the address in the record beside it: https://HOST/OWNER/REPOSITORY/resolve/REVISION/FILE."""
    address = read_record(path.with_name(path.name + ".json")).get("url")
    parts = urlsplit(address).path.strip("/").split("/") if isinstance(address, str) else []
    return "/".join(parts[:2]) if len(parts) > 3 and parts[2] == "resolve" else ""
