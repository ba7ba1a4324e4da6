"""llama.cpp's C functions, through llama-cpp-python's ctypes declarations and nothing else of that package.

Importing this module loads the libraries: set environment variables that they read before (see
`app.engine.worker.main`). Everything is `Any`: ctypes functions have no useful types.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import re
import sys
import types
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from app.engine.worker.backend import StopFlag
from app.engine.worker.backend_libraries import GPU_BACKENDS, LoadLibrary, best_cpu_library, load_backends

log = logging.getLogger(__name__)


def _import_declarations() -> Any:
    """The module `llama_cpp.llama_cpp` without the package around it.

    The package's own `__init__` imports its high-level API with numpy and a web of optional parts: half a second and 40
    MB that a child would pay at each start. A bare package object with the same search path stands in for it.
    """
    if "llama_cpp" not in sys.modules:
        spec = importlib.util.find_spec("llama_cpp")
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError("llama_cpp is not installed", name="llama_cpp")
        package = types.ModuleType("llama_cpp")
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules["llama_cpp"] = package
    return importlib.import_module("llama_cpp.llama_cpp")


llama: Any = _import_declarations()
LIBRARY_FOLDER = Path(str(llama._base_path))


def _ggml_handles() -> list[Any]:
    """Where ggml's symbols are found.

    On Unix a look-up through llama's handle reaches the very ggml it is linked with; opening the file by another of its
    names would map a second ggml with an empty registry. Windows has no such look-up, but one DLL per name.
    """
    names = ("ggml.dll", "ggml-base.dll") if sys.platform == "win32" else ()
    return [ctypes.CDLL(str(LIBRARY_FOLDER / name)) for name in names] or [llama._lib]


_handles = _ggml_handles()


def ggml_function(name: str, result: Any, *arguments: Any) -> Any:
    """A function of ggml that llama-cpp-python does not declare. Raises AttributeError when it is not exported."""
    for handle in _handles:
        if hasattr(handle, name):
            found = handle[name]  # a new object each time, so that types set here disturb nobody
            found.restype, found.argtypes = result, list(arguments)
            return found
    raise AttributeError(name)


LogCallback = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Initialized:
    """What must be kept alive as long as the library is used, and why backends that are there do not work."""

    callbacks: tuple[Any, ...]
    problems: dict[str, str]


def initialize(
    on_log: LogCallback,
    on_abort: Callable[[str], None],
    backends: Collection[str] = GPU_BACKENDS,
    load: LoadLibrary | None = None,
) -> Initialized:
    """Register the backends and start the library; once per process.

    `on_log` gets every line with its ggml level, from any thread; `on_abort` the reason right before ggml ends the
    process. `backends`: which to load beside the processor's where the build has libraries for them; `load` does it.
    """

    @llama.llama_log_callback  # type: ignore[untyped-decorator]  # made by ctypes
    def log_line(level: int, text: bytes, _: Any) -> None:
        on_log(level, text.decode("utf-8", "replace"))

    def aborting(message: bytes) -> None:
        on_abort(message.decode("utf-8", "replace"))

    abort_type = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
    abort_callback = abort_type(aborting)
    llama.llama_log_set(log_line, None)
    with suppress(AttributeError):  # builds may leave it out
        ggml_function("ggml_set_abort_callback", ctypes.c_void_p, abort_type)(abort_callback)
    problems: dict[str, str] = {}
    if ggml_function("ggml_backend_reg_count", ctypes.c_size_t)() == 0:
        problems = load_backends(LIBRARY_FOLDER, load or load_library, backends)
    for name, reason in problems.items():
        log.warning("the backend %s cannot be used: %s", name, reason)
    llama.llama_backend_init()
    return Initialized((log_line, abort_callback), problems)


@cache
def has_small_attention() -> bool:
    """Whether the processor's library computes attention for few tokens by packaging/engine/small_attention.h."""
    name = "hearth_has_small_attention"
    path = best_cpu_library(LIBRARY_FOLDER)
    # In a build without variants llama's library needs that of the processor, and a look-up there finds both.
    return any(hasattr(handle, name) for handle in _handles) or (
        path is not None and hasattr(ctypes.CDLL(str(path)), name)
    )


def load_library(path: Path) -> bool:
    """Register the backend in a library; False if it cannot be loaded, or does not start.

    Windows would search the current folder and the PATH for what the library needs, and not the library's own folder.
    Python has it searched in that folder and the system's; what is loaded then is there when ggml asks.
    """
    if sys.platform == "win32":
        try:
            ctypes.CDLL(str(path))
        except OSError:
            return False
    return bool(ggml_function("ggml_backend_load", ctypes.c_void_p, ctypes.c_char_p)(os.fsencode(path)))


class AbortCallback:
    """Lets llama.cpp ask whether to go on with a context, without Python and its lock.

    ggml asks `bool callback(void *)` before every node of a graph. `strlen` on a flag that is "" or "x" is such a
    function; a Python callback would nearly triple the time of a token whenever another thread is busy.
    """

    def __init__(self) -> None:
        library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
        self._function = ctypes.cast(library.strlen, llama.ggml_abort_callback)
        self._watched: StopFlag | None = None

    def watch(self, context: int, flag: StopFlag) -> None:
        """From now on computation in `context` ends early (llama_decode returns 2) when `flag` is set."""
        llama.llama_set_abort_callback(context, self._function, flag.address)
        self._watched = flag  # llama.cpp has its address: it must live

    def release(self, context: int) -> None:
        """Never end early again."""
        llama.llama_set_abort_callback(context, llama.ggml_abort_callback(), None)
        self._watched = None


@cache
def versions() -> Mapping[str, str]:
    """What computes: where any of it is another, speeds, memory and results may be others too.

    The build is that of packaging/devtools, which adds kernels of our own: "4release"; empty for a package of others.
    """
    package = importlib.metadata.distribution("llama-cpp-python")
    build = re.search(r"^Build: (\S+)$", package.read_text("WHEEL") or "", re.MULTILINE)
    return {
        "llama-cpp-python": package.version,
        "ggml": ggml_function("ggml_version", ctypes.c_char_p)().decode(),
        "build": build[1] if build else "",
    }


def engine_version() -> str:
    """All of `versions` in one text."""
    return " ".join(versions().values())
