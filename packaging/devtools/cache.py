"""Folders: the repository's, and the user's cache that several clones share."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
"""The repository's folder."""


def cache_folder() -> Path:
    """Where built engines are kept: HEARTH_DEV_CACHE, or `hearth-dev` in the user's cache folder."""
    chosen = os.environ.get("HEARTH_DEV_CACHE")
    if chosen:
        return Path(chosen).expanduser().resolve()
    try:
        folder = _user_cache() / "hearth-dev"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home folder, or one that cannot be written
        return ROOT / "build" / "hearth-dev"
    return folder


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
