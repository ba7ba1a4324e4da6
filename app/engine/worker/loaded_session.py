"""A model in memory with the request that it was loaded for: whether it is what another request wants."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.core.events import ModelInfo
from app.core.remote import server_of
from app.engine.protocol import Load
from app.engine.worker.inspection import ModelFacts
from app.engine.worker.loaded_model import LoadedModel
from app.engine.worker.session import Session
from app.engine.worker.speculation.draft_model import DraftModel


@dataclass(frozen=True, slots=True)
class LoadedSession:
    """A model in memory, and what it was loaded by."""

    session: Session
    facts: ModelFacts
    request: Load
    file: tuple[int, int]  # size and time of change

    @property
    def _models(self) -> tuple[LoadedModel, ...]:
        """It and its draft model, if that is a model of its own."""
        draft = self.session.draft
        return (self.session.model, *((draft.model,) if isinstance(draft, DraftModel) else ()))

    @property
    def remote_devices(self) -> tuple[str, ...]:
        """The devices of other computers that this, or its draft model, is on."""
        return tuple(gpu for model in self._models if model.handle is not None for gpu in model.gpus if server_of(gpu))

    def serves(self, request: Load) -> bool:
        """Whether this is what a request wants, and the file is still the same. Where states lie is not the model's."""
        alike = replace(self.request, id=request.id, state_limit_bytes=request.state_limit_bytes)
        return alike == request and self.file == file_mark(request.path)

    def differs_in_length(self, request: Load) -> bool:
        """Whether a request gives another length for the context of this, be it the one that it has."""
        wanted, present = self.wanted_length(request), self.session.model.context_length
        return (
            0 < request.context_length != self.request.context_length
            and (wanted == request.context_length or wanted != present)  # else a load tells that it is too long
            and self.session.model.context is not None
            and self.serves(replace(request, context_length=self.request.context_length))
        )

    def differs_in_draft(self, request: Load) -> bool:
        """Whether a request wants this with another draft model."""
        return (
            request.draft_model != self.request.draft_model
            and self.session.model.context is not None
            and self.serves(replace(request, draft_model=self.request.draft_model))
        )

    def differs_in_adapters(self, request: Load) -> bool:
        """Whether a request wants this with other adapters."""
        alike = replace(request, adapters=self.request.adapters)
        return alike != request and self.session.model.context is not None and self.serves(alike)

    def differs_in_template(self, request: Load) -> bool:
        """Whether a request wants this with another chat template."""
        alike = replace(request, template=self.request.template)
        return alike != request and self.session.model.context is not None and self.serves(alike)

    def wanted_length(self, request: Load) -> int:
        """The length of a request, within what the model was trained for."""
        trained = self.facts.context_length_trained
        return min(request.context_length, trained) if trained > 0 else request.context_length

    @property
    def summary(self) -> dict[str, Any]:
        """What is told of it while another model answers: its name, and what it takes with its draft model."""
        used_bytes = sum(share.total_bytes for model in self._models for share in model.used)
        return {"path": str(self.facts.path), "name": self.facts.name, "used_bytes": used_bytes}

    @property
    def info(self) -> ModelInfo:
        """What the parent is told of it."""
        session, facts, model = self.session, self.facts, self.session.model
        draft = session.draft.details if session.draft is not None else {}
        adapters = [{"path": adapter.path, "scale": adapter.scale} for adapter in self.request.adapters]
        return ModelInfo(
            path=str(facts.path),
            name=facts.name,
            architecture=facts.architecture,
            description=model.description,
            size_bytes=facts.size_bytes,
            parameters=model.parameters,
            context_length=model.context_length,
            context_length_trained=model.context_length_trained,
            template=session.chat_format.name,
            recurrent=model.is_recurrent,
            sampling=session.suggested,
            context_length_limit=session.growth.limit,
            plan={**model.plan_details, **draft, **({"adapters": adapters} if model.adapters else {})},
        )


def file_mark(path: str) -> tuple[int, int]:
    """What changes when a file is replaced; (0, 0) for one that is gone."""
    try:
        found = Path(path).stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
