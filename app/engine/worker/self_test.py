"""How fast a device reads and writes: about two seconds of real work in llama.cpp."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from app.core.errors import ErrorKind, UserError
from app.core.events import Device, DeviceTested
from app.core.gpu_choice import OFFLOAD_KINDS
from app.core.memory import ContextPlan
from app.core.plan import Placement
from app.engine.protocol import TestDevice
from app.engine.worker.affinity import computing
from app.engine.worker.backend import RequestControl
from app.engine.worker.binding import has_small_attention, llama
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import ContextSettings, LoadCancelledError, LoadedModel
from app.engine.worker.sample_model import LAYERS, WHOLE_LAYERS, write_sample_model
from app.engine.worker.threads import choose_threads

_PROMPT_TOKENS = 256  # at most
_FEW_TOKENS = 8
_CONTEXT_TOKENS = 512
_PHASE_S = 0.8  # for writing, and again for reading
_ALL_LAYERS = 999


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second."""

    prompt: float
    generation: float


def measure_device(request: TestDevice, device: Device, control: RequestControl, engine_log: EngineLog) -> DeviceTested:
    """Measure a device with a model file, or without one with a sample in the shape of a billion parameters.

    All layers go to the device. Raises UserError(LOAD_FAILED) with llama.cpp's or the disk's reason, or
    LoadCancelledError.
    """
    gpus = (device.name,) if device.kind in OFFLOAD_KINDS else ()
    if request.path:
        speed = _measure(Path(request.path), gpus, control, engine_log)
    else:
        with _sample() as sample:
            # Once it is mapped it can go, so that an end of the process leaves nothing. Windows keeps what is mapped.
            on_loaded = _nothing if sys.platform == "win32" else sample.unlink
            part = _measure(sample, gpus, control, engine_log, on_loaded)
        share = LAYERS / WHOLE_LAYERS
        speed = Speed(part.prompt * share, part.generation * share)
    return DeviceTested(request.id, request.device, round(speed.prompt, 2), round(speed.generation, 2))


def warm_up(model: LoadedModel) -> None:
    """Compute one token and forget it: whatever a driver does wrong or slowly the first time, it does now.

    Raises UserError(DECODE_FAILED).
    """
    _decode(model, [max(model.vocabulary.bos, 0)])
    llama.llama_memory_clear(llama.llama_get_memory(model.context), True)


@contextmanager
def _sample() -> Iterator[Path]:
    """A sample model among the system's temporary files. Raises UserError(LOAD_FAILED)."""
    path = None
    try:
        descriptor, name = tempfile.mkstemp(prefix="hearth-", suffix=".gguf")
        path = Path(name)
        os.close(descriptor)
        write_sample_model(path)
        yield path
    except OSError as error:
        raise UserError(ErrorKind.LOAD_FAILED, reason=error.strerror or type(error).__name__) from None
    finally:
        if path is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _nothing() -> None:
    """It stays until the end."""


def _measure(
    path: Path,
    gpus: tuple[str, ...],
    control: RequestControl,
    engine_log: EngineLog,
    on_loaded: Callable[[], None] = _nothing,
) -> Speed:
    placement = Placement(_ALL_LAYERS, (1,) * len(gpus)) if gpus else Placement()
    model = LoadedModel(path, lambda _: not control.is_stopped, engine_log, placement, gpus)
    try:
        on_loaded()
        flash = bool(gpus) or has_small_attention()
        context = ContextPlan(_CONTEXT_TOKENS, output_tokens=1, flash_attention=flash, whole_window_cache=False)
        model.open_context(ContextSettings(context, choose_threads(0)))
        warm_up(model)
        token_s = _repeat(lambda: _decode(model, [0]), control, most=_CONTEXT_TOKENS - 1)
        if token_s > _PHASE_S:  # of no use: reading would take minutes
            return Speed(1.0 / token_s, 1.0 / token_s)
        prompt_tokens = max(_FEW_TOKENS, min(_PROMPT_TOKENS, int(_PHASE_S / token_s)))  # a slow device reads less
        prompt_s = _repeat(lambda: _read_and_forget(model, prompt_tokens), control)
        return Speed(prompt_tokens / prompt_s, 1.0 / token_s)
    finally:
        model.close()


def _repeat(step: Callable[[], None], control: RequestControl, most: int = 1_000_000) -> float:
    """The median time of a step, repeated for a phase, in seconds."""
    times: list[float] = []
    end = time.perf_counter() + _PHASE_S
    while not times or (time.perf_counter() < end and len(times) < most):
        if control.is_stopped:
            raise LoadCancelledError
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return median(times)


def _read_and_forget(model: LoadedModel, tokens: int) -> None:
    llama.llama_memory_clear(llama.llama_get_memory(model.context), False)
    _decode(model, [0] * tokens)


def _decode(model: LoadedModel, tokens: list[int]) -> None:
    """Compute tokens after those that are in memory, and wait for the device."""
    array: Any = (llama.llama_token * len(tokens))(*tokens)
    assert model.context is not None
    with computing(model.context, len(tokens)):
        code = llama.llama_decode(model.context, llama.llama_batch_get_one(array, len(tokens)))
        llama.llama_synchronize(model.context)
    if code != 0:
        raise UserError(ErrorKind.DECODE_FAILED, reason=f"llama_decode returned {code}")
