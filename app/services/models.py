"""Which model answers: loading it, keeping it loaded, and the list of files opened before."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import ErrorKind, UserError
from app.core.events import Event, Failed, LoadCancelled, Loaded, Loading, ModelInfo, Notice
from app.core.messages import ConversationId, utc_now
from app.engine.client import EngineClient
from app.engine.protocol import Forget, Load
from app.services.explain import explain_notice
from app.services.settings import SettingsService
from app.services.store import Stores, StoreService

if TYPE_CHECKING:
    from app.storage.models import ModelFile

log = logging.getLogger(__name__)
RELOAD_DELAY_MS = 800
_GIB = 1024**3


class ModelService(QObject):
    """One model is current. It is loaded when asked for, and again after the engine died. Main thread only."""

    load_started = Signal(str)  # path
    load_progressed = Signal(float)  # 0 to 1
    loaded = Signal(object)  # ModelInfo
    load_failed = Signal(object)  # UserError; the model before goes on if there was one
    load_cancelled = Signal()
    unloaded = Signal()  # the engine died
    settled = Signal()  # no load is under way any more, whatever came of it
    files_changed = Signal(object)  # list[ModelFile]
    noticed = Signal(str)

    def __init__(
        self,
        engine: EngineClient,
        store: StoreService,
        settings: SettingsService,
        builtin: Path,
        states: Path,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._engine = engine
        self._store = store
        self._settings = settings
        self._builtin = str(builtin)
        self._states = str(states)
        self._info: ModelInfo | None = None
        self._path = self._builtin
        self._failed_path: str | None = None  # what Try again tries
        self._given_up: set[str] = set()  # failed or cancelled since the person chose: falling back must end
        self._pending: Load | None = None
        self._superseded: dict[int, Load] = {}  # told to stop, perhaps too late
        self._is_cancelled = False
        self._loaded_as: tuple[str, int, int] | None = None
        self._files: list[ModelFile] = []
        self._reload_timer = QTimer(self)
        self._reload_timer.setSingleShot(True)
        self._reload_timer.setInterval(RELOAD_DELAY_MS)
        self._reload_timer.timeout.connect(self.ensure_loaded)
        engine.event_received.connect(self._on_event)
        engine.died.connect(self._on_died)
        settings.changed.connect(self._on_setting_changed)
        store.opened.connect(self.refresh_files)

    @property
    def info(self) -> ModelInfo | None:
        """The loaded model; None while nothing is loaded."""
        return self._info

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
    def files(self) -> list[ModelFile]:
        """The files opened before, newest used first."""
        return self._files

    def start(self, path: str | None) -> None:
        """Load the first model: the one given, else the last one used, else the built-in one.

        The last path is forgotten before it is tried and remembered once it is loaded, so that a file that takes the
        whole machine down is not tried again at the next start.
        """
        first = path or self._settings.string("model.last_path") or self._builtin
        self._settings.set_value("model.last_path", "")
        self._settings.save()
        self.load(first)

    def load(self, path: str | None) -> None:
        """Load a file in place of the current model; None is the built-in one."""
        self._given_up.clear()
        self._failed_path = None
        self._send(path or self._builtin)

    def cancel_load(self) -> None:
        """Cancel the load that is under way, if any."""
        if self._pending is not None:
            self._is_cancelled = True
            self._engine.stop(self._pending.id)

    def ensure_loaded(self) -> None:
        """Load the current model if it is not loaded as the settings say."""
        if self._pending is None and self._loaded_as != self._wanted():
            self.load(self._path)

    def use_context_length(self, tokens: int) -> None:
        """Set the context length and load again, also a file that failed for lack of memory."""
        self._settings.set_value("model.context_length", tokens)
        self._reload_timer.stop()
        self.load(self._failed_path or self._path)

    def retry(self) -> None:
        """Try the file that failed, or the current one, once more."""
        self.load(self._failed_path or self._path)

    def forget(self, path: str) -> None:
        """Take a file from the list; the file itself stays."""
        self._store.run(lambda stores: stores.models.forget(path), lambda _: self.refresh_files())

    def forget_conversations(self, conversation_ids: Sequence[ConversationId]) -> None:
        """Have the engine drop what it kept of conversations that were deleted, on disk as well."""
        self._engine.send(Forget(self._engine.next_id(), tuple(conversation_ids), self._states))

    def refresh_files(self) -> None:
        """Read the list of files again."""
        self._store.run(lambda stores: stores.models.list(), self._on_files)

    def _send(self, path: str) -> None:
        if self._pending is not None:
            self._superseded[self._pending.id] = self._pending
        self.cancel_load()
        request = Load(
            self._engine.next_id(),
            path,
            self._settings.integer("model.context_length"),
            self._settings.integer("model.threads"),
            state_folder=self._states,
            state_limit_bytes=self._settings.integer("model.state_limit_gb") * _GIB,
        )
        self._pending = request
        self._is_cancelled = False
        self.load_started.emit(path)
        self._engine.send(request)

    def _wanted(self) -> tuple[str, int, int]:
        return (self._path, self._settings.integer("model.context_length"), self._settings.integer("model.threads"))

    def _on_setting_changed(self, key: str) -> None:
        if key in ("model.context_length", "model.threads"):
            self._reload_timer.start()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Loaded) and (late := self._superseded.pop(event.request_id, None)):
            self._take_over(late, event.model)
        if self._pending is None or getattr(event, "request_id", None) != self._pending.id:
            return
        match event:
            case Loading(fraction=fraction):
                self.load_progressed.emit(fraction)
            case Notice(kind=kind, details=details):
                self.noticed.emit(explain_notice(kind, details))
            case Loaded(model=model):
                self._on_loaded(self._pending, model)
            case LoadCancelled():
                self._given_up.add(self._pending.path)
                self._pending = None
                self.load_cancelled.emit()
                self._fall_back()
            case Failed(error=error):
                self._on_load_failed(self._pending, error)

    def _on_loaded(self, request: Load, model: ModelInfo) -> None:
        self._pending = None
        if request.path == self._failed_path:
            self._failed_path = None
        self._take_over(request, model)
        self._settings.set_value("model.last_path", "" if self.is_builtin else request.path)
        if not self.is_builtin:
            self._remember(model)
        self.loaded.emit(model)
        self.settled.emit()

    def _take_over(self, request: Load, model: ModelInfo) -> None:
        """What the engine has now; it may have finished a load before it heard that another is wanted."""
        self._path = request.path
        self._info = model
        self._loaded_as = (request.path, request.context_length, request.threads)

    def _on_load_failed(self, request: Load, error: UserError) -> None:
        log.warning("load failed: %s", error.kind.value)
        self._pending = None
        self._note_failure(request.path)
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
        pending, self._pending = self._pending, None
        self._superseded.clear()
        self._info = None
        self._loaded_as = None
        self.unloaded.emit()
        if pending is None:
            return
        if self._is_cancelled:  # it did not hear that and had to be ended
            self._given_up.add(pending.path)
            self.load_cancelled.emit()
        else:
            self._note_failure(pending.path)
            self.load_failed.emit(_while_loading(error, pending.path))
        self._fall_back()

    def _remember(self, model: ModelInfo) -> None:
        def work(stores: Stores) -> None:
            from app.storage.models import ModelFile

            stores.models.remember(
                ModelFile(
                    path=model.path,
                    name=model.name,
                    size_bytes=model.size_bytes,
                    architecture=model.architecture,
                    parameters=model.parameters,
                    last_used_at=utc_now(),
                )
            )

        self._store.run(work, lambda _: self.refresh_files())

    def _on_files(self, files: list[ModelFile]) -> None:
        self._files = files
        self.files_changed.emit(files)


def _while_loading(error: UserError, path: str) -> UserError:
    """An engine that died while it loaded a file: the file is the news, not the engine."""
    if error.kind in (ErrorKind.ENGINE_START_FAILED, ErrorKind.LOAD_STALLED):
        return error
    return UserError(ErrorKind.LOAD_FAILED, **{**error.details, "path": path})
