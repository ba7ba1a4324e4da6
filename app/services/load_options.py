"""How the settings want a model file to be loaded."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from app.core.adapter import Adapter
from app.engine.protocol import Load
from app.services.adapter_choices import AdapterChoices
from app.services.device_choice import DeviceChoice
from app.services.file_choices import FileChoices
from app.services.settings import SettingsService

LOAD_SETTINGS = frozenset({"engine.rpc_servers", "hub.offline"}) | frozenset(
    f"model.{name}"
    for name in (
        "context_length",
        "threads",
        "gpu_layers",
        "cache_type",
        "device",
        "file_devices",
        "file_drafts",
        "file_adapters",
    )
)
"""The settings that `LoadOptions` is made from."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What of a Load makes another load necessary when it changes; the fields are its."""

    path: str
    context_length: int
    threads: int
    device: str
    gpu_layers: int
    cache_type: str
    draft_model: str
    template: str
    adapters: tuple[Adapter, ...]

    @classmethod
    def of(cls, request: Load) -> LoadOptions:
        """Those of a request."""
        return cls(**{field.name: getattr(request, field.name) for field in fields(cls)})

    @classmethod
    def wanted(cls, path: str, settings: SettingsService, choice: DeviceChoice, template: str) -> LoadOptions:
        """Those for a model file by the settings, with the template that the person put in place of its own."""
        return cls(
            path=path,
            context_length=settings.integer("model.context_length"),
            threads=settings.integer("model.threads"),
            device=choice.device_for(path),
            gpu_layers=settings.integer("model.gpu_layers"),
            cache_type=settings.string("model.cache_type"),
            draft_model=draft_choices(settings).of(path),
            template=template,
            adapters=AdapterChoices(settings).of(path),
        )

    def followed(self, path: str, moved: str) -> LoadOptions:
        """The same after a model file went from one place to another."""
        draft = moved if self.draft_model == path else self.draft_model
        return replace(self, path=moved if self.path == path else self.path, draft_model=draft)

    def to_fields(self) -> dict[str, Any]:
        """The fields for a Load."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def draft_choices(settings: SettingsService) -> FileChoices:
    """Which draft model guesses for which model file."""
    return FileChoices(settings, "model.file_drafts")
