"""What a verdict before a download costs, and how right it is. Run: python -m tests.benchmarks.verdict

The header of each model of tests/fixtures/planner lies on a hub on loopback, with a vocabulary as such models have it;
`app.hub.remote_header` reads its beginning, and what is needed by it is compared with what the whole header says. The
figure for the planner is what llama.cpp's own planner answered for the same model (tests.benchmarks.planner).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from app.core.estimated_shape import described_shape
from app.core.fit import MachineMemory, judge, need_of
from app.core.gguf_reader import read_header
from app.core.memory import ContextPlan, memory_need
from app.core.model_shape import ModelShape
from app.hub.access import HubAccess
from app.hub.remote_header import read_remote_header
from tests.fixtures.planned_models import PLANNED_MODELS, PlannedModel
from tests.hub.hub_server import HubServer

MIB = 1024 * 1024
CONTEXT_TOKENS = 4096
MAX_REQUESTS, MAX_BYTES, MAX_PERCENT = 2, 128 * 1024, 0.5
PLANNER_MEAN_PERCENT, PLANNER_WORST_PERCENT = 1.0, 3.0
_CASE = ["-c", "4096", "-fa", "off"]
_HERE = MachineMemory(12 << 30, 16 << 30)


@dataclass(frozen=True)
class Row:
    """One model."""

    name: str
    header_bytes: int
    requests: int
    fetched_bytes: int
    milliseconds: float
    error_percent: float  # of the first 64 KiB against the whole header
    planner_percent: float  # of the first 64 KiB against llama.cpp's planner
    judge_us: float


def measure(hub: HubServer, model: PlannedModel, folder: Path) -> Row:
    """Read one model's beginning over HTTP and hold it against the rest."""
    data = model.whole_header()
    header = read_header(data, 1 << 45)
    path = folder / "model.gguf"
    path.write_bytes(data)
    repo = f"maker/{model.architecture}-{len(hub.repos)}"
    hub.add_repo(repo, {"model.gguf": path})
    started_s = time.perf_counter()
    found = read_remote_header(HubAccess(hub.url), repo, "model.gguf")
    took_s = time.perf_counter() - started_s
    exact = need_of(described_shape(header, header.needed_bytes), CONTEXT_TOKENS)
    # On the hub lies the header alone, without gigabytes of weights: the size of the whole file is put in here.
    shape = described_shape(found.header, header.needed_bytes)
    estimate = need_of(shape, CONTEXT_TOKENS)
    started_s = time.perf_counter()
    judge(shape, CONTEXT_TOKENS, _HERE, None)
    judged_s = time.perf_counter() - started_s
    return Row(
        model.name,
        len(data),
        found.requests,
        found.fetched_bytes,
        took_s * 1e3,
        100 * (estimate.total_bytes / exact.total_bytes - 1),
        _planner_percent(model, shape),
        judged_s * 1e6,
    )


def _planner_percent(model: PlannedModel, shape: ModelShape) -> float:
    case = next(case for case in model.cases if case["options"] == _CASE)
    planned = case["weights_mib"] + case["cache_mib"] + case["compute_mib"]
    need = memory_need(shape, ContextPlan(CONTEXT_TOKENS, whole_window_cache=False))
    ours = need.total_bytes - need.surrounding_bytes
    return 100 * (ours / MIB / planned - 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="", help="models whose names contain this")
    chosen = arguments.parse_args()
    rows = []
    title = (
        f"{'model':22}{'header':>9}{'requests':>10}{'fetched':>9}{'time':>9}{'error':>9}{'planner':>9}{'judged in':>11}"
    )
    print(title)
    with HubServer() as hub, tempfile.TemporaryDirectory() as folder:
        for model in PLANNED_MODELS:
            if chosen.only in model.name:
                row = measure(hub, model, Path(folder))
                rows.append(row)
                print(
                    f"{row.name:22}{row.header_bytes / 1e6:6.1f} MB{row.requests:10}{row.fetched_bytes / 1024:5.0f} KiB"
                    f"{row.milliseconds:6.0f} ms{row.error_percent:+8.3f}%{row.planner_percent:+8.2f}%"
                    f"{row.judge_us:8.0f} µs",
                    flush=True,
                )
    errors = [abs(row.error_percent) for row in rows]
    planner = [abs(row.planner_percent) for row in rows]
    print(f"against the whole header: mean {statistics.mean(errors):.3f} %, worst {max(errors):.3f} %")
    print(f"against llama.cpp's planner: mean {statistics.mean(planner):.2f} %, worst {max(planner):.2f} %")
    print(f"{statistics.median(row.milliseconds for row in rows):.0f} ms each (median, loopback)")
    if any(row.requests > MAX_REQUESTS or row.fetched_bytes > MAX_BYTES for row in rows):
        sys.exit(f"more than {MAX_REQUESTS} requests or {MAX_BYTES} bytes")
    if max(errors) > MAX_PERCENT:
        sys.exit(f"an estimate is off by more than {MAX_PERCENT} %")
    if statistics.mean(planner) > PLANNER_MEAN_PERCENT or max(planner) > PLANNER_WORST_PERCENT:
        sys.exit("the planner says something else")


if __name__ == "__main__":
    main()
