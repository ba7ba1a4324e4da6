"""What the family tree says of a model: in the picture, in its tooltips and to screen readers."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from app.core.catalog import Catalog, CatalogModel
from app.ui.model_rows import describe_parameters
from app.ui.models.catalogue_sheets import commercial_use_words


def spoken(model: CatalogModel, catalog: Catalog) -> str:
    """A model in one line, e.g. "Vicuna 7B, 2023, trained from LLaMA 7B, runs"."""
    tr = QCoreApplication.translate
    parts = [model.name, str(model.year)]
    parents = [found.name for parent in model.parents if (found := catalog.model(parent)) is not None]
    if parents:
        parts.append(tr("FamilyTree", "trained from {models}").format(models=", ".join(parents)))
    parts.append(tr("FamilyTree", "runs") if model.runs else tr("FamilyTree", "does not run"))
    return ", ".join(parts)


def figures(model: CatalogModel) -> str:
    """Year and size in words, the second line of a model in the picture."""
    parts = [str(model.year)]
    if model.parameters:
        parts.append(describe_parameters(model.parameters))
    return " · ".join(parts)


def tooltip(model: CatalogModel, catalog: Catalog) -> str:
    """All of it, in lines of plain text."""
    lines = [spoken(model, catalog)]
    if model.parameters:
        lines.append(describe_parameters(model.parameters))
    lines += [model.summary, f"{model.licence}. {commercial_use_words(model.commercial_use)}"]
    if model.why_not:
        lines.append(model.why_not)
    return "\n".join(lines)


def matches(model: CatalogModel, text: str) -> bool:
    """Whether all words of a search are in the names of a model; never for a search without words."""
    words = text.lower().split()
    names = " ".join((model.name, model.family, model.organisation, str(model.year))).lower()
    return bool(words) and all(word in names for word in words)
