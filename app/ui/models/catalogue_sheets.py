"""How the window says what the catalogue knows of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QCoreApplication, QLocale

from app.core.architectures import CHAT_ARCHITECTURES
from app.core.catalog import Catalog, CatalogFile, CatalogModel, CommercialUse, ModelKind
from app.core.chat_formats import PLAIN, format_named
from app.core.downloads import DownloadFile
from app.core.estimated_shape import ListedFigures
from app.core.quantizations import Quality, quantization_named
from app.services.explain_fit import quality_words
from app.services.wording import locale, number
from app.ui.model_rows import describe_parameters
from app.ui.models.sheet import Fact, FileChoice, ModelSheet

MANY_LANGUAGES = 6  # more are only counted


def sheet_of_row(model: CatalogModel, catalog: Catalog) -> ModelSheet:
    """The details of one row."""
    nearest = catalog.model(model.nearest) if model.nearest else None
    files = file_choices(model.files)
    return ModelSheet(
        key=model.id,
        name=model.name,
        byline=f"{model.organisation} · {model.year}",
        summary=model.summary,
        facts=tuple(_facts(model, catalog)),
        files=files if model.runs else (),
        why_not="" if model.runs else model.why_not,
        nearest_key=nearest.id if nearest is not None else "",
        nearest_name=nearest.name if nearest is not None else "",
        repo=_hub_words(model),
    )


def _hub_words(model: CatalogModel) -> str:
    """What finds more of it on the hub; empty where nothing there would run."""
    if model.files:
        return model.files[0].repo
    return model.family if model.architecture in CHAT_ARCHITECTURES else ""


def file_choices(files: Sequence[CatalogFile]) -> tuple[FileChoice, ...]:
    """The files of a row from the smallest; the one that most people want is marked."""
    choices = [_choice(file) for file in files]
    choices.sort(key=lambda choice: choice.size_bytes)
    # Of a size that nobody knows there is no verdict at a glance.
    suggested = suggested_place([(choice.quantization, bool(choice.parts and choice.size_bytes)) for choice in choices])
    return tuple(replace(choice, is_suggested=place == suggested) for place, choice in enumerate(choices))


def suggested_place(files: Sequence[tuple[str, bool]]) -> int | None:
    """Which of several files, given by quantization and whether it can be had, to take without choosing.

    The balanced one that is most common, Q4_K_M; else the largest that is no better than balanced; else the smallest.
    """
    ready = [place for place, (_, can_be_had) in enumerate(files) if can_be_had] or list(range(len(files)))
    for place in ready:
        if files[place][0] == "Q4_K_M":
            return place
    modest = [place for place in ready if _quality(files[place][0]) <= Quality.BALANCED]
    if modest:
        return modest[-1]
    return ready[0] if ready else None


def quality_name(quantization: str) -> str:
    """A quantization in plain words; empty for an unknown one."""
    named = quantization_named(quantization)
    return "" if named is None else quality_words(named.quality)


def row_figures(model: CatalogModel, choice: FileChoice) -> ListedFigures:
    """What an estimate of its memory is made from."""
    return ListedFigures(
        choice.size_bytes, model.parameters, model.active_parameters, model.layers, model.cache_bytes_per_token
    )


def commercial_use_words(use: CommercialUse) -> str:
    """Whether one may earn money with it."""
    words = {
        CommercialUse.YES: QCoreApplication.translate("Catalogue", "Commercial use: yes"),
        CommercialUse.NO: QCoreApplication.translate("Catalogue", "Commercial use: no"),
        CommercialUse.CONDITIONS: QCoreApplication.translate("Catalogue", "Commercial use: with conditions"),
        CommercialUse.UNKNOWN: QCoreApplication.translate("Catalogue", "Commercial use: not known"),
    }
    return words[use]


def kind_words(kind: ModelKind) -> str:
    """What a model is for."""
    words = {
        ModelKind.CHAT: QCoreApplication.translate("Catalogue", "Chats"),
        ModelKind.BASE: QCoreApplication.translate("Catalogue", "Continues texts; was not taught to chat"),
        ModelKind.CODE: QCoreApplication.translate("Catalogue", "Writes programs"),
        ModelKind.VISION: QCoreApplication.translate(
            "Catalogue", "Chats. It could see images too; Hearth cannot show it any yet"
        ),
        ModelKind.EMBEDDING: QCoreApplication.translate("Catalogue", "Compares texts; does not chat"),
        ModelKind.RERANKER: QCoreApplication.translate("Catalogue", "Sorts texts by a question; does not chat"),
    }
    return words[kind]


def _choice(file: CatalogFile) -> FileChoice:
    parts: tuple[DownloadFile, ...] = ()
    if file.is_pinned and file.parts:
        parts = tuple(
            DownloadFile(file.repo, part.path, file.commit or "", part.sha256 or "", part.size_bytes or 0)
            for part in file.parts
        )
    elif file.is_pinned:
        parts = (DownloadFile(file.repo, file.path, file.commit or "", file.sha256 or "", file.size_bytes or 0),)
    return FileChoice(
        file.repo,
        file.path,
        file.commit or "",
        file.quantization,
        quality_name(file.quantization),
        file.shown_bytes or 0,
        parts,
    )


def _quality(quantization: str) -> Quality:
    named = quantization_named(quantization)
    return named.quality if named is not None else Quality.BEST


def _facts(model: CatalogModel, catalog: Catalog) -> list[Fact]:
    tr = QCoreApplication.translate
    facts = [Fact(tr("Catalogue", "For"), kind_words(model.kind))]
    licence = f"{model.licence}. {commercial_use_words(model.commercial_use)}"
    facts.append(Fact(tr("Catalogue", "Licence"), licence, model.licence_url))
    if model.parameters:
        words = describe_parameters(model.parameters)
        if model.active_parameters and model.active_parameters != model.parameters:
            active = describe_parameters(model.active_parameters)
            words = tr("Catalogue", "{all}, of which {active} work on each word").format(all=words, active=active)
        facts.append(Fact(tr("Catalogue", "Size"), words))
    if model.context_length:
        tokens = tr("Catalogue", "{tokens} tokens").format(tokens=number(model.context_length))
        facts.append(Fact(tr("Catalogue", "Context"), tokens))
    if model.languages:
        facts.append(Fact(tr("Catalogue", "Languages"), language_words(model.languages)))
    if (known := format_named(model.template)) is not None and known is not PLAIN:
        facts.append(Fact(tr("Catalogue", "Chat template"), known.name))
    if model.novelty:
        facts.append(Fact(tr("Catalogue", "What was new"), model.novelty))
    if model.limits:
        facts.append(Fact(tr("Catalogue", "Limits"), model.limits))
    parents = [found.name for parent in model.parents if (found := catalog.model(parent)) is not None]
    if parents:
        facts.append(Fact(tr("Catalogue", "Made from"), ", ".join(parents)))
    children = [child.name for child in catalog.children(model.id)]
    if children:
        facts.append(Fact(tr("Catalogue", "Led to"), ", ".join(children)))
    return facts


def language_words(codes: Sequence[str]) -> str:
    """ISO codes as names of languages in the person's own; of many only the first, and how many more."""
    names = []
    for code in codes:
        language = QLocale.codeToLanguage(code)
        names.append(QLocale.languageToString(language) if language != QLocale.Language.AnyLanguage else code)
    if len(names) <= MANY_LANGUAGES:
        return ", ".join(names)
    shown = ", ".join(names[:MANY_LANGUAGES])
    more = locale().toString(len(names) - MANY_LANGUAGES)
    return QCoreApplication.translate("Catalogue", "{languages} and {count} more").format(languages=shown, count=more)
