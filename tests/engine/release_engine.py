"""The release engine for tests: the libraries that `dev.py engine` built, if it did."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from devtools.cache import cache_folder
from devtools.console import SetupError
from devtools.engine import Engine
from devtools.profiles import RELEASE

BUILD_IT = "python3 dev.py engine --profile release"


def release_libraries(folder: Path) -> Path:
    """Unpacks the release engine's libraries into `folder`; skips the test where none has been built."""
    try:
        wheel = Engine(cache_folder(), RELEASE).wheel
    except SetupError as error:
        pytest.skip(str(error))
    if not wheel.exists():
        pytest.skip(f"needs the release engine, which takes long to build: {BUILD_IT}")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith("llama_cpp/lib/")])
    return folder / "llama_cpp" / "lib"
