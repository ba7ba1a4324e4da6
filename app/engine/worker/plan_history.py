"""What earlier plans turned out to take, kept between runs so that the next plan is closer."""

from __future__ import annotations

import hashlib
import json
import logging
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.core.model_shape import ModelShape
from app.core.plan import DeviceShare, EnginePlan

log = logging.getLogger(__name__)

_FILE_NAME = "engine-plans.json"
_VERSION = 1
_MAX_RECORDS = 200  # the latest are kept
_MAX_FILE_BYTES = 4 * 1024 * 1024
_LEAST_FACTOR, _LARGEST_FACTOR = 0.5, 2.0  # beyond this a record says nothing about the formula


class PlanHistory:
    """Records of one machine, in a file of a folder. Whatever happens to the file is a line in the log."""

    def __init__(self, folder: Path | None, engine_version: str) -> None:
        """`folder` None: nothing is kept, nothing is known. Records of other engines are not used."""
        self._path = folder / _FILE_NAME if folder is not None else None
        self._engine = engine_version

    def compute_factors(self, shape: ModelShape) -> dict[tuple[str, bool], float]:
        """How large this model's compute buffers were found, against the formula alone: see `Machine`."""
        found: dict[tuple[str, bool], list[float]] = {}
        for record in self._records():
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
        earlier = [each for each in self._records() if _name(each) != name]
        self._write([*earlier, entry][-_MAX_RECORDS:])

    def _records(self) -> list[dict[str, Any]]:
        """The usable records, oldest first."""
        if self._path is None:
            return []
        try:
            if self._path.stat().st_size > _MAX_FILE_BYTES:
                return []
            data = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError) as error:
            log.warning("earlier plans cannot be read: %s", error)
            return []
        if not isinstance(data, dict) or data.get("version") != _VERSION or not isinstance(data.get("records"), list):
            return []
        return [each for each in data["records"] if isinstance(each, dict) and each.get("engine") == self._engine]

    def _write(self, records: list[dict[str, Any]]) -> None:
        assert self._path is not None
        new = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps({"version": _VERSION, "records": records}, indent=1), "utf-8")
            new.replace(self._path)
        except OSError as error:
            log.warning("this plan cannot be kept: %s", error)


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
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    ratios = {device: used.get(device, 0) / size for device, size in calculated.items() if size > 0}
    return {(device, flash): ratio for device, ratio in ratios.items() if _LEAST_FACTOR <= ratio <= _LARGEST_FACTOR}


def _digest(shape: ModelShape) -> str:
    """A name for a shape: the same for all files of the same sizes."""
    sizes = repr(replace(shape, weights_bytes=0, layer_bytes=(), expert_bytes=(), embedding_bytes=0, output_bytes=0))
    return hashlib.sha256(sizes.encode()).hexdigest()[:32]
