"""The release engine in a real child: what it loads, and from where."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.engine.protocol import Devices
from app.engine.worker.backend_libraries import best_cpu_library, library_path
from tests.engine.engine_child import EngineChild, user
from tests.engine.release_engine import release_libraries

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to see what a process has loaded"),
]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release_libraries(tmp_path_factory.mktemp("release"))


@contextmanager
def child_with(libraries: Path, log_path: Path, **variables: str) -> Iterator[EngineChild]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LLAMA_CPP_LIB_PATH", str(libraries))
        for name, value in variables.items():
            environment.setenv(name, value)
        child = EngineChild(log_path=log_path)
    try:
        yield child
    finally:
        child.close()


def loaded_files(child: EngineChild) -> set[Path]:
    """The ggml and llama libraries that the process has mapped."""
    lines = Path(f"/proc/{child.process.pid}/maps").read_text("utf-8").splitlines()
    files = {Path(line.split(maxsplit=5)[5]) for line in lines if line.count("/")}
    return {path for path in files if path.name.startswith(("libggml", "libllama"))}


def test_the_processors_variant_is_loaded_and_rpc_is_not(libraries: Path, models: Path, tmp_path: Path) -> None:
    with child_with(libraries, tmp_path / "log") as child:
        kinds = [device.kind for device in child.ask(Devices(0)).last.devices]
        child.load(models / "qwen2.gguf")
        assert child.generate([user("hello")], max_tokens=4).text
        files = loaded_files(child)
    assert kinds.count("cpu") == 1
    assert library_path(libraries, "rpc").exists()
    assert library_path(libraries, "rpc") not in files
    processors = {path for path in files if path.name.startswith("libggml-cpu")}
    assert processors == {best_cpu_library(libraries)}


def test_nothing_is_loaded_from_elsewhere(libraries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    for name in ("cpu-evil", "cuda", "blas"):
        library_path(planted, name).write_bytes(library_path(libraries, "cpu-haswell").read_bytes())
    # The child is found from here, and its current folder is the one with the planted libraries.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(planted)
    outside = str(library_path(planted, "cuda"))
    with child_with(libraries, tmp_path / "log", GGML_BACKEND_PATH=outside) as child:
        child.ask(Devices(0))
        assert {path.parent for path in loaded_files(child)} == {libraries}


def test_a_backend_that_cannot_be_loaded_is_told_and_left_out(libraries: Path, models: Path, tmp_path: Path) -> None:
    crippled = tmp_path / "engine"
    crippled.mkdir()
    for path in libraries.iterdir():
        (crippled / path.name).symlink_to(path)
    library_path(crippled, "vulkan").unlink()
    library_path(crippled, "vulkan").write_text("not a library")
    with child_with(crippled, tmp_path / "log") as child:
        child.load(models / "qwen2.gguf")
        assert child.generate([user("hello")], max_tokens=4).text
    log = (tmp_path / "log").read_text("utf-8")
    assert "the backend vulkan cannot be used: libggml-vulkan.so: " in log
