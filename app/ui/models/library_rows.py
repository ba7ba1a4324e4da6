"""The rows of the models on this computer. Their words are made when a row is painted: most are never seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from PySide6.QtCore import QCoreApplication, QLocale

from app.core.library import LibraryModel
from app.services.explain_fit import FitLevel
from app.services.explain_template import state_words
from app.services.wording import day_words, file_size, number
from app.ui.model_rows import builtin_model_name, describe_parameters
from app.ui.models.library_details import BUILTIN, owner_words
from app.ui.models.row_list import ListRow


@dataclass(frozen=True, slots=True)
class LibraryRow:
    """A model of the list; two are equal when they look the same."""

    model: LibraryModel
    is_current: bool  # it answers now
    has_twin: bool = False  # another one calls itself the same

    @property
    def key(self) -> str:
        return self.model.path

    @property
    def title(self) -> str:
        return self.model.name

    @property
    def text(self) -> str:
        """What it is, and whose."""
        model = self.model
        parts = [PurePath(model.path).name] if self.has_twin else []
        parts += [describe_parameters(model.parameters)] if model.parameters else []
        parts += [text for text in (model.quantization, model.architecture) if text]
        if model.is_read_only:
            parts.append(owner_words(model.owner))
        if words := state_words(model):
            parts.append(words)
        if self._copies:
            parts.append(self._copies)
        return " · ".join(parts)

    @property
    def _copies(self) -> str:
        """How many files have this content, where it is more than this one."""
        count = len(self.model.same_as) + 1
        words = QCoreApplication.translate("LibraryView", "{count} copies here")
        return words.format(count=number(count)) if count > 1 else ""

    @property
    def note(self) -> str:
        """Its size."""
        return file_size(self.model.size_bytes)

    @property
    def state(self) -> str:
        """Whether it is there and in use, or when it was last."""
        if self.model.is_missing:
            return QCoreApplication.translate("LibraryView", "File not found")
        if self.is_current:
            return QCoreApplication.translate("LibraryView", "In use")
        used_at = self.model.last_used_at
        return "" if used_at is None else day_words(used_at, QLocale.FormatType.ShortFormat)

    @property
    def level(self) -> FitLevel:
        """The sign before `state`."""
        return FitLevel.POOR if self.model.is_missing else FitLevel.UNKNOWN

    @property
    def searched(self) -> str:
        """What a search looks at, in lower case."""
        return f"{self.model.name} {self.model.path} {self.model.architecture} {self._copies}".lower()


def builtin_row(*, is_current: bool) -> ListRow:
    """The row of the model that came with Hearth."""
    state = QCoreApplication.translate("LibraryView", "In use") if is_current else ""
    words = QCoreApplication.translate("LibraryView", "Comes with Hearth")
    return ListRow(BUILTIN, builtin_model_name(), words, state=state)
