"""The ways in which the engine is built: which parts of llama.cpp, and with which options of its CMake files.

packaging/engine/README.md gives the reason for each option.
"""

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools.cache import ROOT
from devtools.console import SetupError

AMX_HEADER = ROOT / "packaging" / "engine" / "amx_intrinsics.h"
SMALL_BATCHES_HEADER = ROOT / "packaging" / "engine" / "small_batches.h"
SMALL_ATTENTION_HEADER = ROOT / "packaging" / "engine" / "small_attention.h"
QUANTIZED_PRODUCTS_HEADER = ROOT / "packaging" / "engine" / "quantized_products.h"
SHORT_WAITS_HEADER = ROOT / "packaging" / "engine" / "short_waits.h"

COMMON_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=ON",
    "-DGGML_NATIVE=OFF",
    "-DGGML_CCACHE=OFF",
    "-DLLAMA_BUILD_COMMON=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_TOOLS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    # One file per library, without version links: a wheel cannot hold links.
    "-DCMAKE_PLATFORM_NO_VERSIONED_SONAME=ON",
    # The libraries find each other beside themselves.
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
    f"-DCMAKE_INSTALL_RPATH={'@loader_path' if sys.platform == 'darwin' else '$ORIGIN'}",
)
ONE_LIBRARY_PER_BACKEND = ("-DGGML_BACKEND_DL=ON", "-DGGML_CPU_ALL_VARIANTS=ON", "-DGGML_RPC=ON")


@dataclass(frozen=True, slots=True)
class Profile:
    """One way to build the engine."""

    name: str
    recipe: int
    """Raise when the way of building changes: cached wheels of an older recipe are then not used."""
    options: tuple[str, ...]
    libraries: tuple[str, ...]
    """What must have come of it, without `lib` and ending; `ggml-cpu` stands for its variants too."""
    has_variants: bool
    """Whether every kind of processor has its library, so that one wheel serves all computers."""
    uses_vulkan: bool = False
    uses_cuda: bool = False
    systems: tuple[str, ...] = ("linux", "darwin", "win32")
    """Where it can be built, as in sys.platform."""


DEV = Profile(
    name="dev",
    recipe=5,
    options=("-DGGML_BACKEND_DL=OFF",),
    libraries=("llama", "ggml", "ggml-base", "ggml-cpu"),
    has_variants=False,
)
RELEASE = Profile(
    name="release",
    recipe=5,
    options=(*ONE_LIBRARY_PER_BACKEND, "-DGGML_VULKAN=ON"),
    libraries=("llama", "ggml", "ggml-base", "ggml-cpu", "ggml-rpc", "ggml-vulkan"),
    has_variants=True,
    uses_vulkan=True,
    systems=("linux", "win32"),
)
CUDA = Profile(
    name="cuda",
    recipe=5,
    options=(*RELEASE.options, "-DGGML_CUDA=ON", "-DGGML_CUDA_NCCL=OFF"),
    libraries=(*RELEASE.libraries, "ggml-cuda"),
    has_variants=True,
    uses_vulkan=True,
    uses_cuda=True,
    systems=("linux", "win32"),
)
METAL = Profile(
    name="metal",
    recipe=5,
    options=(*ONE_LIBRARY_PER_BACKEND, "-DGGML_METAL=ON", "-DGGML_METAL_EMBED_LIBRARY=ON"),
    libraries=("llama", "ggml", "ggml-base", "ggml-cpu", "ggml-rpc", "ggml-metal"),
    has_variants=True,
    systems=("darwin",),
)
PROFILES = {profile.name: profile for profile in (DEV, RELEASE, CUDA, METAL)}


def require_system(profile: Profile) -> None:
    """Raises SetupError where a profile cannot be built."""
    if sys.platform not in profile.systems:
        names = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}
        where = " or ".join(names[system] for system in profile.systems)
        raise SetupError(f"The profile {profile.name} is built on {where}. For this system: {_suggestion()}.")


def compiler_options(profile: Profile) -> tuple[str, ...]:
    """The headers that are put before each source file: GCC and clang can be told to, Microsoft's compiler is not."""
    if sys.platform == "win32":
        return ()
    has_amx = profile.has_variants and sys.platform == "linux" and platform.machine() == "x86_64"
    for_c = (SMALL_BATCHES_HEADER, SMALL_ATTENTION_HEADER, SHORT_WAITS_HEADER)
    for_cpp = (*((AMX_HEADER,) if has_amx else ()), QUANTIZED_PRODUCTS_HEADER)
    return _included(for_c, "CMAKE_C_FLAGS", "CFLAGS"), _included(for_cpp, "CMAKE_CXX_FLAGS", "CXXFLAGS")


def _included(headers: Sequence[Path], option: str, variable: str) -> str:
    included = (f"-include {shlex.quote(str(header))}" for header in headers)
    return f"-D{option}={' '.join((os.environ.get(variable, ''), *included)).strip()}"


def _suggestion() -> str:
    return " or ".join(name for name, profile in PROFILES.items() if sys.platform in profile.systems)
