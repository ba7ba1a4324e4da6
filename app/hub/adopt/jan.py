"""Jan: llamacpp/models/…/model.yml in its data folder names each file; older versions had other folders.

Models that were imported stay where they were, so the path in a model.yml may lead anywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from app.core.digests import SHA256
from app.core.library import FoundFile, Owner
from app.hub.adopt.places import Places, read_record, read_text
from app.hub.folder_scan import join_parts, scan_folder

_MAX_RECORDS = 5_000
# One fact a line, at the margin: what Jan writes. No more of YAML is needed for it.
_FACT = re.compile(r"^(model_path|name|model_sha256):[ \t]*(.+?)[ \t]*$", re.MULTILINE)


def find(places: Places) -> Iterator[FoundFile]:
    """What Jan downloaded or imported."""
    seen: set[str] = set()
    for folder in _folders(places):
        for found in _in_folder(folder):
            if found.path not in seen:
                seen.add(found.path)
                yield found


def _folders(places: Places) -> Iterator[Path]:
    for name in ("Jan", "jan"):
        named = read_record(places.config / name / "settings.json").get("data_folder")
        if isinstance(named, str) and named:
            yield places.expand(named)
    yield places.config / "Jan" / "data"
    yield places.data / "Jan" / "data"
    yield places.home / "jan"


def _in_folder(folder: Path) -> Iterator[FoundFile]:
    named: set[str] = set()
    for count, record in enumerate(_records(folder / "llamacpp" / "models")):
        if count >= _MAX_RECORDS:
            return
        facts = {match[1]: match[2].strip("'\"") for match in _FACT.finditer(read_text(record))}
        path = facts.get("model_path", "")
        if not path:
            continue
        for found in _with_parts(folder / path):  # an absolute path replaces the folder
            named.update(found.parts)
            sha256 = facts.get("model_sha256", "").lower()
            is_hash = len(found.parts) == 1 and SHA256.fullmatch(sha256) is not None
            yield replace(found, name=facts.get("name", ""), sha256=sha256 if is_hash else "")
    for below in ("llamacpp", "models"):
        for found in scan_folder(folder / below, Owner.JAN):
            if not named.intersection(found.parts):
                yield found


def _records(folder: Path) -> Iterator[Path]:
    for at, _, files in os.walk(folder):
        if "model.yml" in files:
            yield Path(at, "model.yml")


def _with_parts(path: Path) -> list[FoundFile]:
    """The one model that begins at `path`; none when it is gone or incomplete."""
    try:
        siblings = [path] if "-of-" not in path.name else sorted(path.parent.glob("*.gguf"))
        joined = join_parts(((each, each.stat().st_size) for each in siblings), Owner.JAN)
    except OSError:
        return []
    return [found for found in joined if found.path == str(path)]
