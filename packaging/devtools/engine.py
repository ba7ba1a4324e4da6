"""The engine as one wheel, compiled once per machine and kept in the user's cache.

llama-cpp-python is published as source only, and its own build compiles three times what Hearth
uses. Here the vendored llama.cpp is compiled with the target `llama` alone, in the way that a profile
says, and its libraries are laid into the package. packaging/engine/README.md says why each choice was made.
"""

import hashlib
import os
import platform
import re
import shutil
import sys
import sysconfig
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from devtools.cache import ROOT
from devtools.console import Console, SetupError, ToolError, spell_duration
from devtools.cuda_toolkit import bundled_libraries, cuda_options
from devtools.locking import exclusive
from devtools.pip import Pip
from devtools.profiles import COMMON_OPTIONS, DEV, Profile, compiler_options
from devtools.vulkan_sdk import vulkan_options
from devtools.wheel import write_wheel

ENGINE_LOCK = ROOT / "packaging" / "engine" / "engine.lock"
TOOLS_LOCK = ROOT / "packaging" / "engine" / "tools.lock"

NO_AVX2_OPTIONS = (
    "-DGGML_AVX=OFF",
    "-DGGML_AVX2=OFF",
    "-DGGML_FMA=OFF",
    "-DGGML_F16C=OFF",
    "-DGGML_BMI2=OFF",
)
SOURCE_PARTS = (
    "llama_cpp",
    "LICENSE.md",
    "PKG-INFO",
    "vendor/llama.cpp/CMakeLists.txt",
    "vendor/llama.cpp/LICENSE",
    "vendor/llama.cpp/AUTHORS",
    "vendor/llama.cpp/cmake",
    "vendor/llama.cpp/ggml",
    "vendor/llama.cpp/include",
    "vendor/llama.cpp/licenses",
    "vendor/llama.cpp/src",
    "vendor/llama.cpp/vendor",
)
"""What the build reads of the source package; the rest is most of its 76 MB and some long paths."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Version and sha256 of the engine's source package."""

    version: str
    sha256: str


def read_pin(lock: str) -> Pin:
    """The engine's version and hash from the text of its lock file."""
    match = re.search(r"^llama-cpp-python==(\S+) \\\s+--hash=sha256:([0-9a-f]{64})$", lock, re.MULTILINE)
    if match is None:
        raise SetupError(f"{ENGINE_LOCK} does not pin llama-cpp-python with one hash.")
    return Pin(match[1], match[2])


def has_avx2(cpuinfo: str) -> bool:
    """Whether Linux's /proc/cpuinfo lists AVX2; True where it lists no flags at all."""
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return flags is None or "avx2" in flags[1].split()


def platform_tag() -> str:
    """The wheel tag of this system."""
    if sys.platform == "darwin":
        # Python itself may be a universal build; the libraries are of one architecture.
        return "macosx_11_0_arm64" if platform.machine() == "arm64" else "macosx_10_15_x86_64"
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


class Engine:
    """The pinned engine for this machine: where its wheel lies, and how to make it."""

    def __init__(self, cache: Path, profile: Profile = DEV) -> None:
        self._profile = profile
        self.pin = read_pin(ENGINE_LOCK.read_text("utf-8"))
        self.avx2 = not Path("/proc/cpuinfo").exists() or has_avx2(Path("/proc/cpuinfo").read_text("utf-8"))
        # Home folders are shared between machines: what the libraries depend on is in the name.
        libc = "".join(platform.libc_ver()) if sys.platform == "linux" else ""
        avx2 = "" if self.avx2 or profile.has_variants else "noavx2"
        name = "" if profile is DEV else profile.name
        parts = [self.pin.version, f"r{profile.recipe}", platform_tag(), libc, avx2, name]
        self.key = "-".join(part for part in parts if part)
        self._folder = cache / "engines" / self.key
        self._work = cache / "build" / self.key
        self._build_tag = f"{profile.recipe}{name}"
        file_name = f"llama_cpp_python-{self.pin.version}-{self._build_tag}-py3-none-{platform_tag()}.whl"
        self.wheel = self._folder / file_name

    def is_built(self) -> bool:
        """Whether the wheel is in the cache."""
        return self.wheel.exists()

    def build(self, pip: Pip, console: Console) -> None:
        """Makes the wheel, unless it is there. An interrupted build goes on where it stopped."""

        def announce() -> None:
            console.say("  Another set-up is building the engine; waiting for it …")

        with exclusive(self._work.with_name(f"{self.key}.lock"), announce) as lock:
            if self.is_built():
                return
            console.inherited_locks.append(lock)
            try:
                self._build(pip, console)
            finally:
                console.inherited_locks.remove(lock)

    def _build(self, pip: Pip, console: Console) -> None:
        tools = self._work / "tools"
        with console.step(f"Fetching the engine's source (llama-cpp-python {self.pin.version}, 76 MB)"):
            pip.install_into(tools, TOOLS_LOCK, console)
            source = self._fetch_source(pip, tools, console)
        began, used = time.monotonic(), _children_cpu_s()
        with console.step("Compiling the engine (once per computer)"):
            libraries = self._compile(source, tools, console)
        took, used = time.monotonic() - began, _children_cpu_s() - used
        if used:
            console.say(f"    the compile took {spell_duration(took)}, {spell_duration(used)} of processor time")
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.wheel.with_suffix(".part")
        write_wheel(
            unfinished,
            name="llama_cpp_python",
            version=self.pin.version,
            tag=f"py3-none-{platform_tag()}",
            build=self._build_tag,
            files=dict(_packaged_files(source, libraries)),
        )
        unfinished.replace(self.wheel)
        shutil.rmtree(self._work, ignore_errors=True)

    def _fetch_source(self, pip: Pip, tools: Path, console: Console) -> Path:
        source = self._work / "source"
        if source.exists():
            return source
        archive = pip.download_source(ENGINE_LOCK, self._work / "download", tools, console)
        if hashlib.sha256(archive.read_bytes()).hexdigest() != self.pin.sha256:
            raise SetupError(f"{archive} is not the file that {ENGINE_LOCK.name} names. Delete it and try again.")
        unfinished = self._work / "source.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        with tarfile.open(archive) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(unfinished, members=_needed_members(tar))
        (unfinished / f"llama_cpp_python-{self.pin.version}").rename(source)
        archive.unlink()
        return source

    def _compile(self, source: Path, tools: Path, console: Console) -> list[Path]:
        build = self._work / "cmake"
        cmake = tools / "cmake" / "data" / "bin" / ("cmake.exe" if sys.platform == "win32" else "cmake")
        ninja = tools / "bin" / "ninja"
        configure: list[str | os.PathLike[str]] = [cmake, "-S", source / "vendor" / "llama.cpp", "-B", build]
        configure += [*COMMON_OPTIONS, *self._profile.options, *compiler_options(self._profile)]
        if not self.avx2 and not self._profile.has_variants:
            configure += NO_AVX2_OPTIONS
        if self._profile.uses_vulkan:
            with console.step("Fetching Vulkan's headers and shader compiler"):
                configure += vulkan_options(self._work / "vulkan", console)
        if self._profile.uses_cuda:
            configure += cuda_options()
        if platform_tag() == "win_arm64":
            configure.append("-DGGML_NATIVE=ON")  # llama.cpp refuses Microsoft's compiler on ARM without it
        if sys.platform != "win32":  # Visual Studio's own generator finds its compiler by itself
            configure += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        make: list[str | os.PathLike[str]] = [
            cmake,
            "--build",
            build,
            "--config",
            "Release",
            "--target",
            "llama",
            "--parallel",
            str(_jobs()),
        ]
        bundled: list[Path] = []
        try:
            console.run(configure)
            if self._profile.uses_cuda:  # not after hours of compiling
                bundled = bundled_libraries((build / "CMakeCache.txt").read_text("utf-8"))
            console.run(make)
        except ToolError as error:
            raise ToolError("The engine could not be compiled.", error.output) from error
        return [*_find_libraries(build / "bin", self._profile), *bundled]


def _needed_members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
        if any(path.is_relative_to(part) for part in SOURCE_PARTS):
            yield member


def _packaged_files(source: Path, libraries: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Path in the wheel and file on disk of everything the engine's package consists of."""
    for path in sorted((source / "llama_cpp").rglob("*")):
        if path.is_file() and path.suffix in (".py", ".typed", ""):
            yield path.relative_to(source).as_posix(), path
    for path in libraries:
        yield f"llama_cpp/lib/{path.name}", path
    yield "METADATA", source / "PKG-INFO"
    yield "licenses/LICENSE.md", source / "LICENSE.md"
    yield "licenses/llama.cpp/LICENSE", source / "vendor" / "llama.cpp" / "LICENSE"


def _find_libraries(folder: Path, profile: Profile) -> list[Path]:
    endings = {"win32": (".dll",), "darwin": (".dylib", ".so")}.get(sys.platform, (".so",))
    files = sorted(path for path in folder.rglob("*") if path.suffix in endings)
    found = [path for path in files if re.match(r"(lib)?(llama|ggml)", path.name)]
    stems = {path.stem.removeprefix("lib") for path in found}
    if any(stem.startswith("ggml-cpu-") for stem in stems):  # every variant, and none without a name
        stems.add("ggml-cpu")
    missing = [name for name in profile.libraries if name not in stems]
    if missing:
        raise SetupError(f"The engine's compile left no {' or '.join(missing)} in {folder}: {sorted(stems)}")
    return found


def _jobs() -> int:
    """Compilers to run at once: one per processor, and no more than there are GiB of memory."""
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    if sys.platform == "win32":
        return processors
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(processors, memory_bytes // 2**30))


def _children_cpu_s() -> float:
    """Processor seconds of all ended child processes so far; 0 on Windows, which does not tell."""
    times = os.times()
    return times.children_user + times.children_system
