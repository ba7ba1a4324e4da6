"""Records what llama.cpp's own planner says of models of real size. Run: python -m tests.benchmarks.planner [NAME ...]

For each shape of `planner_shapes` a file is written whose data is a hole, and `llama-fit-params --fit-print on` is
asked what it would take in several contexts. The answers, whole MiB of weights, cache and compute buffer, are kept with
the sizes in the file's header in tests/fixtures/planner; `tests/unit/core/test_planner_figures.py` holds the formulas
of `app.core.memory` against them.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

from app.core.gguf import TensorInfo
from app.core.gguf_reader import read_header
from tests.benchmarks.llama_bench import build_program
from tests.benchmarks.plan_shapes import Shape, write_shape
from tests.benchmarks.planner_shapes import PLANNED_SHAPES

FOLDER = Path(__file__).parents[1] / "fixtures" / "planner"
CONTEXTS = (
    ("-c", "4096", "-fa", "off"),
    ("-c", "4096", "-fa", "on"),
    ("-c", "32768", "-fa", "on"),
    ("-c", "8192", "-fa", "off", "-ub", "256"),
    ("-c", "8192", "-fa", "on", "-ctk", "q8_0", "-ctv", "q8_0"),
)
QUIET = ("--fit-print", "on", "--log-disable", "--no-repack")  # repacked weights it does not count
ANSWER = re.compile(r"^Host (\d+) (\d+) (\d+) *$", re.MULTILINE)
_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")


def record(shape: Shape, program: Path, folder: Path) -> dict[str, Any]:
    """What the planner says of a shape, with the shape."""
    path = folder / "shape.gguf"
    written = [sys.executable, "-m", "tests.benchmarks.planner", "--write", str(path), shape.name]
    subprocess.run(written, check=True, stdout=subprocess.DEVNULL)
    with path.open("rb") as stream:
        header = read_header(stream)
    cases = []
    for options in CONTEXTS:
        done = subprocess.run([program, "-m", path, *QUIET, *options], capture_output=True, text=True)
        answer = ANSWER.search(done.stdout)
        if answer is None:  # some heads cannot be kept quantized
            print(f"{shape.name}: no answer to {' '.join(options)}: {done.stderr[-200:]}")
            continue
        weights, cache, compute = map(int, answer.groups())
        cases.append({"options": options, "weights_mib": weights, "cache_mib": cache, "compute_mib": compute})
    path.unlink()
    return {
        "name": shape.name,
        "architecture": shape.architecture,
        "made_by": "python -m tests.benchmarks.planner",
        "command": f"llama-fit-params -m FILE {' '.join(QUIET)} OPTIONS",
        "vocabulary": shape.vocabulary,
        "keys": dict(shape.keys),
        "tensors": packed_tensors(header.tensors),
        "cases": cases,
    }


def packed_tensors(tensors: tuple[TensorInfo, ...]) -> list[dict[str, Any]]:
    """Tensors in short: those that differ in their layer alone are one entry, with first and last layers."""
    found: dict[tuple[str, tuple[int, ...], str], list[int]] = {}
    for tensor in tensors:
        block = _BLOCK.fullmatch(tensor.name)
        name = f"blk.*.{block[2]}" if block else tensor.name
        layers = found.setdefault((name, tensor.dimensions, tensor.type.name), [])
        if block:
            layers.append(int(block[1]))
    return [
        {"name": name, "dimensions": dimensions, "type": kind, "layers": _spans(layers)}
        for (name, dimensions, kind), layers in found.items()
    ]


def _spans(numbers: list[int]) -> list[tuple[int, int]]:
    spans = []
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        spans.append((members[0], members[-1]))
    return spans


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("names", nargs="*", help="shapes; all of them if none is named")
    arguments.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    shapes = [shape for shape in PLANNED_SHAPES if not chosen.names or shape.name in chosen.names]
    if chosen.write is not None:  # in a process of its own: llama.cpp is loaded into it
        from app.engine.worker.binding import initialize

        kept = initialize(lambda level, text: None, lambda message: None)
        write_shape(shapes[0], chosen.write)
        del kept
        return
    program = build_program("llama-fit-params")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for shape in shapes:
            found = record(shape, program, Path(folder))
            name = re.sub(r"[^a-z0-9]+", "-", shape.name.lower()).strip("-")
            (FOLDER / f"{name}.json").write_text(_text(found), "utf-8")
            print(f"{shape.name:24}{len(found['cases'])} cases", flush=True)


def _text(found: dict[str, Any]) -> str:
    """JSON with one line for each tensor and case."""
    plain = {name: value for name, value in found.items() if name not in ("tensors", "cases")}
    lines = [json.dumps(plain, indent=1, ensure_ascii=False)[:-2]]
    for name in ("tensors", "cases"):
        rows = ",\n  ".join(json.dumps(row) for row in found[name])
        lines.append(f' "{name}": [\n  {rows}\n ]')
    return ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()
