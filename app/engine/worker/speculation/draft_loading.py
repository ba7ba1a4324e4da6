"""From the path of a draft model to one that guesses: it gets what memory the model itself leaves, or is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from app.core.errors import ErrorKind, UserError
from app.core.events import HOST
from app.core.plan import Machine, Wishes
from app.core.planner import make_plan
from app.engine.protocol import Load
from app.engine.worker.backend import Emit, RequestControl
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.inspection import ModelFacts, inspect_model_file
from app.engine.worker.loaded_model import ContextSettings, LoadCancelledError, LoadedModel
from app.engine.worker.memory_budget import survey
from app.engine.worker.model_loader import ProgressReporter
from app.engine.worker.rpc_servers import RpcServers
from app.engine.worker.speculation.draft_model import DRAFT_BATCH_TOKENS, DraftModel, UnfitDraftError
from app.engine.worker.threads import choose_threads

_CONTEXT_TOKENS = 2048
"""Of a longer text a draft model has the beginning and the end, see `DraftPlace`."""


class DraftRefusedError(Exception):
    """A draft model is not used; `details` are those of NoticeKind.DRAFT_UNUSED."""

    def __init__(self, reason: str, **details: Any) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = {"reason": reason, **details}


def load_draft(
    request: Load,
    target: LoadedModel,
    emit: Emit,
    control: RequestControl,
    engine_log: EngineLog,
    servers: RpcServers,
) -> DraftModel:
    """Load the draft model of a request beside the model that it is to guess for.

    Raises DraftRefusedError, or LoadCancelledError.
    """
    if target.is_recurrent:
        raise DraftRefusedError("model")
    engine_log.start()
    try:
        facts = inspect_model_file(Path(request.draft_model))
        machine = _machine_beside(target, request, servers)
        return _load(request, facts, target, machine, emit, control, engine_log)
    except UnfitDraftError as error:
        raise DraftRefusedError("vocabulary", detail=str(error)) from None
    except UserError as error:
        if error.kind is ErrorKind.NOT_ENOUGH_MEMORY:
            figures = {name: error.details.get(name, 0) for name in ("needed_bytes", "free_bytes")}
            raise DraftRefusedError("memory", **figures) from None
        raise DraftRefusedError("file", error=error.to_json()) from None


def _load(
    request: Load,
    facts: ModelFacts,
    target: LoadedModel,
    machine: Machine,
    emit: Emit,
    control: RequestControl,
    engine_log: EngineLog,
) -> DraftModel:
    if any(facts.shape.recurrent):
        raise DraftRefusedError("recurrent")
    trained = facts.context_length_trained
    wishes = Wishes(
        context_length=min(_CONTEXT_TOKENS, trained) if trained > 0 else _CONTEXT_TOKENS,
        gpu_layers=-1 if request.gpu_layers else 0,  # a number of layers is meant for the model itself
        sequences=target.sequences,
    )
    plan = make_plan(facts.shape, trained, machine, wishes)
    reporter = ProgressReporter(request.id, emit, control)
    gpus = tuple(gpu.device for gpu in machine.gpus)
    model = LoadedModel(facts.path, reporter, engine_log, plan.placement, gpus)
    try:
        if control.is_stopped:
            raise LoadCancelledError
        context = replace(plan.context, batch_tokens=DRAFT_BATCH_TOKENS, output_tokens=plan.context.sequences)
        model.open_context(ContextSettings(context, plan.threads))
        model.used = engine_log.buffers.used_shares(plan.shares)
        model.plan = replace(plan, context=context, shares=model.used)
        return DraftModel(model, target.vocabulary)
    except BaseException:
        model.close()
        raise


def _machine_beside(target: LoadedModel, request: Load, servers: RpcServers) -> Machine:
    """What there is for a draft model: not what the model itself is going to take beyond what it has taken."""
    machine = survey(servers.devices_for(request.device), request.device, choose_threads(request.threads), {})
    if target.plan is None:
        return machine
    host = target.plan.shares[0]
    mapped_bytes = max(host.weights_bytes - target.copied_weights_bytes, 0)  # counts as free until it is read
    return machine.with_free({HOST: -min(mapped_bytes + host.compute_bytes, machine.free_bytes)})
