"""Vulkan's headers and its shader compiler, as new as llama.cpp asks for, on a system that is kept old.

A release is built on an old system, because its C library is the oldest that the result runs with; but the Vulkan
headers of Debian 12 are too old to compile ggml's Vulkan backend, and its shader compiler knows none of the matrix
instructions of today's GPUs. So those of Debian 13 are fetched with apt (which checks their signatures) into a folder
of their own. Nothing is installed, and nothing of them goes into the bundle but compiled shaders.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

from devtools.console import Console, SetupError, ToolError

SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"  # apt checks what it gets against the key, so plain HTTP will do
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
HEADERS = ("libvulkan-dev", "libvulkan1", "spirv-headers")
SHADER_COMPILER = ("glslc", "libshaderc1", "libc6", "libstdc++6", "libgcc-s1")  # it needs Debian 13's C library

GLSLC = """\
#!/bin/sh
# Starts Debian 13's shader compiler with Debian 13's libraries.
here=$(dirname "$0")
libraries="$here/usr/lib/x86_64-linux-gnu"
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$here/usr/bin/glslc" "$@"
"""


def vulkan_options(folder: Path, console: Console) -> list[str]:
    """CMake's options that name headers, loader and shader compiler; fetches them into `folder` if need be.

    An SDK that VULKAN_SDK names is used as it is. Elsewhere than on Debian and Ubuntu the system's own must do.
    """
    if os.environ.get("VULKAN_SDK"):
        return []
    if sys.platform == "win32":
        raise SetupError("Vulkan's SDK is needed. Install it: winget install KhronosGroup.VulkanSDK")
    if platform.machine() != "x86_64" or not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        return []
    _fetch(folder, console)
    libraries = folder / "usr" / "lib" / "x86_64-linux-gnu"
    return [
        f"-DVulkan_INCLUDE_DIR={folder / 'usr' / 'include'}",
        f"-DVulkan_LIBRARY={libraries / 'libvulkan.so'}",
        f"-DVulkan_GLSLC_EXECUTABLE={folder / 'glslc'}",
        f"-DSPIRV-Headers_DIR={folder / 'usr' / 'share' / 'cmake' / 'SPIRV-Headers'}",
    ]


def _fetch(folder: Path, console: Console) -> None:
    if folder.exists():
        return
    if not KEYRING.exists():
        raise SetupError("Debian's keys are needed. Install them: sudo apt-get install debian-archive-keyring")
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    packages = unfinished / "packages"
    apt = _private_apt(unfinished / "apt")
    packages.mkdir()
    try:
        console.run([*apt, "update"])
        console.run([*apt, "download", *HEADERS, *SHADER_COMPILER], folder=packages)
        for package in sorted(packages.glob("*.deb")):
            console.run(["dpkg-deb", "-x", package, unfinished])
    except ToolError as error:
        raise ToolError("Vulkan's headers could not be fetched from Debian.", error.output) from error
    shutil.rmtree(unfinished / "apt")
    shutil.rmtree(packages)
    glslc = unfinished / "glslc"
    glslc.write_text(GLSLC)
    glslc.chmod(0o755)
    unfinished.rename(folder)


def _private_apt(folder: Path) -> list[str]:
    """apt-get with folders of its own: it neither reads nor changes the system's package lists, and needs no root."""
    for name in ("lists/partial", "cache/archives/partial", "sources.d"):
        (folder / name).mkdir(parents=True)
    sources = folder / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {MIRROR} {SUITE} main\n")
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": folder / "sources.d",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "",  # root fetches as root: the sandbox's user may not write into a home folder
    }
    return ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
