"""text-generation-webui: wherever it was unpacked, under user_data/models (older: models)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.core.library import FoundFile, Owner
from app.hub.adopt.places import Places
from app.hub.folder_scan import scan_folder

# No installer knows where it went: these are the names that unpacking and cloning give, in the usual places.
_NAMES = ("text-generation-webui*", "textgen*", "oobabooga*")
_BELOW = ("user_data/models", "models")


def find(places: Places) -> Iterator[FoundFile]:
    """The GGUF files of every copy that is found."""
    for program in _programs(places):
        for below in _BELOW:
            yield from scan_folder(program / below, Owner.TEXT_GENERATION_WEBUI, max_depth=2)


def _programs(places: Places) -> Iterator[Path]:
    parents = [places.home / name for name in ("", "Documents", "Downloads", "Desktop", "git", "src", "AI", "ai")]
    parents.append(places.home / "pinokio" / "api")
    if places.system == "win32" and places.home.drive:
        parents.append(Path(places.home.drive + "\\"))
    seen = set()
    for parent in parents:
        for name in _NAMES:
            try:
                found = sorted(parent.glob(name))
            except OSError:
                continue
            for folder in found:
                inner = folder / "text-generation-webui"  # one-click installers put it inside
                for program in (folder, inner):
                    if (program / "server.py").is_file() and program not in seen:
                        seen.add(program)
                        yield program
