"""The backend that computes: llama.cpp through its C interface. Lives on the worker thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from app.core.errors import ErrorKind, NoticeKind, UserError
from app.core.events import (
    Adapted,
    ContextGrown,
    Counted,
    DevicesListed,
    Event,
    Forgotten,
    LoadCancelled,
    Loaded,
    ModelBesideClosed,
    ModelInfo,
    ModelLost,
    Notice,
    Unloaded,
)
from app.core.gpu_choice import OFFLOAD_KINDS, chosen_gpus, without_twins
from app.core.memory import heads_bytes
from app.core.remote import read_servers, server_of
from app.engine.attempts import AttemptJournal, AttemptKind
from app.engine.protocol import Adapt, Count, Devices, Embed, Forget, Generate, Load, Rank, TestDevice, Unload
from app.engine.worker import binding
from app.engine.worker.backend import Emit, RequestControl
from app.engine.worker.backend_start import start_backends
from app.engine.worker.channel import ChannelClosedError
from app.engine.worker.device_attempts import DeviceAttempts, server_problem
from app.engine.worker.device_list import StartReport, list_devices, missing_devices
from app.engine.worker.encoders import Encoders
from app.engine.worker.engine_log import EngineLog
from app.engine.worker.loaded_model import LoadCancelledError
from app.engine.worker.loaded_session import LoadedSession, file_mark
from app.engine.worker.memory_budget import has_room_to_spare
from app.engine.worker.model_loader import load_model
from app.engine.worker.sampler import METADATA_KEYS, suggested_sampling
from app.engine.worker.self_test import measure_device, warm_up
from app.engine.worker.session import Session
from app.engine.worker.speculation.draft_loading import DraftRefusedError, load_draft
from app.engine.worker.speculation.draft_model import DraftModel
from app.engine.worker.speculation.nextn import PredictionHeads
from app.engine.worker.state_store import StateStore

log = logging.getLogger(__name__)

_STORE_GRACE_S = 1.0  # for what is being written when the child ends


class LlamaBackend:
    """One model answers; the one before it stays loaded beside it while both fit.

    A new model is loaded beside the old one: so an unusable file, a cancelled load or a lack of memory leaves
    the old one as it was. Weights are mapped files that the system can drop from memory; if the rest does not
    fit twice, the old model's context (its KV cache) is given back first and made anew if the new model does
    not come.
    """

    def __init__(self, journal: AttemptJournal, announce: Callable[[Event], None]) -> None:
        """`announce` writes an event about the whole child; the events of requests go where these say."""
        self._announce = announce
        self._engine_log = EngineLog()
        self._encoders = Encoders(self._engine_log, self._close_parked)
        self._start_report = StartReport()
        self._attempts = DeviceAttempts(journal, self.engine_name, announce, self._held_servers, self._start_report)
        self._servers = self._attempts.servers
        on_abort = self._attempts.remote_use.tell_lost
        self._backends = start_backends(journal, self.engine_name, self._engine_log, self._start_report, on_abort)
        self._current: LoadedSession | None = None
        self._parked: LoadedSession | None = None  # the model before, ready to come back at once
        self._store: StateStore | None = None
        self._store_options = ("", 0)

    @property
    def engine_name(self) -> str:
        return f"llama.cpp ({binding.engine_version()})"

    def load(self, request: Load, emit: Emit, control: RequestControl) -> None:
        _check_folder(request.state_folder)
        self._engine_log.start()
        try:
            request = self._attempts.spared(request, emit, control)
        except LoadCancelledError:
            emit(LoadCancelled(request.id))
            return
        if self._current is not None and self._current.differs_in_draft(request):
            self._current = replace(self._current, request=request)
            self._bring_draft(self._current, emit, control)
            self._tell_loaded(self._current, request, emit, control)
            return
        if self._current is not None and self._current.differs_in_template(request):
            self._current = replace(self._current, request=request)
            self._current.session.use_template(request, emit)
            self._tell_loaded(self._current, request, emit, control)
            return
        if self._current is not None and self._current.differs_in_adapters(request):
            self._current = replace(self._current, request=request)
            _adapt(self._current.session, request, emit)
            self._tell_loaded(self._current, request, emit, control)
            return
        if self._parked is not None and self._parked.serves(request):
            self._current, self._parked = self._parked, self._current
            self._tell_loaded(self._current, request, emit, control)
            return
        if self._current is not None and self._current.differs_in_length(request):
            self._resize(self._current, request, emit)
            self._tell_loaded(self._current, request, emit, control)
            return
        gpus = chosen_gpus(self._servers.devices_for(request.device), request.device) if request.gpu_layers else ()
        try:
            with self._attempts.trying([gpu.name for gpu in gpus], request.path):
                self._current = self._load(request, emit, control)
        except LoadCancelledError:
            self._restore_former(request, emit)
            emit(LoadCancelled(request.id))
        except BaseException:
            self._restore_former(request, emit)
            raise
        else:
            self._bring_draft(self._current, emit, control)
            self._tell_loaded(self._current, request, emit, control)

    @property
    def is_answering(self) -> bool:
        return self._session is not None and self._session.is_answering

    @property
    def has_room(self) -> bool:
        return self._session is None or self._session.has_room

    def begin(self, request: Generate, emit: Emit, control: RequestControl) -> None:
        self._engine_log.start()
        session = self._loaded()
        if self._current is not None and not self.is_answering:
            self._attempts.begin_answers(self._current.remote_devices, self._current.request.path)
        try:
            session.begin(request, emit, control)
        finally:
            self._close_lost()
            if not self.is_answering:
                self._attempts.end_answers()

    def hurry(self) -> None:
        if (session := self._session) is not None:
            session.hurry()

    def step(self) -> None:
        if self._session is not None:
            self._session.step()
            self._close_lost()
            if not self.is_answering:
                self._attempts.end_answers()

    def rest(self) -> bool:
        if not has_room_to_spare():
            self._close_parked()
        return any(loaded.session.rest() for loaded in self._models())

    def count(self, request: Count, emit: Emit) -> None:
        session = self._loaded()
        emit(Counted(request.id, session.count(request.messages), session.model.context_length))

    def adapt(self, request: Adapt, emit: Emit) -> None:
        self._loaded().adapt(request.adapters)
        if self._current is not None:
            wanted = replace(self._current.request, adapters=request.adapters)
            self._current = replace(self._current, request=wanted)
        emit(Adapted(request.id))

    def embed(self, request: Embed, emit: Emit, control: RequestControl) -> None:
        self._encoders.embed(request, emit, control)

    def rank(self, request: Rank, emit: Emit, control: RequestControl) -> None:
        self._encoders.rank(request, emit, control)

    def test_device(self, request: TestDevice, emit: Emit, control: RequestControl) -> None:
        self._engine_log.start()
        try:
            devices = self._servers.devices_for(request.device, control)
            device = next((each for each in devices if each.name == request.device), None)
            if device is None:
                raise UserError(ErrorKind.BAD_REQUEST, reason=f"no device {request.device!r}")
            if device.problem:
                raise UserError(ErrorKind.SERVER_UNUSABLE, **server_problem(device))
            names = [device.name] if device.kind in OFFLOAD_KINDS else []
            with self._attempts.trying(names, request.path):
                emit(measure_device(request, device, control, self._engine_log))
        except LoadCancelledError:
            emit(LoadCancelled(request.id))

    def forget(self, request: Forget, emit: Emit) -> None:
        _check_folder(request.state_folder)
        for conversation_id in request.conversation_ids:
            for loaded in self._models():
                loaded.session.forget(conversation_id)
        if request.state_folder:
            store = self._store
            if store is not None and request.state_folder == self._store_options[0]:
                store.set_limit(request.state_limit_bytes)
                self._store_options = (request.state_folder, request.state_limit_bytes)
            else:
                store = StateStore(Path(request.state_folder), request.state_limit_bytes)
            for conversation_id in request.conversation_ids:
                store.forget(conversation_id)
        emit(Forgotten(request.id))

    def devices(self, request: Devices, emit: Emit) -> None:
        system_info = binding.llama.llama_print_system_info().decode("utf-8", "replace").strip()
        crashed = self._attempts.failed(AttemptKind.DEVICE)
        seen = list_devices(self._start_report, crashed)
        errors = self._start_report.errors_beside(seen)
        here = (*without_twins(seen), *missing_devices({**errors, **self._backends.problems}))
        servers = read_servers(",".join(request.rpc_servers))
        held = self._servers.held_devices(servers)
        others = self._servers.free(servers)

        def finish() -> None:
            devices = (*here, *held, *self._servers.look_at(others, crashed))
            with suppress(ChannelClosedError):  # the parent has gone meanwhile
                emit(DevicesListed(request.id, devices, system_info, dict(binding.versions())))

        if others:  # they may take seconds, and answers go on meanwhile
            threading.Thread(target=finish, name="rpc-servers", daemon=True).start()
        else:
            finish()

    def unload(self, request: Unload, emit: Emit) -> None:
        self._close_models()
        self._encoders.close()
        emit(Unloaded(request.id))

    def close(self) -> None:
        self._close_models()
        self._encoders.close()
        if self._store is not None:
            self._store.close(_STORE_GRACE_S)

    def _held_servers(self) -> frozenset[str]:
        """The RPC servers that models are on."""
        return frozenset(server_of(device) for loaded in self._models() for device in loaded.remote_devices)

    @property
    def _session(self) -> Session | None:
        return self._current.session if self._current is not None else None

    def _models(self) -> list[LoadedSession]:
        return [loaded for loaded in (self._current, self._parked) if loaded is not None]

    def _info_of(self, loaded: LoadedSession) -> ModelInfo:
        """What the parent is told of the model that answers, and of the one beside it."""
        beside = {} if self._parked is None else {"beside": self._parked.summary}
        return replace(loaded.info, plan={**loaded.info.plan, **beside})

    def _tell_loaded(self, loaded: LoadedSession, request: Load, emit: Emit, control: RequestControl) -> None:
        emit(Loaded(request.id, self._info_of(loaded), control.elapsed_ms()))

    def _close_parked(self) -> None:
        if self._parked is not None:
            self._parked.session.close()
            self._parked = None
            self._announce(ModelBesideClosed(0))

    def _close_models(self) -> None:
        self._close_parked()
        if self._current is not None:
            self._current.session.close()
            self._current = None

    def _resize(self, loaded: LoadedSession, request: Load, emit: Emit) -> None:
        """Change the length of the context; the weights stay, and so does what was read."""
        try:
            if (length := loaded.wanted_length(request)) != loaded.session.model.context_length:
                loaded.session.resize(length)
        except UserError as error:
            if loaded.session.model.context is None:
                self._close_models()
                emit(ModelLost(request.id))
            raise UserError(error.kind, **{"path": request.path, **error.details}) from None
        loaded.session.growth.on_grown = None
        self._current = replace(loaded, request=request)

    def _tell_grown(self) -> None:
        if self._current is not None:
            self._announce(ContextGrown(0, self._info_of(self._current)))

    def _close_lost(self) -> None:
        """Let go of a model whose context could not be had again when it was to grow."""
        if self._session is not None and self._session.model.context is None:
            self._close_models()
            self._announce(ModelLost(0))

    def _open_store(self, request: Load) -> StateStore | None:
        """The store for states of conversations that a load asks for."""
        wanted = (request.state_folder, request.state_limit_bytes)
        if wanted != self._store_options:
            if self._store is not None:
                self._store.close(_STORE_GRACE_S)
            self._store = StateStore(Path(wanted[0]), wanted[1]) if wanted[0] else None  # a limit of 0 empties it
            self._store_options = wanted
        return self._store

    def _restore_former(self, request: Load, emit: Emit) -> None:
        """Make the former model's context anew if it was given back for a model that did not come, or say it's lost."""
        if self._session is None or self._session.model.context is not None:
            return
        try:
            if self._session.model.handle is None:
                raise UserError(ErrorKind.NO_MODEL)
            self._session.model.reopen_context()
            if self._current is not None:
                self._bring_draft(self._current, _keep_silent, RequestControl())
        except UserError as error:
            log.warning("the former model is lost: %s", error)
            self._close_models()
            emit(ModelLost(request.id))

    def _loaded(self) -> Session:
        if self._session is None:
            raise UserError(ErrorKind.NO_MODEL)
        return self._session

    def _load(self, request: Load, emit: Emit, control: RequestControl) -> LoadedSession:
        """What is loaded, with the former model parked if it may stay."""
        self._close_parked()
        former = self._session
        model, facts = load_model(
            request,
            emit,
            control,
            self._engine_log,
            self._servers,
            self._attempts.drivers,
            make_room=former.close_context if former is not None else _nothing,
            former=former.model if former is not None else None,
            former_draft=former.draft.model if former is not None and isinstance(former.draft, DraftModel) else None,
        )
        try:
            metadata = {key: model.metadata(key) for key in METADATA_KEYS}
            found = {key: value for key, value in metadata.items() if value is not None}
            session = Session(model, suggested_sampling(found), self._open_store(request), emit, request)
            if request.context_length <= 0:
                session.growth.on_grown = self._tell_grown
            if control.is_stopped:
                raise LoadCancelledError
            _adapt(session, request, emit)
            if model.has_gpu:
                warm_up(model)
        except BaseException:
            model.close()
            raise
        self._parked, self._current = self._current, None
        if (parked := self._parked) is not None:
            is_of_use = parked.session.model.context is not None and not parked.remote_devices  # others may need those
            if not (is_of_use and has_room_to_spare()):
                self._close_parked()
        return LoadedSession(session, facts, request, file_mark(request.path))

    def _bring_heads(self, loaded: LoadedSession) -> None:
        """Let the model's own heads guess. llama.cpp aborts where it finds fault with them: not twice."""
        session, model = loaded.session, loaded.session.model
        path = str(model.path)
        if path in self._attempts.failed(AttemptKind.DRAFT):
            return
        try:
            with self._attempts.attempt(AttemptKind.DRAFT, path, path):
                planned_bytes = heads_bytes(loaded.facts.shape, model.context_length, model.sequences)
                session.use_draft(PredictionHeads(model, planned_bytes))
        except UserError as error:
            log.warning("the model's own heads are left out: %s", error)

    def _bring_draft(self, loaded: LoadedSession, emit: Emit, control: RequestControl) -> None:
        """Load the draft model that was asked for, or say why it is left out: the model itself is there in any case."""
        session, request, path = loaded.session, loaded.request, loaded.request.draft_model
        session.use_draft(None)
        if session.model.has_heads and not path:
            self._bring_heads(loaded)
        if not path:
            return
        try:
            if path in self._attempts.failed(AttemptKind.DRAFT):
                raise DraftRefusedError("crashed")
            with self._attempts.attempt(AttemptKind.DRAFT, path, path):
                session.use_draft(load_draft(request, session.model, emit, control, self._engine_log, self._servers))
        except DraftRefusedError as error:
            if error.reason == "memory" and self._parked is not None:
                self._close_parked()
                self._bring_draft(loaded, emit, control)
            else:
                log.warning("the draft model is left out: %s", error.details)
                emit(Notice(request.id, NoticeKind.DRAFT_UNUSED, {"path": path, **error.details}))
        except LoadCancelledError:
            log.info("the draft model is left out: its loading was stopped")


def _adapt(session: Session, request: Load, emit: Emit) -> None:
    """Use the adapters that were asked for, or none of them and say why: the model itself is there in any case."""
    try:
        session.adapt(request.adapters)
    except UserError as error:
        log.warning("no adapters are used: %s", error)
        session.adapt(())
        emit(Notice(request.id, NoticeKind.ADAPTERS_UNUSED, error.to_json()))


def _check_folder(name: str) -> None:
    """Raise UserError unless this names a folder in full, or none: a relative one could lie anywhere."""
    if name and ("\0" in name or not Path(name).is_absolute()):
        raise UserError(ErrorKind.BAD_REQUEST, reason="the folder for states has no full path")


def _nothing() -> None:
    """There is no context to give back."""


def _keep_silent(event: Event) -> None:
    """Nobody waits for this."""
