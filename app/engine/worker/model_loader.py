"""From a request to a model in memory: look at the file, plan, load, and take a smaller plan where llama.cpp cannot."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.core.architectures import ONE_CONVERSATION_ARCHITECTURES
from app.core.errors import ErrorKind, NoticeKind, UserError
from app.core.events import HOST, Loading, Notice
from app.core.memory import CACHE_TYPES, heads_bytes
from app.core.plan import MAX_SEQUENCES, DeviceShare, EnginePlan, Machine, Wishes
from app.core.planner import DEFAULT_CONTEXT_LENGTH, make_plan, repeated_plan, resized_plan, smaller_plan
from app.engine.protocol import Load
from app.engine.worker import binding
from app.engine.worker.backend import Emit, RequestControl
from app.engine.worker.buffer_report import private_bytes
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.inspection import ModelFacts, inspect_model_file
from app.engine.worker.loaded_model import ContextSettings, LoadCancelledError, LoadedModel
from app.engine.worker.memory_budget import survey
from app.engine.worker.nextn_functions import has_heads
from app.engine.worker.plan_history import PlanHistory, case_of
from app.engine.worker.rpc_servers import RpcServers
from app.engine.worker.threads import choose_threads

log = logging.getLogger(__name__)

_PROGRESS_INTERVAL_S = 1 / 30
_MAX_SMALLER_PLANS = 3
# What llama.cpp and its backends say when memory was the trouble.
_MEMORY_WORDS = re.compile(r"alloc|memory|buffer|reserve|VK_ERROR|cudaMalloc|no context", re.IGNORECASE)


def load_model(
    request: Load,
    emit: Emit,
    control: RequestControl,
    engine_log: EngineLog,
    servers: RpcServers,
    drivers: Mapping[str, str],
    make_room: Callable[[], None],
    former: LoadedModel | None = None,
    former_draft: LoadedModel | None = None,
) -> tuple[LoadedModel, ModelFacts]:
    """Load a model as the request and the memory of this computer allow.

    `make_room` gives back the context of the model that is loaded now; `former` is that model, whose weights are given
    back as well (it is closed) when nothing less lets the new one in whole. `former_draft` goes with its context.
    `drivers` of GPUs, as far as they are known: what failed with one may work with the next.

    Raises LoadCancelledError, or UserError saying why there is no model.
    """
    if request.cache_type not in CACHE_TYPES:
        raise UserError(ErrorKind.BAD_REQUEST, reason=f"cache type {request.cache_type!r}")
    facts = inspect_model_file(Path(request.path))
    loader = _Loader(request, facts, emit, control, engine_log, servers, drivers)
    try:
        plan = loader.plan(make_room, former, former_draft)
        model = loader.load(plan)
    except UserError as error:
        raise UserError(error.kind, **{"path": str(facts.path), **error.details}) from None
    return model, facts


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A plan that is tried, the best one by what is free, and with what both were made."""

    plan: EnginePlan
    best: EnginePlan
    machine: Machine


class _Loader:
    """One load, from plan to record."""

    def __init__(
        self,
        request: Load,
        facts: ModelFacts,
        emit: Emit,
        control: RequestControl,
        engine_log: EngineLog,
        servers: RpcServers,
        drivers: Mapping[str, str],
    ) -> None:
        self._request = request
        self._facts = facts
        self._emit = emit
        self._control = control
        self._log = engine_log
        self._servers = servers
        self._drivers = drivers
        folder = Path(request.state_folder).parent if request.state_folder else None
        self._history = PlanHistory(folder, binding.engine_version())
        self._factors = self._history.compute_factors(facts.shape)
        trained = facts.context_length_trained
        length = max(request.context_length, 0)
        self._wishes = Wishes(
            context_length=min(length, trained) if trained > 0 else length,  # beyond it models talk nonsense
            gpu_layers=request.gpu_layers,
            cache_type=request.cache_type,
            sequences=1 if facts.architecture in ONE_CONVERSATION_ARCHITECTURES else MAX_SEQUENCES,
        )
        self._has_heads = has_heads(facts)

    def plan(
        self, make_room: Callable[[], None], former: LoadedModel | None, former_draft: LoadedModel | None
    ) -> _Attempt:
        """The best plan that can be had, beside the former model or in its place. Raises UserError."""
        machine = self._survey()
        held = _held_bytes(former)
        for device, size in _held_bytes(former_draft).items():
            held[device] = held.get(device, 0) + size
        if not any(held.values()):
            try:
                return self._planned(machine)
            except UserError:
                make_room()
                return self._planned(self._survey())
        best = self._planned(machine.with_free(held))  # if not even this works, the former model stays as it is
        for give_back in (None, make_room, former.close if former is not None else make_room):
            if give_back is not None:
                give_back()
                machine = self._survey()
            try:
                attempt = self._planned(machine)
            except UserError:
                continue
            if attempt.plan.is_as_good_as(best.plan):
                return attempt
        return self._planned(machine)

    def load(self, attempt: _Attempt) -> LoadedModel:
        """Load by this plan, or by the next smaller ones. Raises LoadCancelledError or UserError."""
        wished = self._request.context_length or min(self._facts.context_length_trained, DEFAULT_CONTEXT_LENGTH)
        first = attempt.plan
        for tries_left in range(_MAX_SMALLER_PLANS, -1, -1):
            private = private_bytes()
            try:
                model = self._try(attempt)
                break
            except UserError as error:
                smaller = self._smaller(attempt, tries_left) if self._is_about_memory(error, attempt.plan) else None
                if smaller is None:
                    tried = _MAX_SMALLER_PLANS - tries_left
                    raise UserError(error.kind, **error.details, smaller_plans=tried) from None
                log.warning("a smaller plan after %s: %s", error, smaller.plan.to_json())
                attempt = smaller
                self._log.start()
        self._settle(model, attempt, private)
        if attempt.plan is not first:
            self._history.record_reduction(self._case(attempt.machine), attempt.machine, attempt.best, attempt.plan)
            self._emit(Notice(self._request.id, NoticeKind.PLAN_REDUCED, _reduction(first, attempt.plan)))
        elif attempt.plan.context.context_length < wished:
            used, best = attempt.plan.context.context_length, attempt.best.context.context_length
            details = {"wanted": wished, "used": used, **({"failed": best} if used < best else {})}
            self._emit(Notice(self._request.id, NoticeKind.CONTEXT_REDUCED, details))
        if attempt.plan.context.cache_type != self._wishes.cache_type and self._facts.shape.has_cache:
            self._emit(Notice(self._request.id, NoticeKind.CACHE_TYPE_UNFIT, {"wanted": self._wishes.cache_type}))
        return model

    def _survey(self) -> Machine:
        devices = self._servers.devices_for(self._request.device)
        return survey(devices, self._request.device, choose_threads(self._request.threads), self._factors)

    def _planned(self, machine: Machine) -> _Attempt:
        trained = self._facts.context_length_trained
        if self._has_heads:  # they compute where the last layer does
            device = machine.gpus[-1].device if machine.gpus else HOST
            length = self._wishes.context_length or trained
            needed = heads_bytes(self._facts.shape, length, self._wishes.sequences)
            machine = machine.with_free({device: -needed})
        best = make_plan(self._facts.shape, trained, machine, self._wishes)
        return _Attempt(self._reduced(best, machine) or best, best, machine)

    def _reduced(self, best: EnginePlan, machine: Machine) -> EnginePlan | None:
        """What was loaded before in place of a plan like the best; None: that may be tried."""
        former = self._history.reduced_plan(self._case(machine), machine)
        if former is None:
            return None
        plan = repeated_plan(self._facts.shape, former, best, machine, self._wishes)
        return None if plan is None else replace(plan, is_reduced=True)

    def _case(self, machine: Machine) -> str:
        return case_of(self._facts.shape, machine, self._drivers, self._wishes)

    def _smaller(self, attempt: _Attempt, tries_left: int) -> _Attempt | None:
        if not tries_left:
            return None
        shape, machine, is_last = self._facts.shape, attempt.machine, tries_left == 1
        plan = smaller_plan(shape, attempt.plan, machine, self._wishes, is_last=is_last)
        return None if plan is None else replace(attempt, plan=replace(plan, is_reduced=True))

    def _is_about_memory(self, error: UserError, plan: EnginePlan) -> bool:
        """Whether a smaller plan may help; of GPUs' drivers nobody knows all words."""
        if error.kind is not ErrorKind.LOAD_FAILED:
            return False
        return plan.uses_gpu or _MEMORY_WORDS.search(error.string("reason")) is not None

    def _try(self, attempt: _Attempt) -> LoadedModel:
        plan = attempt.plan
        log.info("plan: %s", plan.to_json())
        gpus = tuple(gpu.device for gpu in attempt.machine.gpus)
        reporter = ProgressReporter(self._request.id, self._emit, self._control)
        path, placement = self._facts.path, plan.placement
        model = LoadedModel(path, reporter, self._log, placement, gpus, with_heads=self._has_heads)
        try:
            if self._control.is_stopped:
                raise LoadCancelledError
            model.open_context(ContextSettings.of(plan))
        except BaseException:
            model.close()
            raise
        return model

    def _settle(self, model: LoadedModel, attempt: _Attempt, private_before: int | None) -> None:
        """Note what the plan took, and how the context may change later."""
        plan, shape = attempt.plan, self._facts.shape
        used = self._log.buffers.used_shares(plan.shares)
        # A GPU that shares the computer's memory may take it in the name of this process.
        if not (plan.uses_gpu and any(gpu.is_shared for gpu in attempt.machine.gpus)):
            used = (_with_process(used[0], self._log.buffers.copied_weights_bytes, private_before), *used[1:])
        self._history.record(shape, plan, used, self._factors)
        model.plan, model.used = plan, used

        def replan(context_length: int, copies_bytes: int) -> EnginePlan:
            present, machine = model.plan or plan, self._survey()
            if copies_bytes > machine.free_bytes:  # they are made before the present context is given back
                machine = machine.with_free({HOST: -machine.free_bytes})
            else:
                machine = machine.with_free(_held_bytes(model)).with_free({HOST: -copies_bytes})
            resized = resized_plan(shape, present, machine, context_length)
            return replace(resized, is_reduced=present.is_reduced)

        model.replan = replan


class ProgressReporter:
    """Called by llama.cpp while weights are read: emits Loading now and then, and says whether to go on."""

    def __init__(self, request_id: int, emit: Emit, control: RequestControl) -> None:
        self._request_id = request_id
        self._emit = emit
        self._control = control
        self._next_at = 0.0

    def __call__(self, fraction: float) -> bool:
        now = time.perf_counter()
        if now >= self._next_at or fraction >= 1.0:
            self._emit(Loading(self._request_id, fraction))
            self._next_at = now + _PROGRESS_INTERVAL_S
        return not self._control.is_stopped


def _held_bytes(former: LoadedModel | None) -> dict[str, int]:
    """What closing a model would free, by device: on the host not the pages of its file, which are as good as free."""
    if former is None or former.plan is None or former.handle is None:
        return {}
    held = {share.device: share.total_bytes for share in former.plan.shares}
    host = former.plan.shares[0]
    held[HOST] = former.copied_weights_bytes + host.context_bytes + host.surrounding_bytes
    return held


def _with_process(host: DeviceShare, copied_weights_bytes: int, private_before: int | None) -> DeviceShare:
    """The host's share with what the process took beside the buffers; compute buffers are not touched yet."""
    private_now = private_bytes()
    if private_before is None or private_now is None:
        return host
    surrounding = private_now - private_before - copied_weights_bytes - host.cache_bytes
    return replace(host, surrounding_bytes=surrounding) if surrounding > 0 else host


def _reduction(wanted: EnginePlan, used: EnginePlan) -> dict[str, Any]:
    """The figures of NoticeKind.PLAN_REDUCED."""
    return {
        "wanted_context": wanted.context.context_length,
        "used_context": used.context.context_length,
        "wanted_layers": wanted.placement.gpu_layers,
        "used_layers": used.placement.gpu_layers,
    }
