"""What this machine has done with models, kept between starts: a small file whose loss costs nothing but a guess."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from app.core.past_runs import PastRun

log = logging.getLogger(__name__)

_VERSION = 2  # 1 held what was expected, by whatever was known of the machine then
_RUNS_OF_A_MODEL = 5  # the latest are kept, on the same devices
_MAX_RUNS = 200
_MAX_FILE_BYTES = 1024 * 1024
_MAX_TOKEN_BYTES = 2**50  # no device reads so much for one token


@dataclass(frozen=True, slots=True)
class SpeedHistory:
    """Runs, oldest first, and how fast memory was found at best; 0: it was not measured."""

    runs: tuple[PastRun, ...] = ()
    copy_bandwidth: float = 0.0  # bytes per second

    def with_run(self, run: PastRun) -> SpeedHistory:
        """The history after another answer."""
        devices = run.read_bytes.keys()
        same = [each for each in self.runs if each.model == run.model and each.read_bytes.keys() == devices]
        forgotten = same[: len(same) + 1 - _RUNS_OF_A_MODEL] if len(same) >= _RUNS_OF_A_MODEL else []
        kept = [each for each in self.runs if not any(each is old for old in forgotten)]
        return replace(self, runs=(*kept, run)[-_MAX_RUNS:])

    def joined_to(self, earlier: SpeedHistory) -> SpeedHistory:
        """This history after an earlier one."""
        found = earlier
        for run in self.runs:
            found = found.with_run(run)
        return replace(found, copy_bandwidth=max(self.copy_bandwidth, earlier.copy_bandwidth))


def read_history(path: Path) -> SpeedHistory:
    """The history in a file; a file that makes no sense is as good as none. Reads from disk."""
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            return SpeedHistory()
        data: Any = json.loads(path.read_bytes())
        if data["version"] != _VERSION:
            return SpeedHistory()
        runs = tuple(run for each in data["runs"] if (run := _run(each)) is not None)
        return SpeedHistory(runs[-_MAX_RUNS:], max(0.0, float(data["copy_bandwidth"])))
    except FileNotFoundError:
        return SpeedHistory()
    except (OSError, ArithmeticError, ValueError, TypeError, KeyError, RecursionError) as error:
        log.info("past speeds cannot be read: %s", error)
        return SpeedHistory()


def write_history(path: Path, history: SpeedHistory) -> None:
    """Keep a history. Writes to disk; a failure is a line in the log."""
    data = {
        "version": _VERSION,
        "copy_bandwidth": history.copy_bandwidth,
        "runs": [asdict(run) for run in history.runs],
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(data, indent=1), "utf-8")
        new.replace(path)
    except OSError as error:
        log.info("past speeds cannot be kept: %s", error)


def _run(data: Any) -> PastRun | None:
    """A record, if it makes sense."""
    try:
        read_bytes = {str(device): int(size_bytes) for device, size_bytes in data["read_bytes"].items()}
        run = PastRun(str(data["model"]), str(data["quantization"]), read_bytes, float(data["seen"]))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return None
    makes_sense = read_bytes and all(0 < size_bytes < _MAX_TOKEN_BYTES for size_bytes in read_bytes.values())
    return run if makes_sense and 0 < run.seen < float("inf") else None
