"""Starts ggml's backends, each noted in the journal before, without those that ended an engine then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from app.engine.attempts import AttemptJournal, AttemptKind
from app.engine.worker import binding
from app.engine.worker.backend_libraries import GPU_BACKENDS, backend_name
from app.engine.worker.device_list import CRASHED, StartReport, list_devices
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.vulkan_drivers import vulkan_drivers


def start_backends(
    journal: AttemptJournal, engine: str, engine_log: EngineLog, report: StartReport, on_abort: Callable[[str], None]
) -> binding.Initialized:
    """What `binding.initialize` gives, with the problem of each that was left out; `engine` is for the journal.

    `on_abort` is called, from any thread, right before ggml ends the process.
    """
    crashed = journal.failed(AttemptKind.BACKEND, engine)

    def log_line(level: int, text: str) -> None:
        engine_log.add(level, text)
        report.add(text)

    def load(path: Path) -> bool:
        name = backend_name(path)
        is_gpu = name in GPU_BACKENDS
        with journal.attempt(AttemptKind.BACKEND, name, engine=engine) if is_gpu else nullcontext():
            is_loaded = binding.load_library(path)
            if name == "vulkan":
                report.vulkan_drivers = vulkan_drivers()
            if is_gpu and is_loaded:
                list_devices()  # asks for their memory, which is when CUDA first turns to a card
            return is_loaded

    def aborting(message: str) -> None:
        engine_log.abort(message)
        on_abort(message)

    wanted = [name for name in GPU_BACKENDS if name not in crashed]
    started = binding.initialize(log_line, aborting, wanted, load)
    report.is_over = True
    return replace(started, problems={**started.problems, **dict.fromkeys(crashed, CRASHED)})
