"""Which model answers: loading it, and keeping it loaded."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import ErrorKind, UserError
from app.core.events import (
    CLOSING_EVENTS,
    ContextGrown,
    Event,
    Failed,
    LoadCancelled,
    Loaded,
    Loading,
    ModelBesideClosed,
    ModelInfo,
    ModelLost,
    Notice,
)
from app.core.messages import ConversationId
from app.core.remote import server_of
from app.engine.attempts import AttemptJournal, AttemptKind
from app.engine.client import EngineClient
from app.engine.protocol import Forget, Load
from app.services.device_choice import DeviceChoice
from app.services.explain_remote import servers_of
from app.services.load_failures import crash_error, was_elsewhere, while_loading
from app.services.load_notices import LoadNotices
from app.services.load_options import LOAD_SETTINGS, LoadOptions, draft_choices
from app.services.model_files import ModelFiles, likely_drafts
from app.services.settings import SettingsService
from app.services.store import StoreService
from app.services.template_choices import TemplateChoices

if TYPE_CHECKING:
    from app.core.library import LibraryModel

log = logging.getLogger(__name__)
RELOAD_DELAY_MS = 800
STATE_LIMIT = "model.state_limit_gb"
_GIB = 1024**3


class ModelService(QObject):
    """One model is current. It is loaded when asked for, and again after the engine died. Main thread only."""

    load_started = Signal(str)  # path
    load_progressed = Signal(float)  # 0 to 1
    loaded = Signal(object)  # ModelInfo
    context_grown = Signal(object)  # ModelInfo: the same model with a longer context
    plan_changed = Signal(object)  # ModelInfo: the same model, with another one no longer beside it
    load_failed = Signal(object)  # UserError; the model before goes on if there was one
    load_cancelled = Signal()
    unloaded = Signal()  # the engine died, or rests
    touched = Signal()  # somebody uses the model
    settled = Signal()  # no load is under way any more, whatever came of it
    files_changed = Signal(object)  # list[LibraryModel]
    noticed = Signal(str)
    notice_withdrawn = Signal(str)  # what was noticed is not so any more

    def __init__(
        self,
        engine: EngineClient,
        store: StoreService,
        settings: SettingsService,
        choice: DeviceChoice,
        journal: AttemptJournal,
        builtin: Path,
        states: Path,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._settings = settings
        self._choice = choice
        self._journal = journal
        self._builtin = str(builtin)
        self._states = str(states)
        self.templates = TemplateChoices(store, self)
        self._files = ModelFiles(store, self)
        self._info: ModelInfo | None = None
        self._path = self._builtin
        self._last_path = ""  # of the run before, until a load has ended: it may come back at the next start
        self._failed_path: str | None = None  # what Try again tries
        self._given_up: set[str] = set()  # failed or cancelled since the person chose: falling back must end
        self._loads: dict[int, Load] = {}  # under way, in the order of sending; all but the last were told to stop
        self._is_cancelled = False  # so was the last
        self._is_resting = False  # unloaded because nobody used it
        self._past_crash: UserError | None = None  # of the last run, not told yet
        self._loaded_as: LoadOptions | None = None
        self._notices = LoadNotices()
        self._reload_timer = QTimer(self)
        self._reload_timer.setSingleShot(True)
        self._reload_timer.setInterval(RELOAD_DELAY_MS)
        self._reload_timer.timeout.connect(self._reload)
        engine.event_received.connect(self._on_event)
        engine.died.connect(self._on_died)
        settings.changed.connect(self._on_setting_changed)
        self.templates.changed.connect(self._on_template_changed)
        self._files.changed.connect(self.files_changed)

    @property
    def info(self) -> ModelInfo | None:
        """The loaded model; None while nothing is loaded."""
        return self._info

    @property
    def servers(self) -> tuple[str, ...]:
        """The other computers that what is written goes to, or will once the model is loaded."""
        if self._info is not None:
            return servers_of(self._info)
        server = server_of(self._choice.device_for(self._path))
        return (server,) if server else ()

    @property
    def current_path(self) -> str:
        """The file that answers, or will once it is loaded."""
        return self._path

    @property
    def is_builtin(self) -> bool:
        """Whether the model that came with Hearth is current."""
        return self._path == self._builtin

    @property
    def is_loading(self) -> bool:
        """Whether a load is under way."""
        return self._pending is not None

    @property
    def is_first_load(self) -> bool:
        """Whether nothing is loaded but something will be, be it the built-in model in place of a broken file."""
        return self._info is None and self._pending is not None

    @property
    def files(self) -> list[LibraryModel]:
        """The files opened before, newest used first."""
        return self._files.files

    def start(self, path: str | None) -> None:
        """Load the first model: the one given, else the last one used, else the built-in one.

        The last path is forgotten before it is tried and remembered once it is loaded, so that a file that takes the
        whole machine down is not tried again at the next start.
        """
        crashes = [attempt for attempt in self._journal.settle() if attempt.kind is not AttemptKind.DRAFT]
        if crashes:  # of a draft model the child tells
            self._past_crash = crash_error(crashes[-1], "", self._choice.devices, self._builtin)
        self._last_path = self._settings.string("model.last_path")
        self._settings.set_value("model.last_path", "")
        self._settings.save()
        self.load(path or self._last_path or self._builtin)

    def shut_down(self) -> None:
        """Closing the window before the first model was there does not speak against the last one."""
        if self._last_path and not self._is_cancelled:
            self._settings.set_value("model.last_path", self._last_path)

    def load(self, path: str | None) -> None:
        """Load a file in place of the current model; None is the built-in one."""
        self._given_up.clear()
        self._failed_path = None
        self.touched.emit()
        self._send(path or self._builtin)

    def cancel_load(self) -> None:
        """Cancel the load that is under way, if any."""
        if self._pending is not None:
            self._is_cancelled = True
            self._engine.stop(self._pending.id)

    def ensure_loaded(self) -> None:
        """Load the current model if it is not loaded as the settings say."""
        self.touched.emit()
        if self._pending is None and self._loaded_as != self._wanted():
            self.load(self._path)

    def wake(self) -> None:
        """Somebody is there who will soon want an answer: a model that rests is loaded again."""
        self.touched.emit()
        if self._is_resting:
            self.load(self._path)

    def rest(self) -> None:
        """Give the memory of the model back until it is wanted; for when the engine has nothing to do."""
        if self._engine.is_busy or self._pending is not None:
            return
        log.info("the engine rests")
        self._engine.retire()
        self._is_resting = True
        self._forget_loaded()

    def restart(self, path: str = "") -> None:
        """Load a file, or the current one, in a fresh engine, which tries every device that is not in the journal."""
        if not self._engine.is_busy:  # answers must not be cut off
            self._engine.retire()
            self._forget_loaded()
        self.load(path or self._path)

    def retry_device(self, path: str = "") -> None:
        """Let devices that ended the engine try again, with this file or the current one."""
        self._journal.forget()
        self.restart(path)

    def reload_if_idle(self) -> None:
        """Load the model again if it should be loaded otherwise now, soon, unless somebody waits for the engine."""
        if self._info is not None and self._loaded_as != self._wanted() and not self._engine.is_busy:
            self._reload_timer.start()

    def use_context_length(self, tokens: int) -> None:
        """Set the context length and load again, also a file that failed for lack of memory."""
        self._settings.set_value("model.context_length", tokens)
        self._reload_timer.stop()
        self.load(self._failed_path or self._path)

    def retry(self) -> None:
        """Try the file that failed, or the current one, once more."""
        self.load(self._failed_path or self._path)

    @property
    def draft(self) -> str:
        """The file of the draft model that the person chose for the current model; empty: none."""
        return draft_choices(self._settings).of(self._path)

    @property
    def likely_drafts(self) -> list[LibraryModel]:
        """Files opened before that may guess for the loaded model: much smaller and of the same architecture."""
        return likely_drafts(self._info, self.files) if self._info is not None else []

    def choose_draft(self, draft: str) -> None:
        """Have a small model guess ahead for the current one, or none; one that ended the engine may try again."""
        if draft:  # attempts on drivers have no file: they are not meant
            self._journal.forget(draft)
        if draft and draft == self.draft:
            self.load(self._path)
        else:
            draft_choices(self._settings).choose(self._path, draft)

    def follow(self, path: str, moved: str) -> None:
        """A model file lies elsewhere now; a loaded one goes on with the file that the engine has open."""
        self._choice.follow(path, moved)
        draft_choices(self._settings).follow(path, moved)
        if self._loaded_as is not None:
            self._loaded_as = self._loaded_as.followed(path, moved)
        for number, request in self._loads.items():
            now = LoadOptions.of(request).followed(path, moved)
            self._loads[number] = replace(request, **now.to_fields())
        if self._path == path:
            self._path = moved
            self._info = replace(self._info, path=moved) if self._info is not None else None
        if self._failed_path == path:
            self._failed_path = moved
        if self._last_path == path:
            self._last_path = moved
        if self._settings.string("model.last_path") == path:
            self._settings.set_value("model.last_path", moved)

    def forget_conversations(self, conversation_ids: Sequence[ConversationId]) -> None:
        """Have the engine drop what it kept of conversations that were deleted, and of all beyond what the person set.

        On disk as well.
        """
        limit_bytes = self._settings.integer(STATE_LIMIT) * _GIB
        self._engine.send(Forget(self._engine.next_id(), tuple(conversation_ids), self._states, limit_bytes))

    def _send(self, path: str) -> None:
        self.cancel_load()
        request = Load(
            self._engine.next_id(),
            **self._options(path).to_fields(),
            state_folder=self._states,
            state_limit_bytes=self._settings.integer(STATE_LIMIT) * _GIB,
        )
        self._loads[request.id] = request
        self._notices.begin(is_return=self._is_resting and path == self._path)
        self._is_resting = False
        self._is_cancelled = False
        self.load_started.emit(path)
        self._engine.send(request)

    @property
    def _pending(self) -> Load | None:
        """The load that is under way and wanted."""
        return next(reversed(self._loads.values()), None)

    def _options(self, path: str) -> LoadOptions:
        return LoadOptions.wanted(path, self._settings, self._choice, self.templates.of(path))

    def _wanted(self) -> LoadOptions:
        return self._options(self._path)

    def _reload(self) -> None:
        if not self._is_resting:
            self.ensure_loaded()

    def _on_setting_changed(self, key: str) -> None:
        if key in LOAD_SETTINGS:
            self._reload_timer.start()
        elif key == STATE_LIMIT:
            self.forget_conversations(())

    def _on_template_changed(self, path: str) -> None:
        if path == self._path:
            self._reload_timer.start()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ModelLost):
            self._forget_loaded()
        elif isinstance(event, ContextGrown) and self._info is not None:
            self._info = replace(event.model, path=self._info.path)
            self.context_grown.emit(self._info)
        elif isinstance(event, ModelBesideClosed) and self._info is not None:
            plan = {name: value for name, value in self._info.plan.items() if name != "beside"}
            self._info = replace(self._info, plan=plan)
            self.plan_changed.emit(self._info)
        pending = self._pending
        request = self._loads.get(getattr(event, "request_id", 0))
        if request is None:
            return
        if isinstance(event, CLOSING_EVENTS):
            del self._loads[request.id]
            self._last_path = ""
        if request is pending:
            self._follow(request, event)
        elif isinstance(event, Loaded):  # it was done before it heard that another is wanted
            self._take_over(request, event.model)

    def _follow(self, request: Load, event: Event) -> None:
        """What the engine says of the load that is wanted."""
        match event:
            case Loading(fraction=fraction):
                self.load_progressed.emit(fraction)
            case Notice(kind=kind, details=details):
                if words := self._notices.words_for(kind, details):
                    self.noticed.emit(words)
            case Loaded(model=model):
                self._on_loaded(request, model)
            case LoadCancelled():
                self._given_up.add(request.path)
                self.load_cancelled.emit()
                self._fall_back()
            case Failed(error=error):
                self._on_load_failed(request, error)

    def _on_loaded(self, request: Load, model: ModelInfo) -> None:
        if request.path == self._failed_path:
            self._failed_path = None
        info = self._take_over(request, model)
        self._settings.set_value("model.last_path", "" if self.is_builtin else request.path)
        if not self.is_builtin:
            self._files.remember(info)
        if self._loaded_as != self._wanted():  # something was changed meanwhile
            self._reload_timer.start()
        for words in self._notices.settle():
            self.notice_withdrawn.emit(words)
        self.loaded.emit(info)
        self.settled.emit()
        if self._past_crash is not None:
            crash, self._past_crash = self._past_crash, None
            self.load_failed.emit(crash)

    def _take_over(self, request: Load, model: ModelInfo) -> ModelInfo:
        """What the engine has now; its file may have moved while it was loaded."""
        self._path = request.path
        self._info = replace(model, path=request.path)
        self._loaded_as = LoadOptions.of(request)
        return self._info

    def _on_load_failed(self, request: Load, error: UserError) -> None:
        log.warning("load failed: %s", error.kind.value)
        self._note_failure(request.path)
        if error.kind is ErrorKind.NOT_ENOUGH_MEMORY:
            error = UserError(error.kind, **{**error.details, "total_bytes": self._choice.total_bytes})
        if self._info is not None and request.path == self._path and error.kind is ErrorKind.NOT_ENOUGH_MEMORY:
            self._loaded_as = self._wanted()  # the model as it was goes on; the same request would fail again
        self.load_failed.emit(error)
        self._fall_back()

    def _note_failure(self, path: str) -> None:
        self._failed_path = path
        self._given_up.add(path)

    def _fall_back(self) -> None:
        """With nothing loaded at all, the model that was current comes back, or else the built-in one."""
        if self._info is None and self._pending is None:
            untried = (path for path in (self._path, self._builtin) if path not in self._given_up)
            if (path := next(untried, None)) is not None:
                self._send(path)
        if self._pending is None:
            self.settled.emit()

    def _on_died(self, error: UserError) -> None:
        pending, waits = self._pending, len(self._loads) > 1
        self._loads.clear()
        self._last_path = ""
        is_cut_off = pending is not None and (self._is_cancelled or waits)  # what did not hear that, ended on purpose
        if is_cut_off or error.kind is ErrorKind.ENGINE_UNRESPONSIVE:  # by who waited for another computer, perhaps
            self._journal.strike()
        crashes = self._journal.settle()
        self._forget_loaded()
        if pending is None:
            return
        if self._is_cancelled:
            self._given_up.add(pending.path)
            self.load_cancelled.emit()
        elif waits or (crashes and crashes[-1].kind is AttemptKind.DRAFT) or was_elsewhere(error, pending.path):
            self._send(pending.path)  # not begun yet, or to come back without the draft model, which the child tells
        elif crashes:
            # What is no fault of the file does not speak against it: the built-in one must run, now without the device.
            if crashes[-1].kind is AttemptKind.DEVICE and pending.path != self._builtin:
                self._note_failure(pending.path)
            else:
                self._path = pending.path
            reason = error.string("reason")
            self.load_failed.emit(crash_error(crashes[-1], reason, self._choice.devices, self._builtin))
        else:
            self._journal.forget(pending.path)  # it fails without a GPU as well: the GPU was not to blame
            self._note_failure(pending.path)
            self.load_failed.emit(while_loading(error, pending.path))
        self._fall_back()

    def _forget_loaded(self) -> None:
        self._info = None
        self._loaded_as = None
        self.unloaded.emit()
