"""Hearth's engine child and other packages that run llama.cpp, on the same file: tokens per second of each.

    python -m tests.benchmarks.peers [--shape 1.1b] [--quant q4_0] [--prompt 128] [--tokens 48] [--rounds 5]
                                     [--busy] [--release]

llama-cpp-python's high-level Llama, GPT4All, xllamacpp and node-llama-cpp, each in a process of its own with the model
loaded, answer prompts of noise one after the other. All read the same number of tokens: Hearth, which puts a chat
template around the prompt, gets fewer words. Reading is measured to the first token, writing from there.
The packages are fetched from PyPI and npm at the first run into environments of their own in the cache folder of the
development tools. What cannot be had here is said in a line. Each waits between computations in its own way; with
--busy a program that never rests runs beside all of them. --release: Hearth with the engine that people get, which has
a library for each kind of processor (python3 dev.py engine --profile release).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import platformdirs

from tests.benchmarks.child_speed import MORE_TOKENS, MeasuredChild
from tests.benchmarks.figures import paired_ratio, spread
from tests.benchmarks.line_process import LineProcess
from tests.benchmarks.shapes import QUANTS, SHAPES, noise_text, shape_file

HERE = Path(__file__).parent
START_S, ANSWER_S, INSTALL_S = 180.0, 600.0, 900.0
REST_S = 0.5  # threads that wait busily go to sleep
HEARTH = "Hearth"
LIBRARIES = "LLAMA_CPP_LIB_PATH"


@dataclass(frozen=True)
class Figures:
    """Tokens per second."""

    reading: float
    writing: float


class Side(Protocol):
    """An engine with a model loaded."""

    version: str

    def run(self, prompt_tokens: int, tokens: int) -> Figures:
        """One answer to a prompt that was never read before."""

    def close(self) -> None:
        """End its process."""


class Hearth:
    """The child as the app runs it."""

    version = ""

    def __init__(self, model: Path, threads: int, context_tokens: int) -> None:
        self._child = MeasuredChild(model, threads, context_tokens)
        self._around = 0  # tokens of the chat template

    def run(self, prompt_tokens: int, tokens: int) -> Figures:
        words = prompt_tokens - self._around
        speed = self._child.answer(words, tokens)
        self._around = speed.prompt_tokens - words
        return Figures(speed.prompt_tokens / speed.first_token_ms * 1000, speed.writing)

    def close(self) -> None:
        self._child.close()


class Peer:
    """Another package in a process of its own."""

    def __init__(self, command: Sequence[str | Path], folder: Path, log: Path) -> None:
        """Raises RuntimeError with the reason when it does not start."""
        ours = ("GOMP_SPINCOUNT", LIBRARIES)
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        self._process = LineProcess(command, log, folder, environment)
        self._asked = 0
        self.version = str(self._process.next(START_S)["version"])

    def run(self, prompt_tokens: int, tokens: int) -> Figures:
        self._asked += 1
        prompt = noise_text(prompt_tokens, seed=self._asked)
        self._process.send({"prompt": prompt, "tokens": tokens})
        found = self._process.next(ANSWER_S)
        return Figures(prompt_tokens / found["first_s"], 1 / max(found["token_s"], 1e-9))

    def close(self) -> None:
        self._process.close()


class Kitchen:
    """The environments of the other packages."""

    def __init__(self) -> None:
        chosen = os.environ.get("HEARTH_DEV_CACHE")
        base = Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("hearth-dev", appauthor=False)
        self._folder = base / "peers"

    def command(self, name: str) -> tuple[list[str | Path], Path]:
        """How the worker of a package is started, and in which folder. Raises RuntimeError where it cannot be had."""
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        if name == "llama-cpp-python":
            return [sys.executable, HERE / "peer_worker.py", name], folder
        if name == "node-llama-cpp":
            return [self._node(folder), HERE / "peer_worker.mjs"], folder
        return [self._python(folder, name), HERE / "peer_worker.py", name], folder

    def log(self, name: str) -> Path:
        return self._folder / name / "log.txt"

    def _python(self, folder: Path, name: str) -> Path:
        python = folder / "venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        if not (folder / "complete").exists():
            _install([sys.executable, "-m", "venv", "--clear", folder / "venv"], folder)
            _install([python, "-m", "pip", "install", "--only-binary=:all:", name], folder)
            (folder / "complete").touch()
        return python

    def _node(self, folder: Path) -> str:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise RuntimeError("there is no Node.js here")
        if not (folder / "complete").exists():
            (folder / "package.json").write_text("{}")
            _install([npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "node-llama-cpp"], folder)
            (folder / "complete").touch()
        return node


def _install(command: Sequence[str | Path], folder: Path) -> None:
    with (folder / "install.txt").open("ab") as log:
        try:
            subprocess.run(command, cwd=folder, stdout=log, stderr=log, timeout=INSTALL_S, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise RuntimeError(f"it could not be installed: {error}") from error


def start_sides(model: Path, threads: int, context_tokens: int) -> dict[str, Side]:
    """Ours, and all others that can be had here; says which cannot."""
    kitchen = Kitchen()
    sides: dict[str, Side] = {HEARTH: Hearth(model, threads, context_tokens)}
    for name in ("llama-cpp-python", "gpt4all", "xllamacpp", "node-llama-cpp"):
        try:
            command, folder = kitchen.command(name)
            options = [str(model), str(threads), str(context_tokens)]
            sides[name] = Peer([*command, *options], folder, kitchen.log(name))
        except RuntimeError as error:
            print(f"{name} is not measured: {error}", flush=True)
    return sides


@contextlib.contextmanager
def neighbour(is_wanted: bool) -> Iterator[None]:
    """A program that never rests."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if is_wanted else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def compare(sides: dict[str, Side], prompt: int, tokens: int, rounds: int) -> dict[str, list[Figures]]:
    """Rounds in which each side runs once, every other round in reverse order. One that fails is left out."""
    found: dict[str, list[Figures]] = {name: [] for name in sides}
    for number in range(rounds + 1):  # the first warms up
        names = [name for name in sides if name in found]
        for name in names if number % 2 else reversed(names):
            try:
                figures = sides[name].run(prompt, tokens)
            except (RuntimeError, OSError, ZeroDivisionError) as error:
                print(f"{name} failed: {error}", flush=True)
                del found[name]
                continue
            if number:
                found[name].append(figures)
            time.sleep(REST_S)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="1.1b", choices=SHAPES)
    parser.add_argument("--quant", default="q4_0", choices=QUANTS)
    parser.add_argument("--model", type=Path, help="a GGUF file of your own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=128, help="tokens")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--release", action="store_true", help="Hearth with the release engine of the cache")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.release:
            os.environ[LIBRARIES] = str(release_engine(Path(folder)))
        return measure(options)


def release_engine(folder: Path) -> Path:
    """Its libraries, unpacked into `folder`; ends the program when it was not built."""
    sys.path.insert(0, str(HERE.parent.parent / "packaging"))  # where dev.py finds its modules
    from tests.engine.release_engine import unpack_release_engine

    libraries = unpack_release_engine(folder)
    if libraries is None:
        sys.exit("there is no release engine: python3 dev.py engine --profile release")
    return libraries


def measure(options: argparse.Namespace) -> int:
    model = options.model or shape_file(options.shape, options.quant)
    sides = start_sides(model, options.threads, options.prompt + options.tokens + MORE_TOKENS)
    with neighbour(options.busy):
        found = compare(sides, options.prompt, options.tokens, options.rounds)
    for side in sides.values():
        side.close()
    ours = found[HEARTH]
    print(
        f"{model.name}, {options.threads} threads, prompt {options.prompt}, answer {options.tokens} tokens: tokens/s,"
    )
    print(f"median (lowest to highest) of {options.rounds} rounds; beside them how many times as fast Hearth is")
    print(f"{'':<26}{'reading':<28}{'':<8}{'writing':<28}")
    is_ahead = True
    for name, figures in found.items():
        columns = []
        for mine, theirs in (
            ([each.reading for each in ours], [each.reading for each in figures]),
            ([each.writing for each in ours], [each.writing for each in figures]),
        ):
            ratio = paired_ratio(mine, theirs)
            is_ahead = is_ahead and (name == HEARTH or statistics.median(mine) >= statistics.median(theirs))
            columns.append(f"{spread(theirs):<28}{ratio:<8.2f}")
        print(f"{f'{name} {sides[name].version}':<26}{''.join(columns)}")
    print("ahead of all" if is_ahead else "NOT ahead of all")
    return 0 if is_ahead else 1


if __name__ == "__main__":
    sys.exit(main())
