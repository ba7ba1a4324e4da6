"""A model in memory with its context: what llama.cpp allocates, and nothing about conversations."""

from __future__ import annotations

import ctypes
import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.core.adapter import Adapter
from app.core.errors import ErrorKind, UserError
from app.core.memory import CONTEXT_STEP_TOKENS, ContextPlan, round_up, suits_small_attention
from app.core.plan import DeviceShare, EnginePlan, Placement
from app.core.planner import BATCH_TOKENS, OUTPUT_TOKENS
from app.engine.worker.adapters import AdapterSet
from app.engine.worker.affinity import bound_cores
from app.engine.worker.binding import has_small_attention, llama
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.inspection import tensors_of
from app.engine.worker.nextn_functions import keep_states
from app.engine.worker.state_streams import StreamsError, with_streams
from app.engine.worker.thread_pool import ThreadPool, make_thread_pool
from app.engine.worker.threads import reading_threads
from app.engine.worker.vocabulary import Vocabulary
from app.engine.worker.weight_placement import place_weights

__all__ = ["BATCH_TOKENS", "OUTPUT_TOKENS", "ContextSettings", "LoadCancelledError", "LoadedModel"]

log = logging.getLogger(__name__)

_CACHE_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}  # ggml.h: enum ggml_type
_LONG_FACTORS = "rope_factors_long.weight"  # the end of the name of a tensor


class LoadCancelledError(Exception):
    """The progress callback said no."""


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """How a context is made: `plan` has the names of llama_context_params in its comments."""

    plan: ContextPlan
    threads: int

    @classmethod
    def of(cls, plan: EnginePlan) -> ContextSettings:
        """Those of a plan."""
        return cls(plan.context, plan.threads)


@dataclass(frozen=True, slots=True)
class _SequenceState:
    """What a context holds of a conversation: how many tokens, and llama.cpp's copy of it."""

    tokens: int
    data: Any


_EMPTY = _SequenceState(0, None)


@dataclass(frozen=True, slots=True)
class Resizing:
    """How a context gets another length: its plan, and the sequences that are carried over, most important first."""

    plan: EnginePlan
    kept: tuple[int, ...]


class LoadedModel:
    """Owns a `llama_model` and, most of the time, a `llama_context`."""

    def __init__(
        self,
        path: Path,
        on_progress: Callable[[float], bool],
        engine_log: EngineLog,
        placement: Placement = Placement(),  # noqa: B008 - a frozen value
        gpus: tuple[str, ...] = (),
        *,
        with_heads: bool = False,
    ) -> None:
        """Read the weights. `on_progress` gets 0 to 1 and says whether to go on; `gpus`: names of devices, as planned.

        `with_heads`: the layers that only guess ahead are read as well, see `nextn_functions.has_heads`.
        Raises LoadCancelledError, or UserError(LOAD_FAILED) with llama.cpp's reason.
        """
        self.path = path
        self._engine_log = engine_log
        self.has_gpu = placement.gpu_layers > 0
        self.gpus = gpus if self.has_gpu else ()
        self.context: int | None = None
        self._pool: ThreadPool | None = None
        self.context_length = 0  # of one conversation, tokens
        self.has_long_positions = False
        """Whether positions are told as in long texts, by a model that tells them otherwise in short ones (LongRoPE,
        Ding et al. 2024). llama.cpp decides by the length of the context; what was computed so is wrong otherwise."""
        self.sequences = 1  # how many conversations the context holds
        self.cache_type = "f16"
        self.batch_tokens = 0  # the most that one llama_decode takes
        self.plan: EnginePlan | None = None
        self.used: tuple[DeviceShare, ...] = ()  # what the plan's shares turned out to be
        self.settings: ContextSettings | None = None
        self._adapters: AdapterSet | None = None
        self.replan: Callable[[int, int], EnginePlan] | None = None
        """Plans another context length for the model as it is, beside so many bytes of copies that are made meanwhile.

        Raises UserError(NOT_ENOUGH_MEMORY). See `planned_resize`."""
        self.has_heads = with_heads
        engine_log.buffers.clear()
        self.handle = self._read(on_progress, placement)
        self.copied_weights_bytes = engine_log.buffers.copied_weights_bytes  # in main memory, no pages of the file
        try:
            self.vocabulary = Vocabulary(llama.llama_model_get_vocab(self.handle))
            self._short_positions_tokens = self._short_positions()
        except BaseException:
            self.close()
            raise
        self.is_recurrent = bool(
            llama.llama_model_is_recurrent(self.handle) or llama.llama_model_is_hybrid(self.handle)
        )

    def _read(self, on_progress: Callable[[float], bool], placement: Placement) -> Any:
        cancelled = False

        @llama.llama_progress_callback  # type: ignore[untyped-decorator]  # made by ctypes
        def progress(fraction: float, _: object) -> bool:
            nonlocal cancelled
            cancelled = cancelled or not on_progress(fraction)
            return not cancelled

        parameters = llama.llama_model_default_params()
        parameters.progress_callback = progress
        parameters.load_mtp = self.has_heads
        kept = place_weights(parameters, placement, self.gpus)
        handle = llama.llama_model_load_from_file(os.fsencode(self.path), parameters)
        del kept
        if not handle:
            if cancelled:
                raise LoadCancelledError
            raise UserError(ErrorKind.LOAD_FAILED, path=str(self.path), reason=self._engine_log.reason)
        return handle

    def _short_positions(self) -> float:
        """Up to which length of the context positions are told as in short texts (llama_model::get_rope_factors)."""
        architecture = self.metadata("general.architecture") or ""
        original = self.metadata(f"{architecture}.rope.scaling.original_context_length")
        if original is None or not any(tensor.name.endswith(_LONG_FACTORS) for tensor in tensors_of(self.path)):
            return math.inf
        return int(original)

    def open_context(self, settings: ContextSettings) -> None:
        """Allocate the KV cache and buffers. Raises UserError(LOAD_FAILED)."""
        plan = settings.plan
        parameters = llama.llama_context_default_params()  # rope_*, yarn_*: as the file says
        parameters.n_seq_max = plan.sequences
        parameters.n_ctx = round_up(plan.context_length, CONTEXT_STEP_TOKENS) * plan.sequences
        parameters.kv_unified = False  # each conversation attends to its own tokens only
        parameters.type_k = parameters.type_v = _CACHE_TYPES[plan.cache_type]
        parameters.n_batch = parameters.n_ubatch = plan.batch_tokens
        # Not of the whole batch: that is hundreds of megabytes with large vocabularies.
        parameters.n_outputs_max = min(plan.output_tokens, plan.batch_tokens)
        parameters.n_threads = settings.threads
        parameters.n_threads_batch = reading_threads(settings.threads)
        parameters.flash_attn_type = self.flash_attention_type(plan)
        parameters.swa_full = plan.whole_window_cache
        parameters.no_perf = True
        self._engine_log.buffers.clear_context()
        self.context = llama.llama_init_from_model(self.handle, parameters)
        if not self.context:
            self.context = None
            reason = self._engine_log.reason or "no context"
            raise UserError(ErrorKind.LOAD_FAILED, path=str(self.path), reason=reason)
        self._pool = make_thread_pool(max(parameters.n_threads, parameters.n_threads_batch))
        if self._pool is not None:
            self._pool.attach(self.context)
        if self.has_heads:
            keep_states(self.context)
        self.settings = settings
        self.context_length = int(llama.llama_n_ctx_seq(self.context))
        self.has_long_positions = self.has_long_positions_at(self.context_length)
        self.sequences = int(llama.llama_n_seq_max(self.context))
        self.cache_type = plan.cache_type
        self.batch_tokens = int(llama.llama_n_batch(self.context))
        if self._adapters is not None:
            self._adapters.apply(self.context)

    def flash_attention_type(self, plan: ContextPlan) -> int:
        """Certain where it was planned for processors or needed; where a GPU may not have it, llama.cpp looks."""
        if not plan.flash_attention:
            return int(llama.LLAMA_FLASH_ATTN_TYPE_DISABLED)
        is_needed = plan.cache_type != "f16" or not self.has_gpu
        return int(llama.LLAMA_FLASH_ATTN_TYPE_ENABLED if is_needed else llama.LLAMA_FLASH_ATTN_TYPE_AUTO)

    def use_adapters(self, adapters: Sequence[Adapter]) -> bool:
        """Use exactly these, now and in every later context; False if that changes nothing. Raises UserError."""
        assert self.context is not None
        if self._adapters is None:
            if not adapters:
                return False
            architecture = self.metadata("general.architecture") or ""
            tensors = {each.name: each for each in tensors_of(self.path)}
            self._adapters = AdapterSet(self.handle, architecture, tensors, self._engine_log)
        return self._adapters.use(adapters, self.context)

    @property
    def adapters(self) -> tuple[tuple[str, float], ...]:
        """Hash and scale of those in use."""
        return self._adapters.in_use if self._adapters is not None else ()

    def close_context(self) -> None:
        """Give the KV cache and buffers back; the weights stay."""
        if self.context is not None:
            llama.llama_free(self.context)
            self.context = None
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def reopen_context(self) -> None:
        """Allocate again what `close_context` gave back. Raises UserError."""
        if self.settings is not None and self.context is None:
            self.open_context(self.settings)

    def planned_resize(self, context_length: int, order: Sequence[int] = (), needed: int = 0) -> Resizing:
        """How the context could have another length; nothing is changed.

        There may be fewer sequences afterwards, or no memory to copy all of them: `order` names those that matter, most
        important first, of which the first `needed` must have a place and be carried over.
        Raises UserError (NOT_ENOUGH_MEMORY, or LOAD_FAILED when there is no context).
        """
        if self.context is None or self.replan is None:
            raise UserError(ErrorKind.LOAD_FAILED, path=str(self.path), reason="no context")
        sizes = {each: self._state_bytes(each) for each in dict.fromkeys((*order, *range(self.sequences)))}
        kept = [each for each, size in sizes.items() if size]
        least = sum(1 for each in order[:needed] if sizes[each])
        while True:
            try:
                plan = self.replan(context_length, sum(sizes[each] for each in kept))
            except UserError:
                if len(kept) <= least:
                    raise
                kept.pop()
                continue
            if plan.context.sequences < needed:
                raise UserError(ErrorKind.NOT_ENOUGH_MEMORY, context_length=context_length)
            return Resizing(plan, tuple(kept))

    def has_long_positions_at(self, context_length: int) -> bool:
        """What `has_long_positions` would be in a context of this length."""
        return context_length > self._short_positions_tokens

    def resize(self, resizing: Resizing) -> dict[int, int]:
        """Make the context longer or shorter without losing what was read.

        Returns where each sequence that was kept is now, by where it was; all others are empty. None is kept where
        `has_long_positions` changes. Nothing may be decoding. Before a kept one goes on, its last token must be decoded
        again, or the next one: logits are no part of it.

        Raises UserError(LOAD_FAILED) with the context as it was, or, if even that cannot be had again, without one.
        """
        former, sequences = self.settings, self.sequences
        assert former is not None
        states = {sequence: self._state(sequence) for sequence in resizing.kept}
        same_places = {sequence: sequence for sequence in states}
        had_long_positions = self.has_long_positions
        plan = resizing.plan
        self.close_context()
        try:
            self.open_context(ContextSettings.of(plan))
        except UserError:
            self.open_context(former)
            self._restore(states, same_places, sequences)
            raise
        now_used = self._engine_log.buffers.used_shares(plan.shares)
        self.plan = plan
        self.used = tuple(
            replace(share, cache_bytes=now.cache_bytes, compute_bytes=now.compute_bytes)
            for share, now in zip(self.used, now_used, strict=True)
        )
        if self.has_long_positions != had_long_positions:
            return {}
        if self.sequences >= sequences:
            return self._restore(states, same_places, sequences)
        return self._restore(states, {was: now for now, was in enumerate(resizing.kept)}, sequences)

    def _state_bytes(self, sequence: int) -> int:
        """What a copy of a sequence takes; 0 of an empty one."""
        if llama.llama_memory_seq_pos_max(llama.llama_get_memory(self.context), sequence) < 0:
            return 0
        return int(llama.llama_state_seq_get_size(self.context, sequence))

    def _state(self, sequence: int) -> _SequenceState:
        """Everything that was computed for a sequence."""
        tokens = llama.llama_memory_seq_pos_max(llama.llama_get_memory(self.context), sequence) + 1
        if tokens <= 0:
            return _EMPTY
        size = llama.llama_state_seq_get_size(self.context, sequence)
        data = (ctypes.c_uint8 * size)()
        written = llama.llama_state_seq_get_data(self.context, data, size, sequence)
        return _SequenceState(tokens, data) if written == size else _EMPTY

    def _restore(self, states: dict[int, _SequenceState], places: dict[int, int], before: int) -> dict[int, int]:
        """Put back what fits, each in its place; returns the places of those that are whole again.

        `before`: how many sequences there were.
        """
        kept = {}
        for was, now in places.items():
            state = states[was]
            if not state.tokens or now >= self.sequences or state.tokens > self.context_length:
                continue
            data = state.data
            if self.sequences != before:
                data = _with_streams(data, before, self.sequences)
            if llama.llama_state_seq_set_data(self.context, data, len(data), now) == len(data):
                kept[was] = now
            else:
                log.warning("sequence %d is lost in a context of %d tokens", was, self.context_length)
                llama.llama_memory_seq_rm(llama.llama_get_memory(self.context), now, -1, -1)
        return kept

    def close(self) -> None:
        """Free everything."""
        self.close_context()
        if self.handle:
            llama.llama_model_free(self.handle)
            self.handle = None

    @property
    def flash_attention(self) -> bool:
        """Whether values are stored as flash attention wants them; states of the other kind do not fit."""
        return self.settings is not None and self.settings.plan.flash_attention

    @property
    def has_small_attention(self) -> bool:
        """Whether a token gets the same alone as beside others, by packaging/engine/small_attention.h."""
        if self.has_gpu or self.cache_type != "f16" or not has_small_attention():
            return False
        width = int(llama.llama_model_n_embd(self.handle)) // max(int(llama.llama_model_n_head(self.handle)), 1)
        kind = self.metadata("general.architecture")
        lengths = (self.metadata(f"{kind}.attention.{name}_length") or width for name in ("key", "value"))
        return suits_small_attention(map(int, lengths))

    @property
    def plan_details(self) -> dict[str, Any]:
        """The plan and what it took of each device, for ModelInfo."""
        if self.plan is None:
            return {}
        details = self.plan.to_json()
        for device, share in zip(details["devices"], self.used, strict=True):
            device["used_bytes"] = share.total_bytes
        if (cores := bound_cores(self.plan.threads)) is not None:
            details |= {"fast_cores": cores.count, "cores": cores.all_cores}
        return details

    @property
    def template(self) -> str:
        """The chat template of the file; empty when there is none."""
        found = llama.llama_model_chat_template(self.handle, None)
        return found.decode("utf-8", "replace") if found else ""

    @property
    def description(self) -> str:
        """llama.cpp's own line about the model."""
        buffer = ctypes.create_string_buffer(256)
        llama.llama_model_desc(self.handle, buffer, 256)
        return buffer.value.decode("utf-8", "replace")

    @property
    def size_bytes(self) -> int:
        """The weights in memory."""
        return int(llama.llama_model_size(self.handle))

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return int(llama.llama_model_n_params(self.handle))

    @property
    def context_length_trained(self) -> int:
        """How long texts were in training, tokens."""
        return int(llama.llama_model_n_ctx_train(self.handle))

    def metadata(self, key: str) -> str | None:
        """A value of the file's header as text."""
        buffer = ctypes.create_string_buffer(256)
        length = llama.llama_model_meta_val_str(self.handle, key.encode(), buffer, 256)
        return buffer.value.decode("utf-8", "replace") if length >= 0 else None


def _with_streams(data: Any, before: int, after: int) -> Any:
    """A state as a context with another number of sequences takes it; as it was if that cannot be done."""
    try:
        changed = with_streams(memoryview(data).cast("B"), before, after)
    except StreamsError as error:
        log.warning("a conversation cannot be moved: %s", error)
        return data
    return (ctypes.c_uint8 * len(changed)).from_buffer_copy(changed)
