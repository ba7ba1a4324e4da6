"""Backends that are there and do not work are listed with the right reason, and what helps.

CUDA stands for all. What cudart says comes from a backend made here, because no build of these tests has CUDA: it
reports to ggml as ggml's own does (ggml-cuda.cu, ggml_cuda_init). All needs the release engine of the cache.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.events import Device
from app.engine.protocol import Devices
from app.services.explain_devices import explain_problem
from tests.engine.engine_child import EngineChild
from tests.engine.release_engine import release_libraries

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs a C compiler and Linux"),
]

# ggml-backend-impl.h: struct ggml_backend_reg, of a backend without devices.
BACKEND = """
#include <stddef.h>
#include <stdlib.h>
void ggml_log_internal(int level, const char * format, ...);
static const char * name(void * reg) { return "CUDA"; }
static size_t count(void * reg) { return 0; }
static void * none(void * reg, size_t index) { return NULL; }
static void * address(void * reg, const char * function) { return NULL; }
static struct { int version; void * get_name, * count, * device, * address, * context; }
    reg = {2, name, count, none, address, NULL};
void * ggml_backend_init(void) {
    const int error = 4;
    ggml_log_internal(error, "ggml_cuda_init: failed to initialize CUDA: %s\\n", getenv("TEST_REASON"));
    return &reg;
}
"""
# The same with a card. ggml-backend-impl.h: struct ggml_backend_device; ggml-backend.h: ggml_backend_dev_props.
CARD = """
#include <stddef.h>
static const char * backend(void * reg) { return BACKEND; }
static const char * name(void * device) { return BACKEND "0"; }
static const char * description(void * device) { return "Some card"; }
void abort(void);
static void memory(void * device, size_t * available, size_t * total) {
    if (CRASHES) abort();
    *available = *total = 1 << 30;
}
static int type(void * device) { const int gpu = 1; return gpu; }
static void properties(void * device, struct {
    const char * name, * description;
    size_t available, total;
    int type;
    const char * bus;
} * found) { found->bus = "0000:01:00.0"; }
static size_t count(void * reg) { return 1; }
static void * address(void * reg, const char * function) { return NULL; }
static void * get(void * reg, size_t index);
static struct { int version; void * get_name, * count, * device, * address, * context; }
    reg = {2, backend, count, get, address, NULL};
static struct { void * functions[15]; void * reg, * context; }
    device = {{name, description, memory, type, properties}, &reg, NULL};
static void * get(void * reg, size_t index) { return &device; }
void * ggml_backend_init(void) { return &reg; }
"""
MANAGEMENT = """
#include <string.h>
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char * text, unsigned size) { strncpy(text, "550.54.14", size); return 0; }
"""
DRIVER = "int cuDriverGetVersion(int * version) { *version = 12040; return 0; }"


def make_library(path: Path, code: str, *options: str | Path) -> None:
    command = ["cc", "-w", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", *options, "-o", path]
    subprocess.run(command, input=code, text=True, check=True)


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The libraries of a release engine, which children use; what drivers bring is looked for in `tmp_path` first."""
    folder = release_libraries(tmp_path)
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(folder))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    return folder


def listed(tmp_path: Path) -> dict[str, Device]:
    child = EngineChild("--attempts", str(tmp_path / "attempts.json"), log_path=tmp_path / "engine.log")
    try:
        devices = {device.name: device for device in child.ask(Devices(0)).last.devices}
        assert not devices["CPU"].problem
        return devices
    finally:
        child.close()


def listed_cuda(tmp_path: Path) -> Device | None:
    return listed(tmp_path).get("CUDA")


def doctors_words_about_cuda(tmp_path: Path) -> str:
    command = [sys.executable, "-m", "app", "--data-dir", str(tmp_path / "data"), "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    found = json.loads(done.stdout)["engine"]["devices"]
    (cuda,) = (device for device in found if device["name"] == "CUDA")
    return str(cuda["problem_in_words"])


def leave_a_failure(tmp_path: Path, engine: str) -> None:
    """What is kept of a CUDA card that ended an engine."""
    ended = {"kind": "device", "name": "CUDA0", "path": "", "engine": engine, "pid": 0, "process_started_at": 0.0}
    (tmp_path / "attempts.json").write_text(json.dumps({"running": [], "failed": [ended]}), "utf-8")


def need_no_driver() -> None:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return
    pytest.skip("this computer has an NVIDIA driver")


def make_backend_that_needs(library: str, folder: Path) -> None:
    needed = folder / library
    make_library(needed, "int cuInit(unsigned flags) { return 0; }", f"-Wl,-soname,{library}")
    make_library(folder / "libggml-cuda.so", "int cuInit(unsigned); int start(void) { return cuInit(0); }", needed)
    needed.unlink()


def test_without_a_driver_it_is_said_who_needs_one(libraries: Path, tmp_path: Path) -> None:
    need_no_driver()
    make_backend_that_needs("libcuda.so.1", libraries)
    cuda = listed_cuda(tmp_path)
    assert cuda is not None
    assert (cuda.kind, cuda.problem, cuda.driver) == ("gpu", "driver_missing", "")
    assert "no NVIDIA driver" in explain_problem(cuda)
    assert "libcuda.so.1" in cuda.detail
    assert "no NVIDIA driver" in doctors_words_about_cuda(tmp_path)


def test_what_a_bundle_lacks_is_not_blamed_on_the_driver(libraries: Path, tmp_path: Path) -> None:
    make_backend_that_needs("libcublas.so.99", libraries)
    cuda = listed_cuda(tmp_path)
    assert cuda is not None
    assert cuda.problem == "library_missing"
    assert "libcublas.so.99" in explain_problem(cuda)


def test_a_driver_without_a_function_is_too_old(libraries: Path, tmp_path: Path) -> None:
    make_library(libraries / "libggml-cuda.so", "int cuMemCreate(void); int start(void) { return cuMemCreate(); }")
    cuda = listed_cuda(tmp_path)
    assert cuda is not None
    assert cuda.problem == "driver_too_old"


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        ("CUDA driver version is insufficient for CUDA runtime version", "driver_too_old"),  # cudaError 35
        ("out of memory", "not_enough_memory"),  # 2
        ("no CUDA-capable device is detected", "no_card"),  # 100
        ("CUDA driver is a stub library", "driver_missing"),  # 34
        ("system has unsupported display driver / cuda driver combination", "not_started"),  # 803
        ("unknown error", "not_started"),  # 999
    ],
)
def test_what_the_driver_answers_is_listed(
    libraries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, problem: str
) -> None:
    make_library(libraries / "libggml-cuda.so", BACKEND, libraries / "libggml-base.so")
    monkeypatch.setenv("TEST_REASON", reason)
    cuda = listed_cuda(tmp_path)
    assert cuda is not None
    assert (cuda.problem, cuda.detail) == (problem, reason)


def test_the_version_of_a_driver_that_does_not_work_is_listed(
    libraries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_library(libraries / "libggml-cuda.so", BACKEND, libraries / "libggml-base.so")
    monkeypatch.setenv("TEST_REASON", "CUDA driver version is insufficient for CUDA runtime version")
    make_library(tmp_path / "libcuda.so.1", DRIVER)
    make_library(tmp_path / "libnvidia-ml.so.1", MANAGEMENT)
    cuda = listed_cuda(tmp_path)
    assert cuda is not None
    assert cuda.driver == "550.54.14"
    make_library(tmp_path / "libnvidia-ml.so.1", "int other;")
    cuda = listed_cuda(tmp_path)
    assert cuda is not None
    assert cuda.driver == "CUDA 12.4", "without its management library: the CUDA that it is for"


def test_a_driver_that_ends_the_engine_does_not_end_a_command(libraries: Path, tmp_path: Path) -> None:
    make_library(libraries / "libggml-cuda.so", "void abort(void); void * ggml_backend_init(void) { abort(); }")
    assert "stopped the engine" in doctors_words_about_cuda(tmp_path)


def test_a_card_that_ends_the_engine_when_it_is_first_asked_is_left_alone(libraries: Path, tmp_path: Path) -> None:
    make_library(libraries / "libggml-cuda.so", CARD, '-DBACKEND="CUDA"', "-DCRASHES=1")
    assert "stopped the engine" in doctors_words_about_cuda(tmp_path)


def test_another_driver_gets_another_try(libraries: Path, tmp_path: Path) -> None:
    make_library(libraries / "libggml-cuda.so", CARD, '-DBACKEND="CUDA"', "-DCRASHES=0")
    make_library(tmp_path / "libnvidia-ml.so.1", MANAGEMENT)
    child = EngineChild(log_path=tmp_path / "engine.log")
    engine = child.ready.engine
    child.close()
    for driver, problem in (("550.54.14", "crashed"), ("470.256.02", "")):
        leave_a_failure(tmp_path, f"{engine}, {driver}")
        cuda = listed(tmp_path)["CUDA0"]
        assert (cuda.driver, cuda.problem) == ("550.54.14", problem)


def test_a_card_that_one_backend_cannot_use_is_offered_by_the_other(libraries: Path, tmp_path: Path) -> None:
    for key, name in (("cuda", "CUDA"), ("vulkan", "Vulkan")):
        make_library(libraries / f"libggml-{key}.so", CARD, f'-DBACKEND="{name}"', "-DCRASHES=0")
    assert listed(tmp_path).keys() == {"CUDA0", "CPU"}
    leave_a_failure(tmp_path, engine="")
    problems = {name: device.problem for name, device in listed(tmp_path).items()}
    assert problems == {"CUDA0": "crashed", "Vulkan0": "", "CPU": ""}
