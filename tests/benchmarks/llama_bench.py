"""llama.cpp's own programs, built once from the source package that the engine is built from, with its options.

Its benchmark computes with the very libraries that Hearth's child loads: what differs is the loop around them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from app.engine.worker.backend_libraries import best_cpu_library, variant_name
from app.engine.worker.binding import LIBRARY_FOLDER

ROOT = Path(__file__).parents[2]
WANTED_PARTS = {"LLAMA_BUILD_COMMON", "LLAMA_BUILD_TOOLS"}


class LlamaBench:
    """Runs llama-bench on one file."""

    def __init__(self, model: Path, threads: int, environment: dict[str, str], *, flash_attention: bool) -> None:
        """`environment`: more variables for it, e.g. how its threads wait."""
        self._program = build_program("llama-bench")
        self._model = model
        self._threads = threads
        self._flash_attention = "on" if flash_attention else "off"
        # The libraries beside the program say where they lie in a way that this comes before.
        path = {"LD_LIBRARY_PATH": str(LIBRARY_FOLDER), "DYLD_LIBRARY_PATH": str(LIBRARY_FOLDER)}
        variant = best_cpu_library(LIBRARY_FOLDER)
        if variant is not None and variant_name(variant):
            path["GGML_BACKEND_PATH"] = str(variant)  # by itself it looks for them beside the program
        inherited = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
        self._environment = {**inherited, **path, **environment}

    def read(self, tokens: int) -> float:
        """Tokens per second of reading a prompt of so many."""
        return self._run("-p", str(tokens), "-n", "0")

    def write(self, tokens: int, after_tokens: int) -> float:
        """Tokens per second of writing so many after a prompt."""
        return self._run("-p", "0", "-n", str(tokens), "-d", str(after_tokens))

    def _run(self, *options: str) -> float:
        command = [self._program, "-m", self._model, "-t", str(self._threads), "-r", "1", "-o", "json"]
        command += ["-b", "512", "-ub", "512", "-fa", self._flash_attention, *options]
        output = subprocess.check_output(command, env=self._environment, stderr=subprocess.DEVNULL)
        return float(json.loads(output)[0]["avg_ts"])


def build_program(name: str) -> Path:
    """One of llama.cpp's programs by the name of its target; compiled at the first call, which takes minutes."""
    if (packaging := str(ROOT / "packaging")) not in sys.path:
        sys.path.insert(0, packaging)
    from devtools.cache import cache_folder
    from devtools.console import Console
    from devtools.engine import ENGINE_LOCK, NO_AVX2_OPTIONS, TOOLS_LOCK, Engine
    from devtools.pip import Pip
    from devtools.profiles import COMMON_OPTIONS, DEV

    engine = Engine(cache_folder())
    folder = cache_folder() / "llama-bench" / engine.key
    file_name = f"{name}.exe" if sys.platform == "win32" else name
    program = folder / "build" / "bin" / file_name
    if program.exists():
        return program
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(folder / "build.log")
    pip, tools = Pip(Path(sys.executable)), folder / "tools"
    pip.install_into(tools, TOOLS_LOCK, console)
    source = folder / "source"
    if not source.exists():
        archive = pip.download_source(ENGINE_LOCK, folder / "download", tools, console)
        with tarfile.open(archive) as tar:
            tar.extractall(folder / "unpacked", filter="data")
        (unpacked,) = (folder / "unpacked").iterdir()
        (unpacked / "vendor" / "llama.cpp").rename(source)
        shutil.rmtree(folder / "unpacked")
        archive.unlink()
    options = [*COMMON_OPTIONS, *DEV.options, *(() if engine.avx2 else NO_AVX2_OPTIONS)]
    cmake = tools / "cmake" / "data" / "bin" / ("cmake.exe" if sys.platform == "win32" else "cmake")
    configure = [cmake, "-S", source, "-B", folder / "build", *_with_tools(options)]
    if sys.platform != "win32":
        configure += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tools / 'bin' / 'ninja'}"]
    with console.step(f"Compiling {name} (once per computer)"):
        console.run(configure)
        console.run([cmake, "--build", folder / "build", "--config", "Release", "--target", name, "-j", "2"])
    if not program.exists():  # Microsoft's generator has a folder for each configuration
        (found,) = (path for path in (folder / "build").rglob(file_name) if path.is_file())
        shutil.copytree(found.parent, program.parent, dirs_exist_ok=True)
    return program


def _with_tools(options: Sequence[str]) -> list[str]:
    """Those of the engine, with the parts that the programs consist of."""
    on = {f"-D{part}=OFF": f"-D{part}=ON" for part in WANTED_PARTS}
    return [on.get(option, option) for option in options]
