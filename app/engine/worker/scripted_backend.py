"""An engine that plays from a file: exact timings, failures and crashes on demand, for tests and benchmarks.

It is a `Backend` like llama.cpp's and runs in the same child, so that everything around it is the real thing.
`app.engine.worker.script` describes the file.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from app.core.errors import ErrorKind, NoticeKind, UserError
from app.core.events import (
    HOST,
    Adapted,
    Counted,
    Device,
    DevicesListed,
    DeviceTested,
    Embedded,
    Finished,
    FinishReason,
    Forgotten,
    LoadCancelled,
    Loaded,
    Loading,
    ModelInfo,
    ModelLost,
    Notice,
    PromptProgress,
    PromptStarted,
    Ranked,
    ReasoningDelta,
    TextDelta,
    Unloaded,
)
from app.core.messages import Role, Usage
from app.core.template_check import FILE, OWN, template_format
from app.engine.attempts import AttemptJournal, AttemptKind
from app.engine.protocol import (
    Adapt,
    ChatMessage,
    Count,
    Devices,
    Embed,
    Forget,
    Generate,
    Load,
    Rank,
    TestDevice,
    Unload,
)
from app.engine.worker.backend import Emit, RequestControl
from app.engine.worker.script import AnswerRule, Crash, LoadRule, ScriptedGpu, read_script, split_tokens

_LOAD_STEPS = 20
_SLICE_S = 0.005  # how long a stop may go unnoticed
_GIB = 1 << 30


class ScriptedBackend:
    """Answers by rule; counts words as tokens."""

    def __init__(self, path: str, journal: AttemptJournal) -> None:
        """Read the script at `path`. Raises OSError or ValueError."""
        self._script = read_script(Path(path))
        self._journal = journal
        self._model: LoadRule | None = None
        self._context_length = 0

    @property
    def engine_name(self) -> str:
        """What Ready says."""
        return "scripted"

    def load(self, request: Load, emit: Emit, control: RequestControl) -> None:
        """Load by rule: in steps, to the end, an error, a crash, or a cancellation."""
        device = self._device_for(request)
        rule = self._script.load_of(request.path, device)
        with self._attempt(device, request.path):
            is_loaded = self._play_load(request, rule, device, emit, control)
        if is_loaded:
            info = _model_info(request, rule, device)
            emit(
                Loaded(
                    request.id, replace(info, plan=info.plan | self._play_draft(request, emit)), control.elapsed_ms()
                )
            )

    def _device_for(self, request: Load) -> str:
        """What a model is loaded on: as wanted, but on no GPU that ended an engine before."""
        crashed = self._journal.failed(AttemptKind.DEVICE, self.engine_name)
        usable = [gpu.name for gpu in self._script.gpus if not gpu.problem and gpu.name not in crashed]
        wanted = request.device or next(iter(usable), HOST)
        return wanted if wanted in usable and request.gpu_layers else HOST

    def _attempt(self, device: str, path: str) -> AbstractContextManager[None]:
        if self._script.gpu(device) is None:
            return nullcontext()
        return self._journal.attempt(AttemptKind.DEVICE, device, path, self.engine_name)

    def _play_load(self, request: Load, rule: LoadRule, device: str, emit: Emit, control: RequestControl) -> bool:
        is_lost = rule.replaces and self._model is not None
        if is_lost:
            self._model = None
        for step in range(_LOAD_STEPS + 1):
            if control.is_stopped:
                if is_lost:
                    emit(ModelLost(request.id))
                emit(LoadCancelled(request.id))
                return False
            emit(Loading(request.id, step / _LOAD_STEPS))
            _wait_until(time.perf_counter() + rule.duration_ms / 1000.0 / _LOAD_STEPS, control)
        if rule.crash is not None:
            _die(rule.crash)
        if rule.error is not None:
            if is_lost:
                emit(ModelLost(request.id))
            raise rule.error
        self._model = rule
        self._context_length = request.context_length or rule.context_length
        return True

    def _play_draft(self, request: Load, emit: Emit) -> dict[str, object]:
        """What the plan says of a draft model: it is used unless a rule for its path has an error or a crash."""
        path = request.draft_model
        if not path:
            return {}
        rule = self._script.load_of(path)
        problem: dict[str, object] = {}
        if path in self._journal.failed(AttemptKind.DRAFT, self.engine_name):
            problem = {"reason": "crashed"}
        elif rule.path and rule.error is not None:
            problem = {"reason": "file", "error": rule.error.to_json()}
        elif rule.path and rule.crash is not None:
            with self._journal.attempt(AttemptKind.DRAFT, path, path, self.engine_name):
                _die(rule.crash)
        if problem:
            emit(Notice(request.id, NoticeKind.DRAFT_UNUSED, {"path": path, **problem}))
            return {}
        return {"draft": {"path": path, "name": rule.name, "used_bytes": _GIB // 10}}

    @property
    def is_answering(self) -> bool:
        """Never: an answer is played to its end at once."""
        return False

    @property
    def has_room(self) -> bool:
        """Always."""
        return True

    def hurry(self) -> None:
        """Nothing goes on."""

    def step(self) -> None:
        """Nothing goes on."""

    def rest(self) -> bool:
        """Nothing to put away."""
        return False

    def begin(self, request: Generate, emit: Emit, control: RequestControl) -> None:
        """Play the rule for the last message of the user."""
        if self._model is None:
            raise UserError(ErrorKind.NO_MODEL)
        asked = next((each.text for each in reversed(request.messages) if each.role is Role.USER), "")
        rule = self._script.answer_to(asked)
        _Performance(request, rule, self._context_length, emit, control).play()

    def count(self, request: Count, emit: Emit) -> None:
        """Words of all messages."""
        if self._model is None:
            raise UserError(ErrorKind.NO_MODEL)
        emit(Counted(request.id, _count(request.messages), self._context_length))

    def adapt(self, request: Adapt, emit: Emit) -> None:
        """Takes note of nothing."""
        emit(Adapted(request.id))

    def embed(self, request: Embed, emit: Emit, control: RequestControl) -> None:
        """A vector of one number for each text."""
        emit(Embedded(request.id, tuple((1.0,) for _ in request.texts), 0))

    def rank(self, request: Rank, emit: Emit, control: RequestControl) -> None:
        """All alike."""
        emit(Ranked(request.id, tuple(0.0 for _ in request.documents)))

    def test_device(self, request: TestDevice, emit: Emit, control: RequestControl) -> None:
        """A GPU as fast as the script says, or the end of the child; the processor is slow."""
        gpu = self._script.gpu(request.device)
        if gpu is None:
            if self._script.processor_crash is not None:
                _die(self._script.processor_crash)
            emit(DeviceTested(request.id, request.device, 100.0, 10.0))
            return
        with self._attempt(gpu.name, request.path):
            if gpu.crash is not None:
                _die(gpu.crash)
            speeds = (gpu.prompt_tokens_per_second, gpu.generation_tokens_per_second)
            emit(DeviceTested(request.id, request.device, *speeds))

    def devices(self, request: Devices, emit: Emit) -> None:
        """The graphics cards of the script and one made-up processor."""
        crashed = self._journal.failed(AttemptKind.DEVICE, self.engine_name)
        gpus = [
            Device(gpu.name, gpu.description, "gpu", 4 * _GIB, 8 * _GIB, gpu.driver, self._problem(gpu, crashed))
            for gpu in self._script.gpus
        ]
        processor = Device(HOST, "Scripted processor", "cpu", 8 * _GIB, 16 * _GIB)
        emit(DevicesListed(request.id, (*gpus, processor), "SCRIPTED = 1", {"scripted": self._script.version}))

    @staticmethod
    def _problem(gpu: ScriptedGpu, crashed: Collection[str]) -> str:
        return "crashed" if gpu.name in crashed else gpu.problem

    def forget(self, request: Forget, emit: Emit) -> None:
        """Nothing is kept."""
        emit(Forgotten(request.id))

    def unload(self, request: Unload, emit: Emit) -> None:
        """Forget the model."""
        self._model = None
        emit(Unloaded(request.id))

    def close(self) -> None:
        """Nothing to free."""


class _Performance:
    """One answer on its way."""

    def __init__(
        self, request: Generate, rule: AnswerRule, context_length: int, emit: Emit, control: RequestControl
    ) -> None:
        self._request = request
        self._rule = rule
        self._emit = emit
        self._control = control
        visible = _visible(request.messages, context_length)
        self._prompt_tokens = _count(visible)
        shown = next((each.id for each in visible if each.role is not Role.SYSTEM), None)
        self._first_visible_id = shown if len(visible) < len(request.messages) else None
        self._room_tokens = max(0, context_length - self._prompt_tokens)

    def play(self) -> None:
        """Emit everything up to Finished; raise the rule's error; or never come back."""
        rule, request_id = self._rule, self._request.id
        if rule.error is not None and not rule.text:
            raise rule.error
        self._emit(PromptStarted(request_id, self._prompt_tokens, 0, self._first_visible_id))
        self._read_prompt()
        prompt_ms = self._control.elapsed_ms()
        reason = FinishReason.STOPPED if self._control.is_stopped else rule.finish
        if rule.reasoning and not self._control.is_stopped:
            self._emit(ReasoningDelta(request_id, rule.reasoning))
        started = time.perf_counter()
        sent = 0
        for index, token in enumerate(self._tokens()):
            self._maybe_fail(index)
            if rule.tokens_per_second > 0:
                _wait_until(started + index / rule.tokens_per_second, self._control)
            if self._control.is_stopped:
                reason = FinishReason.STOPPED
                break
            if self._request.max_tokens and sent >= self._request.max_tokens:
                reason = FinishReason.LENGTH
                break
            if sent >= self._room_tokens:
                reason = FinishReason.CONTEXT_FULL
                break
            self._emit(TextDelta(request_id, token))
            sent += 1
        else:
            self._maybe_fail(sent)
            if rule.error is not None:
                raise rule.error
        generation_ms = (time.perf_counter() - started) * 1000.0
        usage = Usage(self._prompt_tokens, 0, sent, prompt_ms, generation_ms, prompt_ms)
        self._emit(Finished(request_id, reason, usage, self._prompt_tokens + sent, seed=0))

    def _tokens(self) -> list[str]:
        """What is to be sent: all of the answer, or what a continued message lacks of it."""
        tokens = self._rule.tokens
        last = self._request.messages[-1].text if self._request.messages else ""
        if self._request.continue_last and last and "".join(tokens).startswith(last):
            return split_tokens("".join(tokens)[len(last) :])
        return tokens

    def _read_prompt(self) -> None:
        steps = max(1, self._rule.prompt_steps)
        start = time.perf_counter()
        for step in range(1, steps + 1):
            _wait_until(start + self._rule.first_token_ms / 1000.0 * step / steps, self._control)
            if self._control.is_stopped:
                return
            if self._rule.prompt_steps:
                left_ms = self._rule.first_token_ms * (steps - step) / steps
                done = self._prompt_tokens * step // steps
                self._emit(PromptProgress(self._request.id, done, self._prompt_tokens, left_ms))

    def _maybe_fail(self, index: int) -> None:
        if self._rule.crash is not None and self._rule.crash.at_token == index:
            _die(self._rule.crash)
        if self._rule.hang_at_token == index:
            while True:
                time.sleep(3600)


def _visible(messages: tuple[ChatMessage, ...], context_length: int) -> tuple[ChatMessage, ...]:
    """The messages that fit: the system prompt and the newest."""
    system = tuple(each for each in messages[:1] if each.role is Role.SYSTEM)
    rest = messages[len(system) :]
    while len(rest) > 1 and _count(system + rest) >= context_length:
        rest = rest[1:]
    return system + rest


def _count(messages: tuple[ChatMessage, ...]) -> int:
    return sum(len(each.text.split()) for each in messages)


def _wait_until(moment: float, control: RequestControl) -> None:
    """Sleep to a moment of the performance counter, or until the request is stopped."""
    while not control.is_stopped and (left := moment - time.perf_counter()) > 0:
        time.sleep(min(left, _SLICE_S))


def _die(crash: Crash) -> None:
    """End the process as the script wants it."""
    if crash.signal:
        os.kill(os.getpid(), signal.Signals[crash.signal])
        time.sleep(60)  # the signal arrives on the main thread
    os._exit(crash.exit_code)


def _template_name(template: str) -> str:
    known = template_format(template)
    if known is not None:
        return known.name
    return OWN if template else FILE


def _model_info(request: Load, rule: LoadRule, device: str) -> ModelInfo:
    length = request.context_length or rule.context_length
    share = {"name": device, "layers": 4, "planned_bytes": _GIB}
    return ModelInfo(
        path=request.path,
        name=rule.name,
        architecture="scripted",
        description="scripted 0B",
        size_bytes=0,
        parameters=0,
        context_length=length,
        context_length_trained=rule.context_length,
        template=_template_name(request.template),
        plan={
            "context_length": length,
            "batch_tokens": 512,
            "flash_attention": device != HOST,
            "sequences": 1,
            "cache_type": request.cache_type,
            "threads": request.threads or 2,
            "layers": 4,
            "gpu_layers": 0 if device == HOST else 5,
            "devices": [share],
        },
    )
