"""Code for AMX computes the right thing. On processors without it the tiles are computed in software."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engine.worker.backend_libraries import library_path
from devtools.profiles import AMX_HEADER
from tests.benchmarks.shapes import Shape, write_file
from tests.engine.release_engine import release_libraries

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHAPE = Shape(embedding=256, layers=2, heads=4, kv_heads=2, inner=512, words=2048, context_tokens=256)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64" or not shutil.which("c++"),
        reason="needs x86-64, Linux and a C++ compiler",
    ),
]

# Configures two tiles from the stack, as ggml does, and multiplies what was written a moment ago.
PROGRAM = """
#include <cstdint>
#include <cstdio>
#include <sys/syscall.h>
#include <unistd.h>
struct Configuration {
    uint8_t palette = 0, start = 0, reserved[14] = {0};
    uint16_t bytes[16] = {0};
    uint8_t rows[16] = {0};
};
static int8_t left[16 * 64], right[16 * 64];
static int32_t product[16 * 16];
static inline void configure() {
    alignas(64) Configuration it = {};
    it.palette = 1;
    it.rows[0] = 16; it.bytes[0] = 64;
    it.rows[1] = 16; it.bytes[1] = 64;
    it.rows[2] = 16; it.bytes[2] = 64;
    _tile_loadconfig(&it);
}
__attribute__((noinline)) static void multiply(int factor) {
    for (int index = 0; index < 16 * 64; ++index) { left[index] = factor; right[index] = 3; }
    _tile_zero(0);
    _tile_loadd(1, left, 64);
    _tile_loadd(2, right, 64);
    _tile_dpbssd(0, 1, 2);
    _tile_stored(0, product, 64);
}
int main(int count, char **) {
    if (syscall(SYS_arch_prctl, 0x1023, 18)) return 2;
    configure();
    multiply(2 * count);
    for (int number : product) if (number != 64 * 2 * count * 3) return 1;
    return 0;
}
"""


def has_amx() -> bool:
    return " amx_int8" in Path("/proc/cpuinfo").read_text("utf-8")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a process needs in its environment to run AMX's instructions on this computer."""
    if has_amx():
        return dict(os.environ)
    library = tmp_path_factory.mktemp("amx") / "libtiles.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, HERE / "amx_tiles.c", "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}


def test_the_compiler_is_told_what_memory_the_intrinsics_read(tmp_path: Path, tiles: dict[str, str]) -> None:
    source, program = tmp_path / "tiles.cpp", tmp_path / "tiles"
    source.write_text("#include <immintrin.h>\n" + PROGRAM)
    options = ["-std=c++17", "-O3", "-mamx-tile", "-mamx-int8", "-include", AMX_HEADER]
    if b"amx" in subprocess.run(["c++", *options, "-E", os.devnull], capture_output=True, check=False).stderr:
        pytest.skip("this compiler does not know AMX")
    subprocess.run(["c++", *options, source, "-o", program], check=True)
    assert subprocess.run([program], env=tiles, check=False).returncode == 0


def run_variant(folder: Path, model: Path, variant: str, environment: dict[str, str]) -> tuple[Any, np.ndarray]:
    logits = model.with_suffix(f".{variant}")
    command = [sys.executable, "-m", "tests.engine.variant_run", folder, model, "--variant", variant]
    run = subprocess.run(
        [*command, "--logits", logits], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout), np.fromfile(logits, np.float32)


@pytest.mark.parametrize("quant", ["q4_0", "q4_k_m"])
def test_quantized_models_give_the_same_on_amx(tmp_path: Path, tiles: dict[str, str], quant: str) -> None:
    folder = release_libraries(tmp_path)
    if " avx512_vnni" not in Path("/proc/cpuinfo").read_text("utf-8"):
        pytest.skip("needs a processor with AVX-512 VNNI")
    assert library_path(folder, "cpu-sapphirerapids").exists()
    model = tmp_path / "model.gguf"
    write_file(model, "tiny", SHAPE, quant)
    expected, reference = run_variant(folder, model, "icelake", dict(os.environ))
    found, logits = run_variant(folder, model, "sapphirerapids", tiles)
    assert any("AMX" in line for line in found["buffers"])
    assert not any("AMX" in line for line in expected["buffers"])
    assert np.corrcoef(reference, logits)[0, 1] > 0.999
    assert found["tokens"][0] == expected["tokens"][0]
