"""Planned against used memory. Run: python -m tests.benchmarks.plan [--context N] [--only NAME] [--largest GIB]

For each shape of `plan_shapes` a file of real size is written (its data is a hole and takes no disk) and loaded twice
by a real engine child: first by the formula alone, then with what the first time taught. Used is what the engine's log
says it allocated, and what the process took beside that. Shapes larger than --largest are not loaded: llama.cpp's own
reckoning (`no_alloc`) stands for what they would use. The last columns are what the system says of the child, with the
file's pages: compute buffers are touched as conversations grow, so less than what is used.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from app.core.events import Loaded
from app.core.memory import memory_need
from app.core.plan import Machine, Wishes
from app.core.planner import make_plan
from app.engine.protocol import Load
from tests.benchmarks.plan_shapes import SHAPES, Shape
from tests.engine.engine_child import EngineChild

MIB = 1024 * 1024
GIB = 1024 * MIB
LIMIT_PERCENT = 3.0
LOAD_TIMEOUT_S = 300.0
PLENTY_BYTES = 1 << 42


@dataclass(frozen=True)
class Row:
    """What one shape took, in bytes."""

    name: str
    sequences: int
    first_planned: int
    first_used: int
    next_planned: int
    next_used: int
    resident: int  # of the child, above what it took before

    @property
    def first_error(self) -> float:
        return 100 * (self.first_planned - self.first_used) / self.first_used

    @property
    def next_error(self) -> float:
        return 100 * (self.next_planned - self.next_used) / self.next_used


def load_twice(shape: Shape, path: Path, folder: Path, context: int) -> Row:
    """Load a shape in two fresh children that share their records."""
    plans = []
    resident = 0
    for _ in range(2):
        with _child(folder) as child:
            process = psutil.Process(child.process.pid)
            before = process.memory_info().rss
            request = Load(0, str(path), context, state_folder=str(folder / "states"), state_limit_bytes=1)
            last = child.ask(request).last
            if not isinstance(last, Loaded):
                raise RuntimeError(f"{shape.name}: {last}")
            resident = process.memory_info().rss - before
            plans.append(last.model.plan)
    first, again = (
        (sum(d["planned_bytes"] for d in plan["devices"]), sum(d["used_bytes"] for d in plan["devices"]))
        for plan in plans
    )
    return Row(shape.name, plans[0]["sequences"], *first, *again, resident)


def reckon(shape: Shape, path: Path, context: int) -> Row:
    """What llama.cpp says a shape would take, without taking it."""
    command = [sys.executable, "-m", "tests.benchmarks.plan", "--reckon", str(path), "--context", str(context)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    planned, used = map(int, done.stdout.split())
    return Row(shape.name, 1, planned, used, planned, used, 0)


def reckon_here(path: Path, context: int) -> tuple[int, int]:
    """Planned and reckoned bytes of a file; llama.cpp is loaded into this process."""
    from app.engine.worker import binding  # not in the parent, which has no use for it
    from app.engine.worker.inspection import inspect_model_file

    lines: list[str] = []
    kept = binding.initialize(lambda _, text: lines.append(text), lines.append)
    facts = inspect_model_file(path)
    plan = make_plan(facts.shape, context, Machine(PLENTY_BYTES, 1), Wishes(context_length=context, sequences=1))
    llama = binding.llama
    parameters = llama.llama_model_default_params()
    parameters.no_alloc, parameters.load_mode = True, 0
    model = llama.llama_model_load_from_file(str(path).encode(), parameters)
    settings = llama.llama_context_default_params()
    settings.n_ctx, settings.n_batch, settings.n_ubatch = context, plan.context.batch_tokens, plan.context.batch_tokens
    settings.n_outputs_max = plan.context.output_tokens
    settings.flash_attn_type = int(plan.context.flash_attention)
    settings.swa_full = plan.context.whole_window_cache
    opened = llama.llama_init_from_model(model, settings)
    text = "".join(lines)
    caches = re.findall(r"(?:llama_kv_cache|llama_memory_recurrent): size = +([\d.]+) MiB", text)
    compute = re.findall(r"compute buffer size = +([\d.]+) MiB", text)
    need = memory_need(facts.shape, plan.context)
    used = need.weights_bytes + need.surrounding_bytes + int(MIB * sum(map(float, caches + compute)))
    llama.llama_free(opened)
    llama.llama_model_free(model)
    del kept
    return need.total_bytes, used


@contextlib.contextmanager
def _child(folder: Path) -> Iterator[EngineChild]:
    child = EngineChild(log_path=folder / "engine.log")
    patient: Callable[..., Any] = child.next_event
    child.next_event = lambda timeout_s=LOAD_TIMEOUT_S: patient(timeout_s)  # type: ignore[method-assign]  # large files take longer
    try:
        yield child
    finally:
        child.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--context", type=int, default=4096, help="tokens")
    arguments.add_argument("--only", default="", help="shapes whose names contain this")
    arguments.add_argument("--largest", type=float, default=4.5, help="GiB of a file that is still loaded")
    arguments.add_argument("--reckon", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.reckon is not None:
        print(*reckon_here(chosen.reckon, chosen.context))
        return
    print(f"{'shape':24}{'convers.':>9}{'planned':>10}{'used':>10}{'error':>9}{'next plan':>11}{'resident':>10}   MiB")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for shape in SHAPES:
            if chosen.only not in shape.name:
                continue
            written = [sys.executable, "-m", "tests.benchmarks.plan_shapes", shape.name, str(folder / "shape.gguf")]
            subprocess.run(written, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            path = folder / "shape.gguf"
            is_loaded = path.stat().st_size <= chosen.largest * GIB
            row = load_twice(shape, path, folder, chosen.context) if is_loaded else reckon(shape, path, chosen.context)
            rows.append(row)
            print(
                f"{row.name:24}{row.sequences:9}{row.first_planned / MIB:10.1f}{row.first_used / MIB:10.1f}"
                f"{row.first_error:+8.2f}%"
                + (f"{row.next_error:+10.2f}%" if is_loaded else f"{'—':>11}")
                + (f"{row.resident / MIB:10.1f}" if is_loaded else "   reckoned"),
                flush=True,
            )
    for title, errors in (
        ("by the formula", [abs(row.first_error) for row in rows]),
        ("by what was learnt", [abs(row.next_error) for row in rows if row.resident]),
    ):
        if errors:
            print(
                f"{title}: median {statistics.median(errors):.2f} %, largest {max(errors):.2f} %, {len(errors)} shapes"
            )
    if any(abs(row.first_error) > LIMIT_PERCENT for row in rows):
        sys.exit(f"a plan is off by more than {LIMIT_PERCENT} %")


if __name__ == "__main__":
    main()
