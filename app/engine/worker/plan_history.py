"""What earlier plans turned out to take, kept between runs so that the next plan is closer."""

from __future__ import annotations

import hashlib
import json
import logging
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.core.events import HOST
from app.core.model_shape import ModelShape
from app.core.plan import DeviceShare, EnginePlan, Machine, Wishes
from app.core.speed import loaded_plan

log = logging.getLogger(__name__)

_FILE_NAME = "engine-plans.json"
_VERSION = 1
_RECORDS, _REDUCTIONS = "records", "reductions"
_MAX_RECORDS = 200  # of each; the latest are kept
_MAX_FILE_BYTES = 4 * 1024 * 1024
_LEAST_FACTOR, _LARGEST_FACTOR = 0.5, 2.0  # beyond this a record says nothing about the formula
# Why more did not load is not known: a game on the card is gone tomorrow. A driver's limit is not, and makes one load a
# day a slow one.
_REDUCED_FOR_S = 24 * 60 * 60
_CLEARLY_MORE = 9 / 8  # free memory against then; a browser's ups and downs are less


class PlanHistory:
    """Records of one machine, in a file of a folder. Whatever happens to the file is a line in the log."""

    def __init__(self, folder: Path | None, engine_version: str) -> None:
        """`folder` None: nothing is kept, nothing is known. Records of other engines are not used."""
        self._path = folder / _FILE_NAME if folder is not None else None
        self._engine = engine_version

    def compute_factors(self, shape: ModelShape) -> dict[tuple[str, bool], float]:
        """How large this model's compute buffers were found, against the formula alone: see `Machine`."""
        found: dict[tuple[str, bool], list[float]] = {}
        for record in self._read()[_RECORDS]:
            if record.get("model") != _digest(shape):
                continue
            for key, ratio in _ratios(record).items():
                found.setdefault(key, []).append(ratio)
        # The latest alone would forget that plans differ; the median leaves out what happened once.
        return {key: statistics.median(ratios) for key, ratios in found.items()}

    def record(
        self,
        shape: ModelShape,
        plan: EnginePlan,
        used: tuple[DeviceShare, ...],
        factors: Mapping[tuple[str, bool], float],
    ) -> None:
        """Note what a plan made with these factors really took."""
        if self._path is None:
            return
        flash = plan.context.flash_attention
        formula = {
            share.device: int(share.compute_bytes / factors.get((share.device, flash), 1.0)) for share in plan.shares
        }
        entry = {
            "engine": self._engine,
            "model": _digest(shape),
            "plan": plan.to_json(),
            "used": [share.to_json() for share in used],
            "formula_compute_bytes": formula,
        }
        name = _name(entry)
        entries = self._read()
        entries[_RECORDS] = [*(each for each in entries[_RECORDS] if _name(each) != name), entry]
        self._write(entries)

    def reduced_plan(self, case: str, machine: Machine) -> EnginePlan | None:
        """What was loaded after larger plans had failed; None: these may be tried, for the first time or again.

        `case`: see `case_of`.
        """
        found = [each for each in self._read()[_REDUCTIONS] if each.get("case") == case]
        return loaded_plan(found[-1].get("plan", {})) if found and _still_holds(found[-1], machine) else None

    def record_reduction(self, case: str, machine: Machine, wanted: EnginePlan, loaded: EnginePlan) -> None:
        """Note that the wanted plan should have fit and failed, and what was loaded instead."""
        if self._path is None:
            return
        gpus = {gpu.device: gpu.free_bytes for gpu in machine.gpus}
        entry = {
            "engine": self._engine,
            "case": case,
            "failed_at_s": time.time(),
            "free_bytes": gpus if wanted.uses_gpu else {HOST: machine.free_bytes},
            "plan": loaded.to_json(),
        }
        entries = self._read()
        entries[_REDUCTIONS] = [*(each for each in entries[_REDUCTIONS] if each.get("case") != case), entry]
        self._write(entries)

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        """The usable entries of each kind, oldest first."""
        data = self._read_file()
        lists = {kind: data.get(kind) for kind in (_RECORDS, _REDUCTIONS)}
        return {
            kind: [each for each in found if isinstance(each, dict) and each.get("engine") == self._engine]
            if isinstance(found, list)
            else []
            for kind, found in lists.items()
        }

    def _read_file(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            if self._path.stat().st_size > _MAX_FILE_BYTES:
                return {}
            data = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("earlier plans cannot be read: %s", error)
            return {}
        return data if isinstance(data, dict) and data.get("version") == _VERSION else {}

    def _write(self, entries: Mapping[str, list[dict[str, Any]]]) -> None:
        assert self._path is not None
        new = self._path.with_suffix(".new")
        data = {"version": _VERSION, **{kind: latest[-_MAX_RECORDS:] for kind, latest in entries.items()}}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(data, indent=1), "utf-8")
            new.replace(self._path)
        except OSError as error:
            log.warning("this plan cannot be kept: %s", error)


def case_of(shape: ModelShape, machine: Machine, drivers: Mapping[str, str], wishes: Wishes) -> str:
    """A name for what a failure is about: these sizes, the GPUs that take part with their drivers, and the wishes."""
    gpus = [(gpu.device, drivers.get(gpu.device, "")) for gpu in machine.gpus]
    return hashlib.sha256(repr((shape, gpus, wishes)).encode()).hexdigest()[:32]


def _still_holds(reduction: Mapping[str, Any], machine: Machine) -> bool:
    """Whether what failed is not to be tried again: it is not long ago, and no device has clearly more memory free."""
    now = {HOST: machine.free_bytes} | {gpu.device: gpu.free_bytes for gpu in machine.gpus}
    try:
        age_s = time.time() - float(reduction["failed_at_s"])
        then = {str(device): int(size) for device, size in reduction["free_bytes"].items()}
        return 0 <= age_s < _REDUCED_FOR_S and all(now.get(d, 0) <= size * _CLEARLY_MORE for d, size in then.items())
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return False


def _name(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a record is about; a newer one about the same takes its place."""
    plan = record.get("plan")
    plan = plan if isinstance(plan, dict) else {}
    keys = (
        "context_length",
        "batch_tokens",
        "flash_attention",
        "sequences",
        "cache_type",
        "gpu_layers",
        "host_experts",
    )
    return (record.get("model"), *(plan.get(key) for key in keys))


def _ratios(record: Mapping[str, Any]) -> dict[tuple[str, bool], float]:
    """Found against calculated, by device and attention; empty for a record that makes no sense."""
    try:
        flash = bool(record["plan"]["flash_attention"])
        calculated = {str(device): int(size) for device, size in record["formula_compute_bytes"].items()}
        used = {str(share["name"]): int(share["compute_bytes"]) for share in record["used"]}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return {}
    ratios = {device: used.get(device, 0) / size for device, size in calculated.items() if size > 0}
    return {(device, flash): ratio for device, ratio in ratios.items() if _LEAST_FACTOR <= ratio <= _LARGEST_FACTOR}


def _digest(shape: ModelShape) -> str:
    """A name for a shape: the same for all files of the same sizes."""
    sizes = repr(replace(shape, weights_bytes=0, layer_bytes=(), expert_bytes=(), embedding_bytes=0, output_bytes=0))
    return hashlib.sha256(sizes.encode()).hexdigest()[:32]
