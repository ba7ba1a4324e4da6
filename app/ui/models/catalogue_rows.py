"""The rows of the catalogue as a list shows them, worked out away from the main thread: they are hundreds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.catalog import Catalog, CatalogModel
from app.core.estimated_shape import ListedFigures, listed_shape
from app.core.fit import MachineMemory, judge, usual_context
from app.core.speed import SpeedModel, model_key, words_per_second
from app.services.explain_fit import verdict_short
from app.services.wording import file_size, translate
from app.ui.models.catalogue_sheets import file_choices, row_figures
from app.ui.models.row_list import ListRow
from app.ui.models.sheet import FileChoice

COMFORTABLE_WORDS = 4.0  # a second: as fast as one reads aloud


@dataclass(frozen=True, slots=True)
class RowFigures:
    """What the catalogue knows of a file; `context_length` 0: nothing."""

    figures: ListedFigures
    context_length: int


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One model, ready to be shown and filtered. `runs_well`: it may be recommended."""

    model: CatalogModel
    row: ListRow
    suggested: FileChoice | None
    searched: str  # everything that a search looks at, in lower case
    runs_here: bool = False
    runs_well: bool = False


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
        words, runs_here, runs_well = _judge(model, suggested, machine, speed, cache_type)
        note = file_size(suggested.size_bytes) if suggested is not None and suggested.size_bytes else ""
        searched = " ".join((model.name, model.family, model.organisation, model.summary, model.licence)).lower()
        row = ListRow(model.id, model.name, model.summary, note, words)
        rows.append(CatalogueRow(model, row, suggested, searched, runs_here, runs_well))
    return CatalogueRows(tuple(rows), figures)


def _judge(
    model: CatalogModel, choice: FileChoice | None, machine: MachineMemory, speed: SpeedModel, cache_type: str
) -> tuple[str, bool, bool]:
    """The verdict in a word or two, whether it runs here, and whether it runs well."""
    if not model.runs:
        return translate("Catalogue", "Does not run"), False, False
    if choice is None or not choice.size_bytes:
        return "", False, False
    verdict = judge(
        listed_shape(row_figures(model, choice)),
        usual_context(model.context_length or 0),
        machine,
        speed,
        cache_type=cache_type,
        model=model_key(choice.path, choice.size_bytes),
        quantization=choice.quantization,
    )
    runs = verdict.kind.runs_now
    rate = verdict.tokens_per_second
    is_fast = rate is None or words_per_second(rate) >= COMFORTABLE_WORDS
    return verdict_short(verdict), runs, runs and is_fast
