"""Which LoRA adapters change which model file, as the person decided."""

from __future__ import annotations

import json
from collections.abc import Sequence

from app.core.adapter import Adapter
from app.services.file_choices import FileChoices
from app.services.settings import SettingsService

ADAPTERS = "model.file_adapters"
"""The setting that holds them."""


class AdapterChoices:
    """The adapters of each model file, in order; most have none. Main thread only."""

    def __init__(self, settings: SettingsService) -> None:
        self._files = FileChoices(settings, ADAPTERS)

    def of(self, path: str) -> tuple[Adapter, ...]:
        """Those of this model file."""
        try:
            found = json.loads(self._files.of(path) or "[]")
            return tuple(Adapter(str(file), float(scale)) for file, scale in found)
        except (ValueError, TypeError):  # not of our making
            return ()

    def choose(self, path: str, adapters: Sequence[Adapter]) -> None:
        """Have exactly these change this model file."""
        pairs = [[adapter.path, adapter.scale] for adapter in adapters]
        self._files.choose(path, json.dumps(pairs, ensure_ascii=False) if pairs else "")

    def follow(self, path: str, moved: str) -> None:
        """A model file lies elsewhere now."""
        self._files.follow(path, moved)
