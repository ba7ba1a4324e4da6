"""How the window says what the hub knows of a repository."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from PySide6.QtCore import QCoreApplication, QLocale

from app.core.downloads import DownloadFile
from app.core.estimated_shape import ListedFigures, listed_shape
from app.core.fit import MachineMemory, Verdict, judge, usual_context
from app.core.hub_values import Gate, HubDetails, HubFile, HubModel
from app.core.messages import utc_now
from app.services.explain_fit import fit_level, verdict_short
from app.services.explain_hub import old_answer_words
from app.services.wording import day_words, number
from app.ui.model_rows import describe_parameters
from app.ui.models.catalogue_sheets import quality_name, suggested_place
from app.ui.models.row_list import ListRow
from app.ui.models.sheet import Fact, FileChoice, ModelSheet

_USUAL_BITS = 4.89  # a weight in Q4_K_M, which most people take (app.core.quantizations)


def judge_models(models: Iterable[HubModel], machine: MachineMemory, cache_type: str) -> dict[str, Verdict]:
    """Which of them there is memory for, by repository, in the quantization that most people want.

    Nothing is said of the speed: how many of its parameters work on each word is in the header only. Two milliseconds
    for each; for a worker thread.
    """
    verdicts = {}
    for model in models:
        if model.parameters:
            shape = listed_shape(ListedFigures(round(model.parameters * _USUAL_BITS / 8), model.parameters))
            verdicts[model.repo] = judge(shape, usual_context(0), machine, None, cache_type=cache_type)
    return verdicts


def row_of(model: HubModel, verdict: Verdict | None = None) -> ListRow:
    """An answer of the hub in the list, with the verdict where there is one."""
    tr = QCoreApplication.translate
    parts = [model.author]
    if model.parameters:
        parts.append(describe_parameters(model.parameters))
    if model.gate is not Gate.OPEN:
        parts.append(tr("HubSearch", "Asks to accept terms"))
    if model.licence:
        parts.append(model.licence)
    if model.updated_at is not None:
        parts.append(_update_words(model.updated_at))
    note = tr("HubSearch", "Downloads: {count}").format(count=number(model.downloads))
    row = ListRow(model.repo, model.name, " · ".join(parts), note)
    return row if verdict is None else replace(row, state=verdict_short(verdict), level=fit_level(verdict))


def sheet_of_repository(details: HubDetails, page_url: str) -> ModelSheet:
    """The details of one repository."""
    tr = QCoreApplication.translate
    model = details.model
    facts = [Fact(tr("HubSearch", "Page"), model.repo, page_url)]
    if model.licence:
        facts.append(Fact(tr("HubSearch", "Licence"), model.licence))
    if model.parameters:
        facts.append(Fact(tr("HubSearch", "Size"), describe_parameters(model.parameters)))
    if model.architecture:
        facts.append(Fact(tr("HubSearch", "Architecture"), model.architecture))
    if details.context_length:
        words = tr("HubSearch", "{tokens} tokens").format(tokens=number(details.context_length))
        facts.append(Fact(tr("HubSearch", "Context"), words))
    if details.base_models:
        facts.append(Fact(tr("HubSearch", "Made from"), ", ".join(details.base_models)))
    if details.projectors:
        words = tr("HubSearch", "It sees them with a second file, which Hearth cannot use yet: here it reads text.")
        facts.append(Fact(tr("HubSearch", "Images"), words))
    popularity = tr("HubSearch", "Downloads in a month: {downloads}. Likes: {likes}.")
    facts.append(
        Fact(
            tr("HubSearch", "Popularity"),
            popularity.format(downloads=number(model.downloads), likes=number(model.likes)),
        )
    )
    files = _choices(details)
    words = tr("HubSearch", "Published on the hub by {author}. What is said of it there is its author's word.")
    summary = words.format(author=model.author)
    if not files:
        summary = tr("HubSearch", "This repository has no model files that Hearth can use.")
    return ModelSheet(
        key=model.repo,
        name=model.name,
        byline=_byline(model),
        summary=summary,
        facts=tuple(facts),
        files=files,
        is_gated=model.gate is not Gate.OPEN,
        card=details.card,
        note=old_answer_words(details.answered_at, details.why_old, utc_now()),
    )


def _byline(model: HubModel) -> str:
    if model.updated_at is None:
        return model.author
    return f"{model.author} · {_update_words(model.updated_at)}"


def _update_words(moment: datetime) -> str:
    day = day_words(moment, QLocale.FormatType.ShortFormat)
    return QCoreApplication.translate("HubSearch", "updated {day}").format(day=day)


def _choices(details: HubDetails) -> tuple[FileChoice, ...]:
    files = sorted(details.files, key=lambda file: file.size_bytes)
    place = suggested_place([(file.quantization, True) for file in files])
    choices = [_choice(details, file) for file in files]
    return tuple(replace(choice, is_suggested=at == place) for at, choice in enumerate(choices))


def _choice(details: HubDetails, file: HubFile) -> FileChoice:
    repo, commit = details.model.repo, details.commit
    parts = tuple(DownloadFile(repo, part.path, commit, part.sha256, part.size_bytes) for part in file.parts)
    words = quality_name(file.quantization)
    return FileChoice(
        repo,
        file.path,
        commit,
        file.quantization,
        words,
        file.size_bytes,
        parts,
        has_template=details.has_template,
    )
