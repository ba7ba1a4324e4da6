"""Where Hearth keeps things: one value made at start, no global state."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

PORTABLE_FOLDER = "hearth-data"
BUILTIN_MODEL_NAME = "hearth-guide-q8_0.gguf"


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one profile."""

    data: Path
    logs: Path
    cache: Path

    @property
    def database(self) -> Path:
        """The SQLite file with all conversations."""
        return self.data / "hearth.db"

    @property
    def backups(self) -> Path:
        """Verified copies of the database."""
        return self.data / "backups"

    @property
    def states(self) -> Path:
        """What conversations left in the model's memory, so that it is not read again after a restart."""
        return self.cache / "states"

    @property
    def settings(self) -> Path:
        """The settings as JSON."""
        return self.data / "settings.json"

    @property
    def models(self) -> Path:
        """Where models are downloaded to unless the person chose another folder."""
        return self.data / "models"

    @property
    def moves(self) -> Path:
        """What is being moved to other folders, so that it can be mended if Hearth is killed meanwhile."""
        return self.data / "moves"

    @property
    def speed_history(self) -> Path:
        """How fast models were on this computer, against what was expected of them."""
        return self.cache / "speeds.json"

    @property
    def hub_answers(self) -> Path:
        """What the hub answered, so that it is not asked again and can be shown offline."""
        return self.cache / "hub"

    @property
    def catalog(self) -> Path:
        """A catalogue of models that was fetched from an address the person chose."""
        return self.data / "catalog.json"

    @property
    def attempts(self) -> Path:
        """The journal of attempts on GPUs."""
        return self.cache / "attempts.json"

    @property
    def device_speeds(self) -> Path:
        """What devices did in their self-tests."""
        return self.cache / "devices.json"

    @property
    def survey_log(self) -> Path:
        """What the child that looks at chat templates writes to its standard error."""
        return self.logs / "templates.log"

    @property
    def engine_log(self) -> Path:
        """What llama.cpp prints; no text of conversations."""
        return self.logs / "engine.log"

    @property
    def app_log(self) -> Path:
        """What the window's process logs; no text of conversations."""
        return self.logs / "hearth.log"


def choose_paths(data_dir: str | None = None) -> Paths:
    """The folders for `--data-dir DIR`, for a portable copy, or for the person's own account.

    A portable copy is one with a folder named `hearth-data` beside the executable. Creates nothing.
    """
    if data_dir is None and getattr(sys, "frozen", False):
        beside = Path(sys.executable).parent / PORTABLE_FOLDER
        data_dir = str(beside) if beside.is_dir() else None
    if data_dir is not None:
        root = Path(data_dir).expanduser().absolute()
        return Paths(root, root / "logs", root / "cache")
    dirs = platformdirs.PlatformDirs("Hearth", appauthor=False)
    return Paths(dirs.user_data_path, dirs.user_log_path, dirs.user_cache_path)


def resources() -> Path:
    """The folder of read-only files that come with the app, beside the package or inside a frozen build."""
    frozen = getattr(sys, "_MEIPASS", None)
    return Path(frozen) / "resources" if frozen else Path(__file__).resolve().parent.parent / "resources"


def builtin_model() -> Path:
    """The model that comes with the app."""
    return resources() / "models" / BUILTIN_MODEL_NAME


def shipped_catalog() -> Path:
    """The catalogue of models that comes with the app."""
    return resources() / "catalog.json"
