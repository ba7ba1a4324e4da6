"""Which backends are loaded: from one folder, by name, the processor's best variant, RPC only if asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.engine.worker.backend_libraries import (
    best_cpu_library,
    library_path,
    load_backends,
    usable_variants,
    variant_name,
)

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("cc"), reason="needs a C compiler to make libraries with"
)


def make_library(folder: Path, name: str, code: str = "") -> Path:
    path = library_path(folder, name)
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    subprocess.run(command, input=code, text=True, check=True)
    return path


def make_variant(folder: Path, name: str, score: int) -> Path:
    return make_library(folder, f"cpu-{name}", f"int ggml_backend_score(void) {{ return {score}; }}")


class Registry:
    """Stands where ggml is: notes what it is given."""

    def __init__(self, *refused: str) -> None:
        self.names: list[str] = []
        self._refused = refused

    def load(self, path: Path) -> bool:
        name = path.stem.removeprefix("libggml-")
        self.names.append(name)
        return name not in self._refused


def test_the_highest_score_is_the_processors_variant(tmp_path: Path) -> None:
    make_variant(tmp_path, "old", 3)
    newest = make_variant(tmp_path, "fitting", 9)
    make_variant(tmp_path, "too-new", 0)
    library_path(tmp_path, "cpu-broken").write_text("not a library")
    make_library(tmp_path, "cpu-silent")
    assert best_cpu_library(tmp_path) == newest
    assert variant_name(newest) == "fitting"
    assert {variant_name(path): score for path, score in usable_variants(tmp_path).items()} == {"old": 3, "fitting": 9}


def test_a_build_with_one_library_for_all_processors_has_no_variant(tmp_path: Path) -> None:
    plain = make_library(tmp_path, "cpu")
    assert best_cpu_library(tmp_path) == plain
    assert variant_name(plain) == ""
    assert usable_variants(tmp_path) == {}


def test_gpus_come_before_the_processor_and_rpc_only_if_named(tmp_path: Path) -> None:
    for name in ("vulkan", "cuda", "rpc", "cpu"):
        make_library(tmp_path, name)
    registry = Registry()
    assert load_backends(tmp_path, registry.load) == {}
    assert registry.names == ["cuda", "vulkan", "cpu"]
    asked = Registry()
    load_backends(tmp_path, asked.load, wanted=("rpc",))
    assert asked.names == ["rpc", "cpu"]


def test_the_current_folder_and_the_environment_are_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted, ours = tmp_path / "planted", tmp_path / "ours"
    planted.mkdir()
    ours.mkdir()
    make_variant(planted, "evil", 99)
    monkeypatch.setenv("GGML_BACKEND_PATH", str(make_library(planted, "vulkan")))
    monkeypatch.chdir(planted)
    registry = Registry()
    assert load_backends(ours, registry.load) == {}
    assert registry.names == []


def test_a_backend_that_cannot_be_loaded_has_a_reason(tmp_path: Path) -> None:
    missing = make_library(tmp_path, "missing", "void needed(void) {}")
    path = library_path(tmp_path, "vulkan")
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", str(missing), "-o", str(path)]
    code = "void needed(void); void start(void) { needed(); }"
    subprocess.run(command, input=code, text=True, check=True)
    make_library(tmp_path, "cuda")
    missing.unlink()
    problems = load_backends(tmp_path, Registry("vulkan", "cuda").load)
    assert set(problems) == {"cuda", "vulkan"}
    assert "missing" in problems["vulkan"]
    assert str(tmp_path) not in problems["cuda"]
