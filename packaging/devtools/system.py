"""What the operating system must offer before Hearth can be set up, and how to get it.

What is there is asked of the system itself (shared libraries, programs on the PATH), so the answer
holds on every Linux; the package names are those of Debian and Ubuntu, Fedora, and Arch.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools.console import Console, SetupError, ToolError

FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")


@dataclass(frozen=True, slots=True)
class Need:
    """A shared library, a program or `font`, and the packages that bring it."""

    what: str
    debian: str
    fedora: str
    arch: str


WINDOW = (
    Need("libEGL.so.1", "libegl1", "libglvnd-egl", "libglvnd"),
    Need("libGL.so.1", "libgl1", "libglvnd-glx", "libglvnd"),
    Need("libglib-2.0.so.0", "libglib2.0-0", "glib2", "glib2"),
    Need("libdbus-1.so.3", "libdbus-1-3", "dbus-libs", "dbus"),
    Need("libfontconfig.so.1", "libfontconfig1", "fontconfig", "fontconfig"),
    Need("libxkbcommon.so.0", "libxkbcommon0", "libxkbcommon", "libxkbcommon"),
    Need("libxkbcommon-x11.so.0", "libxkbcommon-x11-0", "libxkbcommon-x11", "libxkbcommon-x11"),
    Need("libxcb-cursor.so.0", "libxcb-cursor0", "xcb-util-cursor", "xcb-util-cursor"),
    Need("libxcb-icccm.so.4", "libxcb-icccm4", "xcb-util-wm", "xcb-util-wm"),
    Need("libxcb-keysyms.so.1", "libxcb-keysyms1", "xcb-util-keysyms", "xcb-util-keysyms"),
    Need("libxcb-shape.so.0", "libxcb-shape0", "libxcb", "libxcb"),
    Need("libwayland-cursor.so.0", "libwayland-cursor0", "libwayland-cursor", "wayland"),
    Need("libwayland-egl.so.1", "libwayland-egl1", "libwayland-egl", "wayland"),
    Need("font", "fonts-dejavu-core", "dejavu-sans-fonts", "ttf-dejavu"),
)
END_TO_END_TESTS = (
    Need("Xvfb", "xvfb", "xorg-x11-server-Xvfb", "xorg-server-xvfb"),
    Need("xdotool", "xdotool", "xdotool", "xdotool"),
)
COMPILER = (
    Need("cc", "gcc", "gcc", "gcc"),  # a C compiler, by the name that every system gives it
    Need("c++", "g++", "gcc-c++", "gcc"),
)


def ensure(needs: Sequence[Need], *, venv: bool, compiler: bool, console: Console) -> None:
    """Installs what is missing if that is possible, else raises SetupError with the line to type.

    `venv`: a virtual environment is to be made. `compiler`: the engine is to be compiled.
    """
    if compiler and sys.platform in ("darwin", "win32"):
        _require_platform_compiler()
    if sys.platform != "linux":
        return
    missing = find_missing(needs, venv=venv, compiler=compiler)
    if missing:
        _install(missing, console)
        still_missing = find_missing(needs, venv=venv, compiler=compiler)
        if still_missing:
            names = ", ".join(need.what for need in still_missing)
            raise SetupError(f"Still missing after installing its packages: {names}.")
    if compiler:
        _require_working_compiler()


def find_missing(needs: Iterable[Need], *, venv: bool, compiler: bool) -> list[Need]:
    """Those of the needs that this Linux system does not meet."""
    libraries = _shared_libraries()
    missing = [need for need in needs if not _is_met(need, libraries)]
    if compiler:
        missing += [need for need in COMPILER if not shutil.which(need.what)]
    importlib.invalidate_caches()  # it may have been installed a moment ago
    if venv and importlib.util.find_spec("ensurepip") is None and shutil.which("uv") is None:
        package = f"python3.{sys.version_info.minor}-venv"
        missing.append(Need("Python's venv", package, "python3-pip", "python"))
    return missing


def _is_met(need: Need, libraries: frozenset[str]) -> bool:
    if need.what == "font":
        folders = (Path(os.path.expanduser(folder)) for folder in FONT_FOLDERS)  # noqa: PTH111  # pathlib wants a home
        return any(any(folder.rglob("*.[to]tf")) for folder in folders)
    if ".so." in need.what:
        return not libraries or need.what in libraries  # without an index: let Qt itself complain
    return shutil.which(need.what) is not None


def _shared_libraries() -> frozenset[str]:
    """Names of all shared libraries the loader knows; empty where there is no index to ask."""
    ldconfig = shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    if ldconfig is None:
        return frozenset()
    listing = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=False).stdout
    return frozenset(line.split()[0] for line in listing.splitlines() if "=>" in line)


def _install(missing: Sequence[Need], console: Console) -> None:
    by_hand = (
        f"This system lacks: {', '.join(need.what for need in missing)}.\n"
        f"Install it with this line, then start again:\n\n    {_line_to_type(missing)}\n"
    )
    if shutil.which("apt-get") is None:
        raise SetupError(by_hand)
    packages = _names(need.debian for need in missing)
    console.say(f"Missing system packages: {packages}")
    become_root = _become_root(console)
    if become_root is None:
        raise SetupError(by_hand)
    apt = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive"]
    apt += ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    try:
        with console.step("Installing system packages"):
            console.run([*apt, "update"])
            console.run([*apt, "install", "-y", "--no-install-recommends", *packages.split()])
    except ToolError as error:
        raise ToolError(f"The system packages could not be installed.\n{by_hand}", error.output) from error


def _become_root(console: Console) -> list[str] | None:
    """The words before a command that make it run as root; None if that is not possible or not wanted."""
    if sys.platform == "win32":
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asks_password = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode != 0
    if sys.stdin.isatty():
        try:
            answer = input("Install them now with sudo? [Y/n] ")
        except EOFError:
            return None
        if answer.strip().lower() not in ("", "y", "yes"):
            return None
    elif asks_password:
        return None
    if asks_password and subprocess.run(["sudo", "-v"], check=False).returncode != 0:
        return None
    return ["sudo", "-n"]


def _line_to_type(missing: Iterable[Need]) -> str:
    needs = list(missing)
    if shutil.which("apt-get"):
        packages = _names(need.debian for need in needs)
        return f"sudo apt-get update && sudo apt-get install {packages}"
    if shutil.which("dnf"):
        return f"sudo dnf install {_names(need.fedora for need in needs)}"
    if shutil.which("pacman"):
        return f"sudo pacman -S --needed {_names(need.arch for need in needs)}"
    return f"(your package manager's install) {_names(need.what for need in needs)}"


def _names(packages: Iterable[str]) -> str:
    return " ".join(sorted(set(packages)))


def _require_working_compiler() -> None:
    """Compiles a few lines: a compiler without its headers is found out now, not after the download."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cpp")
        source.write_text(
            "#include <atomic>\n#include <string>\nint main() { return std::string().size(); }\n", "utf-8"
        )
        result = subprocess.run(
            ["c++", "-std=c++17", str(source), "-o", str(source.with_suffix(""))],
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode != 0:
        raise SetupError(
            "The C++ compiler on this system does not work (on Debian and Ubuntu: apt-get install g++).\n"
            + result.stderr.strip()
        )


def _require_platform_compiler() -> None:
    if sys.platform == "darwin":
        if subprocess.run(["xcode-select", "-p"], capture_output=True, check=False).returncode != 0:
            raise SetupError(
                "The engine is compiled on this computer, and that needs Apple's command line tools.\n"
                "Install them with this line, then start again:\n\n    xcode-select --install\n"
            )
    elif not _visual_studio_present():
        raise SetupError(
            "The engine is compiled on this computer, and that needs Microsoft's C++ build tools.\n"
            "Install them with this line, then start again:\n\n"
            "    winget install Microsoft.VisualStudio.2022.BuildTools --override "
            '"--passive --wait --add Microsoft.VisualStudio.Workload.VCTools --includeRecommended"\n'
        )


def _visual_studio_present() -> bool:
    installer = Path(os.environ.get("PROGRAMFILES(X86)", r"C:\Program Files (x86)"))
    vswhere = installer / "Microsoft Visual Studio" / "Installer" / "vswhere.exe"
    if not vswhere.exists():
        return False
    tools = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
    if os.environ.get("PROCESSOR_ARCHITECTURE") == "ARM64":
        tools = "Microsoft.VisualStudio.Component.VC.Tools.ARM64"
    query = [str(vswhere), "-products", "*", "-requires", tools, "-property", "installationPath"]
    return bool(subprocess.run(query, capture_output=True, check=False).stdout.strip())
