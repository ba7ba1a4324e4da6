"""NVIDIA's CUDA toolkit on this computer: its compiler, and the libraries of it that the engine needs to run."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from devtools.console import SetupError

BUNDLED = ("cudart", "cublas", "cublasLt")
"""What ggml's CUDA backend needs beside the driver, and no driver brings. NVIDIA allows everybody to hand them on."""

_FOLDERS = ("/usr/local/cuda", "/opt/cuda")  # where NVIDIA's packages and Arch's put it, without a word on the PATH


def cuda_options() -> list[str]:
    """CMake's option that names NVIDIA's compiler; none where CUDACXX names it, or Visual Studio finds it.

    Looked for on the PATH, in CUDA_PATH, and where it is installed to. Raises SetupError where there is none.
    """
    if os.environ.get("CUDACXX"):
        return []
    roots = [*filter(None, [os.environ.get("CUDA_PATH")]), *_FOLDERS]
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=os.pathsep.join(f"{root}/bin" for root in roots))
    if nvcc is None:
        raise SetupError(
            "NVIDIA's CUDA toolkit is needed: its compiler nvcc was not found.\n"
            "Install the toolkit (https://developer.nvidia.com/cuda-downloads), or name an nvcc in CUDACXX."
        )
    return [] if sys.platform == "win32" else [f"-DCMAKE_CUDA_COMPILER={nvcc}"]


def bundled_libraries(cmake_cache: str) -> list[Path]:
    """The libraries to lay beside the backend, by the names that it asks for, from the text of CMake's cache.

    Raises SetupError if one is missing.
    """
    found = [(stem, next(_named_as_needed(stem, cmake_cache), None)) for stem in BUNDLED]
    missing = [stem for stem, path in found if path is None]
    if missing:
        raise SetupError(f"The CUDA toolkit has no {' or '.join(missing)} to bundle.")
    return [path for _, path in found if path is not None]


def _named_as_needed(stem: str, cmake_cache: str) -> Iterator[Path]:
    match = re.search(rf"^CUDA_{stem}_LIBRARY:FILEPATH=(.+)$", cmake_cache, re.MULTILINE)
    if match is None:
        return
    if sys.platform == "win32":  # …/lib/x64/cublas.lib belongs to …/bin/cublas64_12.dll, since 13.0 to bin/x64/…
        yield from sorted((Path(match[1]).parents[2] / "bin").rglob(f"{stem}64_*.dll"))
        return
    library = Path(
        match[1]
    ).resolve()  # libcublas.so is a link to libcublas.so.12 and that one to libcublas.so.12.9.1.4
    names = (path for path in library.parent.glob(f"lib{stem}.so.*") if path.resolve() == library)
    yield from sorted(names, key=lambda path: len(path.name))
