"""Will it run here? Knows this machine's memory and speed, and judges models by them."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from app.core.errors import UserError
from app.core.events import HOST, Device, Event, Finished, ModelInfo
from app.core.gguf import GgufHeader
from app.core.gguf_reader import read_prefix
from app.core.messages import Usage
from app.core.past_runs import PastRun
from app.core.quantizations import quantization_of
from app.engine.client import EngineClient
from app.engine.host_memory import HostMemory, host_memory, private_bytes
from app.services.device_choice import DeviceChoice
from app.services.memory_bandwidth import measure_copy_bandwidth
from app.services.models import ModelService
from app.services.settings import SettingsService
from app.services.speed_history import SpeedHistory, read_history, write_history
from app.services.tasks import Tasks

# What judges is imported when something is to be judged: it is of no use at the start, and takes 40 ms.
if TYPE_CHECKING:
    from app.core.estimated_shape import ListedFigures
    from app.core.fit import GpuMemory, MachineMemory, Verdict
    from app.core.model_shape import ModelShape
    from app.core.plan import EnginePlan
    from app.core.speed import SpeedModel

log = logging.getLogger(__name__)
CACHE_TYPE = "model.cache_type"
PREFIX_BYTES = 64 * 1024  # of a header: what a verdict before a download is made from, too
ASSUMED_BYTES_PER_S = 10e9  # copied by a slow computer: what is expected of one that could not be measured
_MEMORY_AGE_S = 1.0  # a list of hundreds of rows is judged by one look at the memory
_MUCH_SHARE = 32  # of the memory: if so much more or less is free, verdicts may be others
_LEAST_TOKENS = 16  # of an answer whose speed says something
_DOUBT_FACTOR = 1.4  # a quarter guessed ahead makes an answer 1.33 times as fast
_BEYOND_CACHES_BYTES = 300_000_000  # what the self-test's model has
_GUESSED_SHARE = 4  # more than a quarter guessed ahead says more of the text than of the machine


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the system told of its memory, and of the engine's own, which comes back with the model."""

    host: HostMemory
    engine_pid: int | None = None
    engine_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Running:
    """The model that answers, as a verdict before its download would have seen it."""

    file_name: str
    size_bytes: int
    shape: ModelShape
    plan: EnginePlan


class FitService(QObject):
    """Judges models by what this computer has now. Main thread only; what takes long is done by `Tasks`.

    How fast memory is read comes from the devices' self-tests; before the first one memory is copied for 0.2 s, in the
    background, when a speed is first asked for, once in each run of Hearth: the best counts, for other programs only
    ever make it less. Every answer corrects what is expected of the next model.
    """

    changed = Signal()  # verdicts may be others now

    def __init__(
        self,
        tasks: Tasks,
        settings: SettingsService,
        engine: EngineClient,
        models: ModelService,
        choice: DeviceChoice,
        history: Path,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self._settings = settings
        self._engine = engine
        self._models = models
        self._choice = choice
        self._file = history
        self._history = SpeedHistory()
        self._kept = self._history  # what the file holds, or will
        self._is_writing = False
        self._is_read = False
        self._is_reading = False
        self._is_measured = False  # or about to be
        self._assumed_bandwidth = 0.0  # where it could not be measured
        self._running: _Running | None = None
        self._memory: MachineMemory | None = None
        self._seen = _Seen(host_memory())  # from now on workers look: reading files may wait for a busy interpreter
        self._seen_s = time.monotonic()
        self._is_looking = False
        engine.event_received.connect(self._on_event)
        models.loaded.connect(self._on_loaded)
        models.unloaded.connect(self._on_unloaded)
        choice.changed.connect(self._on_devices_changed)
        settings.changed.connect(self._on_setting_changed)

    def prepare(self) -> None:
        """Read what earlier runs taught; ends in `changed`."""
        if not self._is_reading:
            self._is_reading = True
            self._tasks.run(lambda: read_history(self._file), self._on_read)

    @property
    def cache_type(self) -> str:
        """How the numbers of a conversation are kept, as the settings say, e.g. "f16"."""
        return self._settings.string(CACHE_TYPE)

    def machine(self) -> MachineMemory:
        """The memory for a model, as it was when last looked at; what the loaded model would give back counts as free.

        Where that was over a second ago it is looked at anew; `changed` follows if there is much more or less.
        """
        if time.monotonic() - self._seen_s > _MEMORY_AGE_S:
            self._look()
        if self._memory is None:
            self._memory = self._machine()
        return self._memory

    def speed(self) -> SpeedModel:
        """What is known of this machine's speed now; before a self-test memory is measured, and `changed` follows."""
        self.prepare()
        if self._is_read and HOST not in self._choice.speeds and not self._is_measured:
            self._is_measured = True
            self._tasks.run(measure_copy_bandwidth, self._on_measured)
        return self._known_speed()

    def judge(self, shape: ModelShape, context_length: int = 0, file_name: str = "", size_bytes: int = 0) -> Verdict:
        """How a model would run; a context length of 0 is the usual one. Takes a few milliseconds at most.

        The file's name and size find what this machine has done with that very file.
        """
        from app.core.fit import judge, usual_context
        from app.core.speed import model_key

        kind = quantization_of(file_name)
        return judge(
            shape,
            context_length or usual_context(0),
            self.machine(),
            self.speed(),
            cache_type=self.cache_type,
            model=model_key(file_name, size_bytes),
            quantization=kind.name if kind is not None else "",
        )

    def judge_header(
        self, header: GgufHeader, size_bytes: int, context_length: int = 0, file_name: str = ""
    ) -> Verdict:
        """The same from a header, whole or in part. Raises UserError CORRUPT for one without layers."""
        from app.core.estimated_shape import described_shape
        from app.core.fit import usual_context

        length = context_length or usual_context(trained_context(header))
        return self.judge(described_shape(header, size_bytes), length, file_name, size_bytes)

    def judge_row(self, figures: ListedFigures, context_length: int = 0, file_name: str = "") -> Verdict:
        """An estimate for a row of a list, of whose file no header was read."""
        from app.core.estimated_shape import listed_shape

        return self.judge(listed_shape(figures), context_length, file_name, figures.size_bytes)

    def _look(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            pid = self._engine.pid
            self._tasks.run(
                lambda: _Seen(host_memory(), pid, None if pid is None else private_bytes(pid)), self._on_seen
            )

    def _on_seen(self, seen: _Seen) -> None:
        before = self.machine().all_free_bytes
        self._is_looking = False
        self._seen, self._seen_s, self._memory = seen, time.monotonic(), None
        now = self.machine()
        if abs(now.all_free_bytes - before) > now.all_bytes // _MUCH_SHARE:
            self.changed.emit()

    def _machine(self) -> MachineMemory:
        from app.core.fit import MachineMemory
        from app.core.gpu_choice import chosen_gpus

        host = self._seen.host
        devices = self._choice.devices
        wanted = self._choice.device_for("")
        plan = self._models.info.plan if self._models.info is not None else {}
        held = {str(each.get("name")): int(each.get("used_bytes", 0)) for each in plan.get("devices", ())}
        gpus = tuple(_gpu(device, host, held.get(device.name, 0)) for device in chosen_gpus(devices, wanted))
        free = min(host.free_bytes + self._held_by_engine(plan), host.total_bytes)
        flash_attention = any(device.flash_attention for device in devices)
        return MachineMemory(free, host.total_bytes, gpus, cpu_flash_attention=flash_attention)

    def _held_by_engine(self, plan: dict[str, Any]) -> int:
        """Main memory that comes back when another model is loaded."""
        pid = self._engine.pid
        if not plan or pid is None:
            return 0
        if self._seen.engine_pid == pid and self._seen.engine_bytes is not None:
            return self._seen.engine_bytes
        # Weights are pages of a file there, which the system drops by itself.
        shares = (each for each in plan.get("devices", ()) if each.get("name") == HOST)
        return sum(max(0, int(each.get("used_bytes", 0)) - int(each.get("weights_bytes", 0))) for each in shares)

    def _known_speed(self) -> SpeedModel:
        from app.core.speed import COPY_EFFICIENCY, SELF_TEST_BYTES, SpeedModel

        measured = {name: found.generation * SELF_TEST_BYTES for name, found in self._choice.speeds.items()}
        if copied := self._history.copy_bandwidth or self._assumed_bandwidth:
            measured.setdefault(HOST, copied * COPY_EFFICIENCY)
        return SpeedModel(measured, self._history.runs)

    def _on_read(self, found: SpeedHistory) -> None:
        self._is_read = True
        learnt, self._kept = self._history, found
        self._history = learnt.joined_to(found) if learnt != SpeedHistory() else found
        self._keep()
        self.changed.emit()

    def _on_measured(self, bandwidth: float) -> None:
        if not bandwidth and not self._history.copy_bandwidth:
            log.warning("how fast memory is read could not be measured: a slow computer is assumed")
            self._assumed_bandwidth = ASSUMED_BYTES_PER_S
            self.changed.emit()
        if bandwidth > self._history.copy_bandwidth:
            self._history = replace(self._history, copy_bandwidth=bandwidth)
            self._keep()
            self.changed.emit()

    def _on_setting_changed(self, key: str) -> None:
        if key == CACHE_TYPE:
            self.changed.emit()

    def _on_devices_changed(self) -> None:
        self._memory = None
        self.changed.emit()

    def _on_unloaded(self) -> None:
        self._memory = None
        self._running = None
        self._look()

    def _on_loaded(self, info: ModelInfo) -> None:
        """Look at the model's first bytes, to know what is to be expected of it."""
        self._memory = None
        self._running = None
        self._look()

        def on_done(running: _Running | None) -> None:
            if self._models.info is info:
                self._running = running

        self._tasks.run(lambda: _look_at(info), on_done)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Finished) and self._running is not None:
            self._learn(event.usage, self._running)

    def _learn(self, usage: Usage, running: _Running) -> None:
        """An answer shows how fast the machine really is with this model, unless many of its words were guessed."""
        from app.core.speed import model_key, token_bytes

        seen = usage.tokens_per_second
        is_guessed = usage.accepted_tokens * _GUESSED_SHARE > usage.completion_tokens
        if seen is None or usage.completion_tokens < _LEAST_TOKENS or is_guessed:
            return
        kind = quantization_of(running.file_name)
        run = PastRun(
            model_key(running.file_name, running.size_bytes),
            kind.name if kind is not None else "",
            token_bytes(running.shape, running.plan),
            round(seen, 3),
        )
        self._history = self._history.with_run(run)
        self.prepare()
        self._keep()
        self._doubt_self_tests(run)

    def _doubt_self_tests(self, run: PastRun) -> None:
        """Have devices tested again that an answer has shown to be faster: they were busy. Caches hold small models."""
        are_tested = run.read_bytes.keys() <= self._choice.speeds.keys()
        is_large = sum(run.read_bytes.values()) > _BEYOND_CACHES_BYTES
        if are_tested and is_large and self._known_speed().factor_of(run) > _DOUBT_FACTOR:
            for device in run.read_bytes:
                self._choice.doubt(device)

    def _keep(self) -> None:
        """Write the history, one write at a time; before the file was read there is nothing to replace it by."""
        if not self._is_read or self._kept is self._history or self._is_writing:
            return
        self._is_writing = True
        self._kept = history = self._history
        self._tasks.run(lambda: write_history(self._file, history), self._on_written)

    def _on_written(self, _nothing: None) -> None:
        self._is_writing = False
        self._keep()


def trained_context(header: GgufHeader) -> int:
    """The context that a model was trained for, in tokens; 0 when its header does not say."""
    return header.integer(f"{header.architecture}.context_length") or 0


def _gpu(device: Device, host: HostMemory, held_bytes: int) -> GpuMemory:
    """A device that tells nothing has the computer's memory."""
    from app.core.fit import GpuMemory
    from app.core.gpu_choice import shares_memory

    is_shared = shares_memory(device)
    free = device.free_bytes + held_bytes if device.total_bytes else host.free_bytes
    total = device.total_bytes or host.total_bytes
    return GpuMemory(device.name, device.description.strip() or device.name, min(free, total), total, is_shared)


def _look_at(info: ModelInfo) -> _Running | None:
    """A model by the first bytes of its file, as a verdict before the download had it; None if that fails."""
    from app.core.estimated_shape import described_shape
    from app.core.speed import loaded_plan

    path = Path(info.path)
    plan = loaded_plan(info.plan)
    try:
        with path.open("rb") as file:
            prefix = file.read(PREFIX_BYTES)
        shape = described_shape(read_prefix(prefix, info.size_bytes), info.size_bytes)
    except (OSError, UserError):
        return None
    if plan is None or plan.layers != shape.layers:
        return None
    return _Running(path.name, info.size_bytes, shape, plan)
