"""How fast a model will write on this machine, before it is here.

Writing a token reads every weight that takes part in it once, and the cache of what was said; computing hides behind
that reading on nearly every machine. So the time for a token is its bytes over the bandwidth with which llama.cpp reads
weights, per device, one after the other. Of a mixture of experts only the used ones are read. What a machine has done
before corrects the sum: it knows what this arithmetic leaves out, formats that take long to unpack above all.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from app.core.events import HOST
from app.core.memory import ContextPlan, layer_cache_bytes
from app.core.model_shape import ModelShape
from app.core.past_runs import PastRun
from app.core.plan import DeviceShare, EnginePlan, Placement

WORDS_PER_TOKEN = 0.75
"""English text in the vocabularies of today's models: 100 tokens are some 75 words, since rarer words and the signs
between them take tokens of their own. Other languages have fewer words to a token."""

SELF_TEST_BYTES = 562_700_000
"""What a token of the self-test's model reads, extended to all its layers (app.engine.worker.sample_model)."""

CONVERSATION_TOKENS = 1024  # what has been said while a usual answer is written

COPY_EFFICIENCY = 0.5
"""Of the bandwidth of copying memory (read and written bytes together), what llama.cpp's reading of weights reaches on
a processor, before its self-test has run."""

_LEAST_FACTOR, _LARGEST_FACTOR = 0.1, 10.0  # beyond these a past run was disturbed, or is of something else
_ENOUGH_RUNS = 2  # for a conclusion from other models to this one


@dataclass(frozen=True, slots=True)
class SpeedModel:
    """What is known of this machine's speed."""

    bandwidths: Mapping[str, float]  # bytes per second with which weights are read, by ggml's name of the device
    runs: Sequence[PastRun] = field(default_factory=tuple)  # oldest first

    def tokens_per_second(
        self, shape: ModelShape, plan: EnginePlan, model: str = "", quantization: str = ""
    ) -> float | None:
        """What it will write, corrected by what this machine has done.

        None when a device that takes part has not been measured.
        """
        read_bytes = token_bytes(shape, plan)
        seconds = self._seconds(read_bytes)
        return self._factor(read_bytes.keys(), model, quantization) / seconds if seconds else None

    def factor_of(self, run: PastRun) -> float:
        """How much faster an answer was than the arithmetic says; 0 when a device was not measured."""
        return run.seen * (self._seconds(run.read_bytes) or 0.0)

    def _seconds(self, read_bytes: Mapping[str, int]) -> float | None:
        """How long a token takes that reads so much on each device; None when one of them has not been measured."""
        if any(self.bandwidths.get(device, 0.0) <= 0 for device in read_bytes):
            return None
        return sum(size_bytes / self.bandwidths[device] for device, size_bytes in read_bytes.items())

    def _factor(self, devices: Set[str], model: str, quantization: str) -> float:
        """How much faster this machine was than the arithmetic says.

        Runs of the same model say most, then those of its quantization, then any on these devices. All are held against
        the bandwidths that are known now: one that was measured on a busy machine leaves no trace after a better one.
        """
        here = [run for run in self.runs if run.read_bytes.keys() == devices]
        same_kind = [run for run in here if run.quantization == quantization]
        for runs, enough in (
            ([run for run in here if model and run.model == model], 1),
            (same_kind if quantization else [], _ENOUGH_RUNS),
            (here, _ENOUGH_RUNS),
        ):
            if len(runs) >= enough:
                factor = statistics.median(map(self.factor_of, runs))
                return min(max(factor, _LEAST_FACTOR), _LARGEST_FACTOR)
        return 1.0


def words_per_second(tokens_per_second: float) -> float:
    """The speed as a reader feels it."""
    return tokens_per_second * WORDS_PER_TOKEN


def model_key(file_name: str, size_bytes: int) -> str:
    """A name for a file's contents that needs no look into them; empty when there is nothing to go by."""
    name = file_name.replace("\\", "/").rpartition("/")[2].lower()
    return f"{name}:{size_bytes}" if name and size_bytes else ""


def loaded_plan(data: Mapping[str, Any]) -> EnginePlan | None:
    """The plan that a loaded model tells of (`EnginePlan.to_json`); None when it tells nothing usable."""
    try:
        context = ContextPlan(
            int(data["context_length"]),
            batch_tokens=int(data["batch_tokens"]),
            flash_attention=bool(data["flash_attention"]),
            sequences=int(data["sequences"]),
            cache_type=str(data["cache_type"]),
        )
        shares = tuple(
            DeviceShare(
                str(share["name"]),
                int(share["layers"]),
                int(share["weights_bytes"]),
                int(share["cache_bytes"]),
                int(share["compute_bytes"]),
            )
            for share in data["devices"]
        )
        split = tuple(share.layers for share in shares if share.device != HOST)
        placement = Placement(int(data["gpu_layers"]), split, int(data["host_experts"]))
        return EnginePlan(context, placement, int(data["threads"]), int(data["layers"]), shares)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def token_bytes(shape: ModelShape, plan: EnginePlan) -> dict[str, int]:
    """What each device reads for one token in the middle of a conversation."""
    cache = layer_cache_bytes(shape, plan.context)
    sequences, cells = plan.context.sequences, plan.context.cells
    found: dict[str, int] = {}
    for layer, device in enumerate(_layer_devices(plan)):
        experts = shape.expert_bytes[layer]
        used = experts * shape.experts_used // shape.experts if shape.experts else experts
        host = HOST if layer < plan.placement.host_experts else device
        kept = cache[layer] // sequences
        said = kept if shape.recurrent[layer] else kept * min(CONVERSATION_TOKENS, cells) // cells
        found[device] = found.get(device, 0) + shape.layer_bytes[layer] - experts + said
        found[host] = found.get(host, 0) + used
    output = _output_device(plan)
    found[output] = found.get(output, 0) + shape.output_bytes
    return {device: size for device, size in found.items() if size}


def _output_device(plan: EnginePlan) -> str:
    """Where the output lies: behind the last layers, and so on the last GPU that got any."""
    if not plan.placement.gpu_layers:
        return HOST
    used = [share.device for share, count in zip(plan.shares[1:], plan.placement.tensor_split, strict=False) if count]
    return used[-1] if used else plan.shares[-1].device


def _layer_devices(plan: EnginePlan) -> Iterator[str]:
    """Where each layer lies, first to last."""
    for share in plan.shares:
        yield from [share.device] * share.layers
