"""ggml's backends as libraries of their own: which there are, which to load, and why one cannot be.

A release build has a folder full of them: one per kind of GPU and one per generation of processors. Each is loaded here
by its full path. ggml could look for them itself, but it would search the current folder as well, believe an
environment variable, and load RPC, whose unreachable servers end the process.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

GPU_BACKENDS = ("cuda", "hip", "metal", "vulkan")
"""In the order of ggml's own list; a device that two of them offer is so seen by the faster one first."""

RPC_BACKEND = "rpc"
"""Devices of other computers. Loaded for those who name it only."""

_WINDOWS_DRIVERS = {"cuda": "nvcuda.dll", "vulkan": "vulkan-1.dll"}
"""What a backend needs of a driver. Windows does not say which library it has not found, Linux does."""

LoadLibrary = Callable[[Path], bool]
"""Registers the backend in a library with ggml; False if ggml would not have it."""


def library_path(folder: Path, name: str) -> Path:
    """Where the library of the backend `name` lies if the build has it. macOS calls modules .so too."""
    return folder / (f"ggml-{name}.dll" if sys.platform == "win32" else f"libggml-{name}.so")


def backend_name(path: Path) -> str:
    """The backend in a library, "vulkan"; the opposite of `library_path`."""
    return path.stem.partition("ggml-")[2]


def load_backends(folder: Path, load: LoadLibrary, wanted: Collection[str] = GPU_BACKENDS) -> dict[str, str]:
    """Load the wanted GPU backends that the build has, and the processor's best variant.

    Gives the reason, in the system's words, for each that is there and could not be loaded. Never raises: without any
    backend llama.cpp says so when a model is loaded.
    """
    problems: dict[str, str] = {}
    names = [name for name in (*GPU_BACKENDS, RPC_BACKEND) if name in wanted]
    paths = {name: library_path(folder, name) for name in names}
    cpu = best_cpu_library(folder)
    if cpu is not None:
        paths["cpu"] = cpu  # last: ggml numbers devices in this order, and a GPU comes before the processor
    for name, path in paths.items():
        if path.exists() and not load(path):
            problems[name] = _reason(path)
    return problems


def best_cpu_library(folder: Path) -> Path | None:
    """The library for this processor: the variant with the highest score, or the only one there is."""
    scores = usable_variants(folder)
    if scores:
        return max(scores, key=lambda path: scores[path])
    plain = library_path(folder, "cpu")
    return plain if plain.exists() else None


def usable_variants(folder: Path) -> dict[Path, int]:
    """The variants that run on this processor, with the score that each gives itself."""
    pattern = library_path(folder, "cpu-*").name
    scores = {path: _score(path) for path in sorted(folder.glob(pattern))}
    return {path: score for path, score in scores.items() if score > 0}


def variant_name(path: Path) -> str:
    """What a library is called, "icelake"; empty for the only one of a build without variants."""
    return path.stem.partition("ggml-cpu-")[2]


def _score(path: Path) -> int:
    """What the library says of itself: 0 when this processor lacks something it needs, else more for the newer."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return 0
    try:
        score = library.ggml_backend_score
    except AttributeError:
        return 0
    else:
        return int(score())
    finally:
        _unload(library)


def _unload(library: Any) -> None:
    """A variant that is not used is not kept in memory either."""
    if sys.platform != "win32":
        import _ctypes

        _ctypes.dlclose(library._handle)


def _reason(path: Path) -> str:
    """Why ggml refused the library: the system's words if it cannot be loaded at all."""
    try:
        _unload(ctypes.CDLL(str(path)))
    except OSError as error:
        driver = _WINDOWS_DRIVERS.get(backend_name(path), "")
        if sys.platform == "win32" and driver and not _can_load(driver):
            return f"{driver} could not be found"
        return str(error).replace(os.fspath(path.parent) + os.sep, "")
    return "the backend did not start"


def _can_load(name: str) -> bool:
    try:
        _unload(ctypes.CDLL(name))
    except OSError:
        return False
    return True
