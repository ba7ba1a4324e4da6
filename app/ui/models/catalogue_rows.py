"""The rows of the catalogue as a list shows them, worked out away from the main thread: they are hundreds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.catalog import Catalog, CatalogModel
from app.core.estimated_shape import ListedFigures, listed_shape
from app.core.fit import MachineMemory, Verdict, judge, usual_context
from app.core.speed import SpeedModel, model_key, words_per_second
from app.services.explain_fit import FitLevel, fit_level, verdict_short
from app.services.wording import file_size, translate
from app.ui.models.catalogue_sheets import file_choices, row_figures
from app.ui.models.row_list import ListRow
from app.ui.models.sheet import FileChoice


@dataclass(frozen=True, slots=True)
class RowFigures:
    """What the catalogue knows of a file; `context_length` 0: nothing."""

    figures: ListedFigures
    context_length: int


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One model, ready to be shown and filtered. `verdict` is on `suggested`; None: it does not run, or no size."""

    model: CatalogModel
    row: ListRow
    suggested: FileChoice | None
    searched: str  # everything that a search looks at, in lower case
    verdict: Verdict | None = None

    @property
    def runs_here(self) -> bool:
        """Whether there is memory for it now."""
        return self.verdict is not None and self.verdict.kind.runs_now

    @property
    def runs_well(self) -> bool:
        """Whether it runs, and not slowly as far as is known: it may be recommended."""
        return self.verdict is not None and fit_level(self.verdict) is FitLevel.GOOD

    @property
    def words_per_second(self) -> float:
        """How fast it writes; 0: not known."""
        rate = self.verdict.tokens_per_second if self.verdict is not None else None
        return words_per_second(rate) if rate is not None else 0.0


@dataclass(frozen=True, slots=True)
class CatalogueRows:
    """All rows in the catalogue's order, and the figures of every file by its key."""

    rows: tuple[CatalogueRow, ...]
    figures: Mapping[str, RowFigures]


def judge_rows(catalog: Catalog, machine: MachineMemory, speed: SpeedModel, cache_type: str) -> CatalogueRows:
    """Half a second for 250 models; for a worker thread."""
    rows = []
    figures: dict[str, RowFigures] = {}
    for model in catalog.models:
        choices = file_choices(model.files)
        suggested = next((choice for choice in choices if choice.is_suggested), None)
        for choice in choices:
            if choice.size_bytes:
                figures[choice.key] = RowFigures(row_figures(model, choice), model.context_length or 0)
        verdict = _judge(model, suggested, machine, speed, cache_type)
        words, level = "", FitLevel.UNKNOWN
        if not model.runs:
            words, level = translate("Catalogue", "Does not run"), FitLevel.POOR
        elif verdict is not None:
            words, level = verdict_short(verdict), fit_level(verdict)
        note = file_size(suggested.size_bytes) if suggested is not None and suggested.size_bytes else ""
        searched = " ".join((model.name, model.family, model.organisation, model.summary, model.licence)).lower()
        row = ListRow(model.id, model.name, model.summary, note, words, level)
        rows.append(CatalogueRow(model, row, suggested, searched, verdict))
    return CatalogueRows(tuple(rows), figures)


def _judge(
    model: CatalogModel, choice: FileChoice | None, machine: MachineMemory, speed: SpeedModel, cache_type: str
) -> Verdict | None:
    if not model.runs or choice is None or not choice.size_bytes:
        return None
    return judge(
        listed_shape(row_figures(model, choice)),
        usual_context(model.context_length or 0),
        machine,
        speed,
        cache_type=cache_type,
        model=model_key(choice.path, choice.size_bytes),
        quantization=choice.quantization,
    )
