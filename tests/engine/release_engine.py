"""The release engine for tests and benchmarks: the libraries that `dev.py engine` built, if it did."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from devtools.cache import cache_folder
from devtools.engine import Engine
from devtools.profiles import RELEASE

LIBRARIES = "llama_cpp/lib/"


def unpack_release_engine(folder: Path) -> Path | None:
    """Unpacks the libraries into `folder` and gives the folder they lie in; None where none have been built."""
    wheel = Engine(cache_folder(), RELEASE).wheel
    if not wheel.exists():
        return None
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(LIBRARIES)])
    return folder / LIBRARIES


def release_libraries(folder: Path) -> Path:
    """The same for a test, which is skipped where there is no release engine."""
    found = unpack_release_engine(folder)
    if found is None:
        pytest.skip("needs the release engine, which takes long to build: python3 dev.py engine --profile release")
    return found
