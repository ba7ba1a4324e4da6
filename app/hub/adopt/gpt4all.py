"""GPT4All: one folder of files, which its settings may name; its Python package has another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from app.core.library import FoundFile, Owner
from app.hub.adopt.places import Places, read_text
from app.hub.folder_scan import scan_folder

_MODEL_PATH = re.compile(r"^modelPath=(.+)$", re.MULTILINE)


def find(places: Places) -> Iterator[FoundFile]:
    """What the program or its Python package downloaded."""
    seen = set()
    for folder in _folders(places):
        if folder not in seen:
            seen.add(folder)
            yield from scan_folder(folder, Owner.GPT4ALL, max_depth=1)


def _folders(places: Places) -> Iterator[Path]:
    configs = (places.config, places.home / ".config")  # QSettings' INI files lie in ~/.config on macOS too
    for config in configs:
        for name in ("GPT4All.ini", "gpt4all.ini"):
            if (named := _MODEL_PATH.search(read_text(config / "nomic.ai" / name))) is not None:
                yield places.expand(named[1].strip().strip('"'))
    yield places.data / "nomic.ai" / "GPT4All"
    yield places.home / ".cache" / "gpt4all"
