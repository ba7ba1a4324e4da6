"""What the window needs to know of a model file, and how it says it in a line."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Protocol

from PySide6.QtCore import QCoreApplication, QLocale

from app.services.wording import file_size


class ModelRow(Protocol):
    """A model file that was opened before, as `app.storage.models` remembers it."""

    @property
    def path(self) -> str:
        """Where the file is."""

    @property
    def name(self) -> str:
        """What the model calls itself, or the name of the file."""

    @property
    def size_bytes(self) -> int:
        """The size of the file; 0 when not known."""

    @property
    def architecture(self) -> str:
        """The architecture in its header, e.g. "llama"."""

    @property
    def parameters(self) -> int:
        """The number of parameters; 0 when not known."""

    @property
    def last_used_at(self) -> datetime | None:
        """When it last answered."""


def describe_model(model: ModelRow) -> str:
    """One line of figures, e.g. "7.2 billion parameters · 4.4 GB · llama"."""
    parts = []
    if model.parameters > 0:
        parts.append(describe_parameters(model.parameters))
    if model.size_bytes > 0:
        parts.append(file_size(model.size_bytes))
    if model.architecture:
        parts.append(model.architecture)
    return " · ".join(parts)


def describe_parameters(count: int) -> str:
    """A number of parameters in words."""
    translate = QCoreApplication.translate
    if count >= 999_500_000:  # else some of a billion would be told as 999.9 million
        return translate("ModelRows", "{0} billion parameters").format(_short(count / 1_000_000_000))
    return translate("ModelRows", "{0} million parameters").format(_short(count / 1_000_000))


def _short(figure: float) -> str:
    """With one decimal, unless that is 0."""
    tenths = math.floor(figure * 10 + 0.5)
    return QLocale().toString(tenths / 10, "f", 1 if tenths % 10 else 0)


def builtin_model_name() -> str:
    """What the model that comes with Hearth is called on screen."""
    return QCoreApplication.translate("ModelRows", "Built-in model")
