"""NVIDIA's toolkit: its compiler found without a PATH, its libraries bundled by the names that the backend asks for."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from devtools import cuda_toolkit
from devtools.console import SetupError
from devtools.cuda_toolkit import BUNDLED, bundled_libraries, cuda_options

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a file system with links")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A computer without the toolkit."""
    for name in ("CUDACXX", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(cuda_toolkit, "_FOLDERS", (str(tmp_path / "cuda"),))


def make_nvcc(folder: Path) -> Path:
    nvcc = folder / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text("#!/bin/sh\n")
    nvcc.chmod(0o755)
    return nvcc


def test_the_compiler_is_found_where_it_is_installed_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match="nvcc was not found"):
        cuda_options()
    installed = make_nvcc(tmp_path / "cuda")
    assert cuda_options() == [f"-DCMAKE_CUDA_COMPILER={installed}"]
    chosen = make_nvcc(tmp_path / "chosen")
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "chosen"))
    assert cuda_options() == [f"-DCMAKE_CUDA_COMPILER={chosen}"]
    monkeypatch.setenv("CUDACXX", "nvcc -ccbin g++-11")
    assert cuda_options() == [], "CMake reads that itself"


def make_library(folder: Path, stem: str, *versions: str) -> str:
    """A library with links as a toolkit has them; gives its line in CMake's cache."""
    folder.mkdir(exist_ok=True)
    names = [f"lib{stem}.so", *(f"lib{stem}.so.{version}" for version in versions)]
    (folder / names[-1]).write_text(stem)
    for name, target in pairwise(names):
        (folder / name).symlink_to(target)
    return f"CUDA_{stem}_LIBRARY:FILEPATH={folder / names[0]}\n"


def test_libraries_are_bundled_by_the_names_that_they_are_asked_for(tmp_path: Path) -> None:
    lib = tmp_path / "lib"
    (tmp_path / "lib").mkdir()
    (lib / "libcublas.so.11").write_text("an older one in the same folder")
    cache = make_library(lib, "cudart", "12", "12.9.79")
    cache += make_library(lib, "cublas", "12", "12.9.1.4")
    cache += make_library(lib, "cublasLt", "12")
    found = bundled_libraries("CMAKE_C_COMPILER:FILEPATH=/usr/bin/cc\n" + cache)
    assert [path.name for path in found] == [f"lib{stem}.so.12" for stem in BUNDLED]
    assert [path.read_bytes().decode() for path in found] == list(BUNDLED)


def test_a_toolkit_without_a_library_is_refused_by_name(tmp_path: Path) -> None:
    cache = make_library(tmp_path, "cudart", "13") + "CUDA_cublas_LIBRARY:FILEPATH=CUDA_cublas_LIBRARY-NOTFOUND\n"
    with pytest.raises(SetupError, match="no cublas or cublasLt"):
        bundled_libraries(cache)
