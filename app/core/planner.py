"""How a model is to be loaded: what goes to which device, and how its context is made.

A plan is made before anything is loaded, from the sizes in the file's header, the free memory of each device and what
the person wants. It prefers, in this order: what the person wants; all layers on GPUs; a context of full length; large
batches; the attention that is fastest on the device; several conversations at once.

llama.cpp's own arithmetic decides where a layer goes (src/llama-model.cpp, load_tensors): of n_gpu_layers the first is
the output, the others are the last layers; `tensor_split` divides them, in order, among the GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial

from app.core.errors import ErrorKind, UserError
from app.core.events import HOST
from app.core.memory import (
    CONTEXT_STEP_TOKENS,
    ContextPlan,
    compute_bytes,
    input_bytes,
    layer_cache_bytes,
    memory_need,
    prefers_flash_attention,
    round_up,
    surrounding_bytes,
    usable_cache_type,
)
from app.core.model_shape import ModelShape
from app.core.plan import DeviceShare, EnginePlan, Machine, Placement, Wishes

DEFAULT_CONTEXT_LENGTH = 8192
MIN_CONTEXT_LENGTH = 512  # below this no conversation is possible
BATCH_TOKENS = 512
OUTPUT_TOKENS = 32  # of how many tokens of a batch the logits are kept: every conversation's next one, or a draft
_BATCHES = (512, 256, 128, 64)
_SEQUENCES_SHARE = 4  # further conversations take at most a quarter of what would stay free
_MAX_CELLS = (1 << 31) - 1  # n_ctx is for all conversations together
_SAME_SHARE = 17 / 16  # of what a GPU gave before: plans are corrected by a little from load to load
_SPLIT_STEPS = 256  # how finely the even filling of several GPUs is searched


def make_plan(shape: ModelShape, trained_length: int, machine: Machine, wishes: Wishes) -> EnginePlan:
    """The best plan for this model on this machine.

    A wished context length is granted exactly or refused; other wishes are followed as far as they fit.

    Raises:
        UserError: NOT_ENOUGH_MEMORY when the wished length, or any useful one, does not fit.
    """
    planner = _Planner(shape, machine, wishes)
    trained = max(trained_length, MIN_CONTEXT_LENGTH)
    asked = wishes.context_length or min(trained, DEFAULT_CONTEXT_LENGTH)
    plan = planner.plan(asked)
    if plan is not None:
        return plan
    longest = planner.longest(max(asked, trained))
    if not wishes.context_length and longest >= MIN_CONTEXT_LENGTH:
        plan = planner.plan(min(longest, asked))
        if plan is not None:
            return plan
    smallest = wishes.context_length or MIN_CONTEXT_LENGTH
    raise UserError(
        ErrorKind.NOT_ENOUGH_MEMORY,
        needed_bytes=memory_need(shape, planner.cheapest_context(smallest)).total_bytes,
        free_bytes=machine.free_bytes + sum(gpu.free_bytes for gpu in machine.gpus if not gpu.is_shared),
        context_length=smallest,
        suggested_context_length=(
            min(longest, round_up(trained, CONTEXT_STEP_TOKENS)) if longest >= MIN_CONTEXT_LENGTH else 0
        ),
    )


def fitting_plan(shape: ModelShape, machine: Machine, wishes: Wishes) -> EnginePlan | None:
    """The best plan with a context of the wished length; None: it does not fit."""
    return _Planner(shape, machine, wishes).plan(wishes.context_length)


def smaller_plan(
    shape: ModelShape, failed: EnginePlan, machine: Machine, wishes: Wishes, *, is_last: bool = False
) -> EnginePlan | None:
    """The next plan to try when llama.cpp could not do this one although it should fit; None: there is none.

    Conversations beside the first go first, so that the wanted length may stay. `is_last`: no other will be tried, so
    that it leaves out GPUs, if main memory is enough: nobody knows what else a driver lacks.
    """
    length = failed.context.context_length
    one = replace(wishes, context_length=0, sequences=1)
    if is_last and failed.uses_gpu:
        with suppress(UserError):
            return make_plan(shape, length, replace(machine, gpus=()), one)
    shares = {share.device: share for share in failed.shares}
    gpus = tuple(
        replace(gpu, free_bytes=min(gpu.free_bytes, shares[gpu.device].total_bytes * 3 // 4))
        for gpu in machine.gpus
        if gpu.device in shares
    )
    # Weights in main memory cannot shrink: where nothing lies elsewhere, half of the context goes.
    host_bytes = machine.free_bytes if gpus else failed.shares[0].total_bytes - failed.shares[0].context_bytes // 2
    smaller = replace(machine, free_bytes=min(machine.free_bytes, host_bytes), gpus=gpus)
    plan = fitting_plan(shape, smaller, replace(one, context_length=length)) if failed.context.sequences > 1 else None
    if plan is None:
        try:
            plan = make_plan(shape, length, smaller, one)
        except UserError:
            return None
    return plan if (plan.placement, plan.context) != (failed.placement, failed.context) else None


def repeated_plan(
    shape: ModelShape, former: EnginePlan, best: EnginePlan, machine: Machine, wishes: Wishes
) -> EnginePlan | None:
    """A plan no larger than a former one, which was loaded after larger ones had failed, on the same devices.

    None: even that does not fit now, or it is no less than the best plan by what is free.
    """
    shares = {share.device: share for share in former.shares}
    gpus = tuple(
        replace(gpu, free_bytes=min(gpu.free_bytes, int(shares[gpu.device].total_bytes * _SAME_SHARE)))
        for gpu in machine.gpus
        if gpu.device in shares
    )
    limits = replace(
        wishes,
        context_length=min(former.context.context_length, best.context.context_length),
        gpu_layers=former.placement.gpu_layers,
        sequences=former.context.sequences,
    )
    plan = fitting_plan(shape, replace(machine, gpus=gpus), limits)
    is_less = plan is not None and (plan.placement, plan.context) != (best.placement, best.context)
    return plan if is_less else None


def resized_plan(shape: ModelShape, plan: EnginePlan, machine: Machine, context_length: int) -> EnginePlan:
    """The plan for the same model, loaded as it is, with a context of another length and as many conversations as fit.

    `machine` has the memory of the present context among what is free. Raises UserError(NOT_ENOUGH_MEMORY).
    """
    planner = _Planner(shape, machine, Wishes(cache_type=plan.context.cache_type, sequences=plan.context.sequences))
    resized = planner.placed(replace(plan.context.with_length(context_length), sequences=1), plan.placement)
    if planner.fits(resized.shares):
        return planner.with_more_sequences(resized)
    raise UserError(
        ErrorKind.NOT_ENOUGH_MEMORY,
        needed_bytes=resized.total_bytes,
        free_bytes=machine.free_bytes,
        context_length=context_length,
        suggested_context_length=plan.context.context_length,
    )


class _Planner:
    """Tries ways to load one model on one machine."""

    def __init__(self, shape: ModelShape, machine: Machine, wishes: Wishes) -> None:
        self._shape = shape
        self._machine = machine
        self._wishes = wishes
        self._cache_type = usable_cache_type(shape, wishes.cache_type)
        self._cache_bytes = cache(partial(layer_cache_bytes, shape))  # by the context: it is asked again and again
        limit = shape.layers + 1
        self._layer_limit = (limit if wishes.gpu_layers < 0 else min(wishes.gpu_layers, limit)) if machine.gpus else 0

    def plan(self, context_length: int) -> EnginePlan | None:
        """The best plan with a context of this length; None: it does not fit."""
        for context, may_use_gpu in self._contexts(context_length):
            placement = self._best_placement(context) if may_use_gpu else Placement()
            if placement is not None and self.fits(self._shares(context, placement)):
                return self.with_more_sequences(self.placed(context, placement))
        return None

    def longest(self, limit: int) -> int:
        """The longest context up to `limit` for which there is a plan, a multiple of 256 tokens; 0 if none."""
        low, high = 0, round_up(limit, CONTEXT_STEP_TOKENS) // CONTEXT_STEP_TOKENS
        while low < high:
            middle = (low + high + 1) // 2
            if self.plan(middle * CONTEXT_STEP_TOKENS) is not None:
                low = middle
            else:
                high = middle - 1
        return low * CONTEXT_STEP_TOKENS

    def cheapest_context(self, context_length: int) -> ContextPlan:
        """The way to make a context of this length that takes the least memory."""
        return [context for context, _ in self._contexts(context_length)][-1]

    def placed(self, context: ContextPlan, placement: Placement) -> EnginePlan:
        """The whole plan for a context and a placement, whether it fits or not."""
        shares = self._shares(context, placement)
        return EnginePlan(context, placement, self._machine.threads, self._shape.layers, shares)

    def fits(self, shares: Sequence[DeviceShare]) -> bool:
        """Whether every device has the memory for its share."""
        return all(spare >= 0 for spare in self._spare_bytes(shares))

    def _contexts(self, context_length: int) -> Iterator[tuple[ContextPlan, bool]]:
        """The ways to make a context, best first, and whether GPUs take part."""
        context = ContextPlan(
            context_length,
            output_tokens=OUTPUT_TOKENS,
            whole_window_cache=self._shape.keeps_whole_windows,
            cache_type=self._cache_type,
        )
        if self._layer_limit:
            for batch in _BATCHES[:2]:
                yield replace(context, batch_tokens=batch, flash_attention=self._shape.flash_attention), True
        first = prefers_flash_attention(self._shape, self._cache_type, self._machine.cpu_flash_attention)
        for flash in (first,) if first or not self._shape.flash_attention else (False, True):
            for batch in _BATCHES:
                outputs = min(OUTPUT_TOKENS, batch)
                yield replace(context, batch_tokens=batch, output_tokens=outputs, flash_attention=flash), False

    def _best_placement(self, context: ContextPlan) -> Placement | None:
        """As many layers on the GPUs as fit; of a model with experts all, if need be without their experts."""
        whole = self._split(context, self._layer_limit, 0)
        if whole is not None:
            return whole
        if any(self._shape.expert_bytes):
            low, high = 1, self._shape.layers
            while low < high:
                middle = (low + high) // 2
                low, high = (low, middle) if self._split(context, self._layer_limit, middle) else (middle + 1, high)
            placement = self._split(context, self._layer_limit, low)
            if placement is not None:
                return placement
        low, high = 0, self._layer_limit - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._split(context, middle, 0) else (low, middle - 1)
        return self._split(context, low, 0) if low else None

    def _split(self, context: ContextPlan, gpu_layers: int, host_experts: int) -> Placement | None:
        """The most even division of so many layers among the GPUs; None: they do not fit."""
        counts = self._filled(context, gpu_layers, host_experts, 1.0)
        if counts is None:
            return None
        if len(counts) == 1:
            return Placement(gpu_layers, counts, host_experts)
        low, high = 1, _SPLIT_STEPS
        while low < high:
            middle = (low + high) // 2
            is_enough = self._filled(context, gpu_layers, host_experts, middle / _SPLIT_STEPS) is not None
            low, high = (low, middle) if is_enough else (middle + 1, high)
        counts = self._filled(context, gpu_layers, host_experts, low / _SPLIT_STEPS)
        return None if counts is None else Placement(gpu_layers, counts, host_experts)

    def _filled(
        self, context: ContextPlan, gpu_layers: int, host_experts: int, fraction: float
    ) -> tuple[int, ...] | None:
        """How many layers each GPU gets when none is filled beyond this fraction."""
        sizes = self._unit_bytes(context, gpu_layers, host_experts)
        counts, at = [], 0
        for gpu in self._machine.gpus:
            room = int(gpu.free_bytes * fraction) - self._gpu_compute_bytes(
                context, gpu.device, gpu_layers, host_experts
            )
            first = at
            while at < len(sizes) and sizes[at] <= room:
                room -= sizes[at]
                at += 1
            counts.append(at - first)
        return tuple(counts) if at == len(sizes) else None

    def _unit_bytes(self, context: ContextPlan, gpu_layers: int, host_experts: int) -> list[int]:
        """Weights and cache of what lies on the GPUs, in order: the last layers, then the output."""
        if not gpu_layers:
            return []
        shape, kept = self._shape, self._cache_bytes(context)
        on_gpus = range(shape.layers + 1 - gpu_layers, shape.layers)
        layers = [
            shape.layer_bytes[layer] + kept[layer] - (shape.expert_bytes[layer] if layer < host_experts else 0)
            for layer in on_gpus
        ]
        return [*layers, shape.output_bytes]

    def _gpu_compute_bytes(self, context: ContextPlan, device: str, gpu_layers: int, host_experts: int) -> int:
        shape = self._shape
        in_memory = shape.layer_bytes[: shape.layers + 1 - gpu_layers]
        # For long prompts weights in main memory are copied over, one matrix at a time: a third of a layer's.
        copied = max((*in_memory, *shape.expert_bytes[:host_experts]), default=0) // 3
        return int((compute_bytes(shape, context) + copied) * self._compute_factor(device, context))

    def _compute_factor(self, device: str, context: ContextPlan) -> float:
        return self._machine.compute_factors.get((device, context.flash_attention), 1.0)

    def _shares(self, context: ContextPlan, placement: Placement) -> tuple[DeviceShare, ...]:
        shape = self._shape
        kept = self._cache_bytes(context)
        surrounding = surrounding_bytes(shape, context)
        at = shape.layers + 1 - placement.gpu_layers if placement.gpu_layers else shape.layers
        host_layers = range(at)
        kept_experts = sum(shape.expert_bytes[at : max(at, placement.host_experts)])
        if placement.gpu_layers:
            host_weights = shape.embedding_bytes + sum(shape.layer_bytes[:at]) + kept_experts
            is_idle = not host_layers and not kept_experts
            host_compute = input_bytes(shape, context) if is_idle else compute_bytes(shape, context)
        else:
            host_weights, host_compute = shape.weights_bytes, compute_bytes(shape, context)
        host_compute = int(host_compute * self._compute_factor(HOST, context))
        host_cache = sum(kept[layer] for layer in host_layers)
        shares = [DeviceShare(HOST, len(host_layers), host_weights, host_cache, host_compute, surrounding)]
        for gpu, count in zip(self._machine.gpus, placement.tensor_split, strict=False):
            layers = range(at, min(at + count, shape.layers))
            experts = sum(shape.expert_bytes[layer] for layer in layers if layer < placement.host_experts)
            weights = sum(shape.layer_bytes[layer] for layer in layers) - experts
            weights += shape.output_bytes if at <= shape.layers < at + count else 0
            computed = self._gpu_compute_bytes(context, gpu.device, placement.gpu_layers, placement.host_experts)
            used = sum(kept[layer] for layer in layers)
            shares.append(DeviceShare(gpu.device, len(layers), weights, used, computed if count else 0))
            at += count
        return tuple(shares)

    def _spare_bytes(self, shares: Sequence[DeviceShare]) -> list[int]:
        """What stays free of each device."""
        totals = {share.device: share.total_bytes for share in shares}
        shared = sum(totals.get(gpu.device, 0) for gpu in self._machine.gpus if gpu.is_shared)
        gpus = [gpu.free_bytes - totals.get(gpu.device, 0) for gpu in self._machine.gpus]
        return [self._machine.free_bytes - totals[HOST] - shared, *gpus]

    def with_more_sequences(self, plan: EnginePlan) -> EnginePlan:
        """The plan with as many conversations as take no more than a quarter of what stays free."""
        spare = self._spare_bytes(plan.shares)
        most = min(self._wishes.sequences, _MAX_CELLS // plan.context.cells)
        for sequences in range(most, 1, -1):
            more = self.placed(replace(plan.context, sequences=sequences), plan.placement)
            left = self._spare_bytes(more.shares)
            if all((before - after) * _SEQUENCES_SHARE <= before for before, after in zip(spare, left, strict=True)):
                return more
        return plan
