"""Where to look: the folders of one user on one system, given as a value so that any system's can be tried on any."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MAX_RECORD_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Places:
    """A user's home and environment; `system` as in `sys.platform`; `root` is / on a real system."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    system: str = sys.platform
    root: Path = Path("/")

    @classmethod
    def of_this_user(cls) -> Places:
        """Those of whoever runs this."""
        return cls(Path.home(), dict(os.environ))

    def named(self, variable: str) -> Path | None:
        """The folder in an environment variable; None when it is not set."""
        value = self.environment.get(variable, "").strip()
        return self.expand(value) if value else None

    def expand(self, path: str) -> Path:
        """A path of a settings file, which may begin with ~ for the home folder."""
        if path == "~" or path.startswith(("~/", "~\\")):
            return self.home / path[2:]
        return Path(path)

    @property
    def config(self) -> Path:
        """Where programs keep settings."""
        if self.system == "win32":
            return self.named("APPDATA") or self.home / "AppData" / "Roaming"
        if self.system == "darwin":
            return self.home / "Library" / "Application Support"
        return self.named("XDG_CONFIG_HOME") or self.home / ".config"

    @property
    def data(self) -> Path:
        """Where programs keep data that stays on this computer."""
        if self.system == "win32":
            return self.named("LOCALAPPDATA") or self.home / "AppData" / "Local"
        if self.system == "darwin":
            return self.home / "Library" / "Application Support"
        return self.named("XDG_DATA_HOME") or self.home / ".local" / "share"

    @property
    def cache(self) -> Path:
        """Where programs keep what can be had again."""
        if self.system == "win32":
            return self.named("LOCALAPPDATA") or self.home / "AppData" / "Local"
        if self.system == "darwin":
            return self.home / "Library" / "Caches"
        return self.named("XDG_CACHE_HOME") or self.home / ".cache"


def read_text(path: Path) -> str:
    """A small text file of another program; empty when it cannot be read or is no small text file."""
    try:
        if path.stat().st_size > _MAX_RECORD_BYTES:
            return ""
        return path.read_text("utf-8", "replace").removeprefix("\ufeff")
    except (OSError, ValueError):
        return ""


def read_record(path: Path) -> dict[str, Any]:
    """A JSON object of another program; empty when there is none."""
    try:
        record = json.loads(read_text(path))
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
