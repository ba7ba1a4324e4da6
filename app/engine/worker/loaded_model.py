"""A model in memory with its context: what llama.cpp allocates, and nothing about conversations."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.core.errors import ErrorKind, UserError
from app.core.memory import CONTEXT_STEP_TOKENS, ContextPlan, round_up
from app.engine.worker.binding import llama
from app.engine.worker.device_list import GPU_KINDS, list_devices
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.vocabulary import Vocabulary

BATCH_TOKENS = 512
OUTPUT_TOKENS = 32  # of how many tokens of a batch the logits are kept: every conversation's next one, or a draft
_CACHE_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}  # ggml.h: enum ggml_type


class LoadCancelledError(Exception):
    """The progress callback said no."""


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """How a context is made: `length` is that of each of its `sequences` conversations, in tokens."""

    length: int
    threads: int
    sequences: int = 1
    cache_type: str = "f16"

    @staticmethod
    def plan() -> ContextPlan:
        """The same for the memory formula, without a length."""
        return ContextPlan(0, batch_tokens=BATCH_TOKENS, output_tokens=OUTPUT_TOKENS)


def choose_threads(wanted: int) -> int:
    """How many threads compute: the physical cores this process may use, unless told otherwise.

    More threads than processors would wait for each other in every operation.
    """
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        usable = os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or usable
    return max(1, min(wanted, usable) if wanted > 0 else min(physical, usable))


class LoadedModel:
    """Owns a `llama_model` and, most of the time, a `llama_context`."""

    def __init__(self, path: Path, on_progress: Callable[[float], bool], engine_log: EngineLog) -> None:
        """Read the weights. `on_progress` gets 0 to 1 and says whether to go on.

        Raises LoadCancelledError, or UserError(LOAD_FAILED) with llama.cpp's reason.
        """
        self.path = path
        self._engine_log = engine_log
        self.has_gpu = any(device.kind in GPU_KINDS for device in list_devices())
        cancelled = False

        @llama.llama_progress_callback  # type: ignore[untyped-decorator]  # made by ctypes
        def progress(fraction: float, _: object) -> bool:
            nonlocal cancelled
            cancelled = cancelled or not on_progress(fraction)
            return not cancelled

        parameters = llama.llama_model_default_params()
        parameters.progress_callback = progress
        parameters.n_gpu_layers = -1  # all, where there is a GPU
        self.handle = llama.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.handle:
            if cancelled:
                raise LoadCancelledError
            raise UserError(ErrorKind.LOAD_FAILED, path=str(path), reason=engine_log.reason)
        self.vocabulary = Vocabulary(llama.llama_model_get_vocab(self.handle))
        self.is_recurrent = bool(
            llama.llama_model_is_recurrent(self.handle) or llama.llama_model_is_hybrid(self.handle)
        )
        self.context: int | None = None
        self.context_length = 0  # of one conversation, tokens
        self.sequences = 1  # how many conversations the context holds
        self.cache_type = "f16"
        self.batch_tokens = 0  # the most that one llama_decode takes
        self._settings: ContextSettings | None = None

    def open_context(self, settings: ContextSettings) -> None:
        """Allocate the KV cache and buffers. Raises UserError(LOAD_FAILED)."""
        parameters = llama.llama_context_default_params()
        parameters.n_seq_max = settings.sequences
        parameters.n_ctx = round_up(settings.length, CONTEXT_STEP_TOKENS) * settings.sequences
        parameters.kv_unified = False  # each conversation attends to its own tokens only
        parameters.type_k = parameters.type_v = _CACHE_TYPES[settings.cache_type]
        parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
        # Not of the whole batch: that is hundreds of megabytes with large vocabularies.
        parameters.n_outputs_max = min(OUTPUT_TOKENS, BATCH_TOKENS)
        parameters.n_threads = parameters.n_threads_batch = settings.threads
        if not self.has_gpu:  # it costs a third of the speed on CPUs with AVX-512; "auto" would turn it on
            parameters.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.no_perf = True
        self.context = llama.llama_init_from_model(self.handle, parameters)
        if not self.context:
            self.context = None
            reason = self._engine_log.reason or "no context"
            raise UserError(ErrorKind.LOAD_FAILED, path=str(self.path), reason=reason)
        self._settings = settings
        self.context_length = int(llama.llama_n_ctx_seq(self.context))
        self.sequences = int(llama.llama_n_seq_max(self.context))
        self.cache_type = settings.cache_type
        self.batch_tokens = int(llama.llama_n_batch(self.context))

    def close_context(self) -> None:
        """Give the KV cache and buffers back; the weights stay."""
        if self.context is not None:
            llama.llama_free(self.context)
            self.context = None

    def reopen_context(self) -> None:
        """Allocate again what `close_context` gave back. Raises UserError."""
        if self._settings is not None and self.context is None:
            self.open_context(self._settings)

    def close(self) -> None:
        """Free everything."""
        self.close_context()
        if self.handle:
            llama.llama_model_free(self.handle)
            self.handle = None

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
