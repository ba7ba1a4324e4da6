"""LM Studio: models/PUBLISHER/REPOSITORY/FILE.gguf below its home, or in the folder that its settings name.

Its home is ~/.lmstudio, older ones ~/.cache/lm-studio; a file ~/.lmstudio-home-pointer names another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from app.core.library import FoundFile, Owner
from app.hub.adopt.places import Places, read_record, read_text
from app.hub.folder_scan import scan_folder


def find(places: Places) -> Iterator[FoundFile]:
    """What LM Studio downloaded or was given."""
    seen = set()
    for folder in _folders(places):
        if folder in seen or not folder.is_dir():
            continue
        seen.add(folder)
        for found in scan_folder(folder, Owner.LM_STUDIO):
            inside = Path(found.path).relative_to(folder).parts
            # PUBLISHER/REPOSITORY/FILE is how the hub calls it as well.
            yield replace(found, repo="/".join(inside[:2])) if len(inside) == 3 else found


def _folders(places: Places) -> Iterator[Path]:
    pointer = read_text(places.home / ".lmstudio-home-pointer").strip().partition("\n")[0].strip()
    homes = [places.expand(pointer)] if pointer else []
    homes += [places.home / ".lmstudio", places.home / ".cache" / "lm-studio"]
    settings = [home / "settings.json" for home in homes]
    settings.append(places.config / "LM Studio" / "settings.json")
    for path in settings:
        named = read_record(path).get("downloadsFolder")
        if isinstance(named, str) and named:
            yield places.expand(named)
    for home in homes:
        yield home / "models"
