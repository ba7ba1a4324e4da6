"""The curated catalogue of models: its values, and the reading of its file.

The file (`resources/catalog.json`, described by `resources/catalog.schema.json`) has one row per model. A row tells
what the model is, what one may do with it and where its files are; `parents` make the rows a family tree. Everything
in it is plain text: nothing may be shown as markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any

from app.core.digests import COMMIT, SHA256
from app.core.errors import ErrorKind, UserError
from app.core.json_fields import FieldError, Fields

FORMAT = 1
MAX_MODELS = 5000
MAX_FILES = 40
MAX_PARTS = 100
MAX_SUMMARY = 160
MAX_NOTE = 400
FIRST_YEAR = 2018  # the year of GPT-1 and BERT
LAST_YEAR = 2100
_MAX_BYTES = 1 << 44
_MAX_PARAMETERS = 100_000_000_000_000

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,78}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_PATH = re.compile(r"(?:[A-Za-z0-9][\w.+@-]{0,150}/){0,4}[A-Za-z0-9_][\w.+@-]{0,200}\.gguf", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_TAG = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")
_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+/[\w/.%?=&~+#@-]*", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][\w.-]{0,40}", re.ASCII)


class CommercialUse(StrEnum):
    """Whether the licence lets a person earn money with the model."""

    YES = "yes"
    NO = "no"
    CONDITIONS = "conditions"
    UNKNOWN = "unknown"


class ModelKind(StrEnum):
    """What a model is for."""

    CHAT = "chat"
    BASE = "base"  # continues text; was never taught to answer
    CODE = "code"
    VISION = "vision"  # chats about images too
    EMBEDDING = "embedding"
    RERANKER = "reranker"


@dataclass(frozen=True, slots=True)
class CatalogPart:
    """One file of a model that is split into several, or the only one."""

    path: str
    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """One way to get a model: a repository's file at one quantization.

    `size_bytes`, `sha256` and `commit` are given where a source states them exactly; `estimated_bytes` is what a list
    may show where the size is only computed from the model's shape or known in rounded figures. `path` is that of the
    first part; `parts` is empty for a file that is not split, `size_bytes` counts all of them.
    """

    repo: str
    path: str
    quantization: str
    size_bytes: int | None = None
    sha256: str | None = None
    commit: str | None = None
    parts: tuple[CatalogPart, ...] = ()
    estimated_bytes: int | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether commit and hash are known: only such a file is downloaded with one click, every byte checked."""
        hashes = [part.sha256 for part in self.parts] or [self.sha256]
        return self.commit is not None and None not in hashes

    @property
    def is_confirmed(self) -> bool:
        """Whether its exact size is known as well; else the hub tells it when the download begins."""
        sizes = [self.size_bytes, *(part.size_bytes for part in self.parts)]
        return self.is_pinned and None not in sizes

    @property
    def shown_bytes(self) -> int | None:
        """The best figure for the size, exact or not."""
        return self.estimated_bytes if self.size_bytes is None else self.size_bytes


@dataclass(frozen=True, slots=True)
class Licence:
    """The terms of a model. `tags` are what repositories on the hub call it."""

    id: str
    name: str
    url: str
    commercial_use: CommercialUse
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One row. Texts are empty and figures None where a fact is not known.

    `parents` are the rows it descends from: models whose weights it began with or whose answers taught it; where such
    a model has no row of its own, the row of that family nearest in size. `nearest` names a model that runs, for one
    that does not; `why_not` says why. `cache_bytes_per_token` is the attention cache at 16 bits a value.
    """

    id: str
    name: str
    family: str
    organisation: str
    kind: ModelKind
    summary: str
    parameters: int | None
    active_parameters: int | None
    context_length: int | None
    languages: tuple[str, ...]
    licence_terms: Licence
    template: str
    architecture: str
    runs: bool
    why_not: str
    nearest: str
    year: int
    parents: tuple[str, ...]
    novelty: str
    limits: str
    recommended: bool
    files: tuple[CatalogFile, ...]
    projector: CatalogFile | None = None
    layers: int | None = None
    cache_bytes_per_token: int | None = None

    @property
    def licence(self) -> str:
        """The licence in words."""
        return self.licence_terms.name

    @property
    def licence_url(self) -> str:
        """Where the licence can be read."""
        return self.licence_terms.url

    @property
    def commercial_use(self) -> CommercialUse:
        """Whether one may earn money with it."""
        return self.licence_terms.commercial_use

    @property
    def confirmed_files(self) -> tuple[CatalogFile, ...]:
        """The files that are downloaded with one click, smallest first as in the file."""
        return tuple(file for file in self.files if file.is_confirmed)


@dataclass(frozen=True)
class Catalog:
    """All rows, in the order of the file; `version` is that of the format, `updated` the day of the content."""

    version: int
    updated: date
    models: tuple[CatalogModel, ...]

    def model(self, model_id: str) -> CatalogModel | None:
        """The row with this id."""
        return self._by_id.get(model_id)

    def children(self, model_id: str) -> tuple[CatalogModel, ...]:
        """The rows that descend from this one directly, in the order of the file."""
        return self._children.get(model_id, ())

    @cached_property
    def _by_id(self) -> dict[str, CatalogModel]:
        return {model.id: model for model in self.models}

    @cached_property
    def _children(self) -> dict[str, tuple[CatalogModel, ...]]:
        found: dict[str, tuple[CatalogModel, ...]] = {}
        for model in self.models:
            for parent in model.parents:
                found[parent] = (*found.get(parent, ()), model)
        return found


def parse_catalog(data: Mapping[str, Any]) -> Catalog:
    """The catalogue in a decoded JSON file.

    Raises:
        UserError: CATALOG_INVALID with `where` in the file and the `reason`.
    """
    try:
        return _catalog(Fields(data, ""))
    except FieldError as error:
        raise UserError(ErrorKind.CATALOG_INVALID, where=error.where, reason=error.reason) from error


def _catalog(fields: Fields) -> Catalog:
    version = fields.integer("version", 1, 1_000_000)
    if version != FORMAT:
        raise FieldError("version", f"is {version}, and this Hearth reads {FORMAT}")
    updated = fields.text("updated", 10)
    try:
        day = date.fromisoformat(updated)
    except ValueError:
        raise FieldError("updated", "must be a day as YYYY-MM-DD") from None
    licences: dict[str, Licence] = {}
    for licence in fields.objects("licences", 200, _licence):
        if licence.id in licences:
            raise FieldError("licences", f"names {licence.id} twice")
        licences[licence.id] = licence
    models = fields.objects("models", MAX_MODELS, lambda row: _model(row, licences))
    catalog = Catalog(version, day, models)
    _check_rows(catalog)
    _check_tree(catalog)
    return catalog


def _licence(fields: Fields) -> Licence:
    return Licence(
        fields.matching("id", _ID, "an id of small letters, digits, dots and hyphens"),
        fields.text("name", 120),
        fields.matching("url", _ADDRESS, "an address that begins with https://"),
        fields.choice("commercial_use", CommercialUse),
        fields.texts("tags", 10, _TAG, "a licence tag of the hub"),
    )


def _model(fields: Fields, licences: Mapping[str, Licence]) -> CatalogModel:
    licence = fields.text("licence", 80)
    if licence not in licences:
        raise FieldError(fields.at("licence"), f"names {licence}, which is not among the licences")
    projectors = fields.objects("projectors", 1, _file)
    return CatalogModel(
        id=fields.matching("id", _ID, "an id of small letters, digits, dots and hyphens"),
        name=fields.text("name", 80),
        family=fields.text("family", 60),
        organisation=fields.text("organisation", 80),
        kind=fields.choice("kind", ModelKind),
        summary=fields.text("summary", MAX_SUMMARY),
        parameters=fields.optional_integer("parameters", 1, _MAX_PARAMETERS),
        active_parameters=fields.optional_integer("active_parameters", 1, _MAX_PARAMETERS),
        context_length=fields.optional_integer("context_length", 16, 1 << 30),
        languages=fields.texts("languages", 250, _LANGUAGE, "a language code of ISO 639"),
        licence_terms=licences[licence],
        template=fields.optional_text("template", 60),
        architecture=fields.optional_text("architecture", 60),
        runs=fields.flag("runs", True),
        why_not=fields.optional_text("why_not", MAX_NOTE),
        nearest=fields.optional_text("nearest", 80),
        year=fields.integer("year", FIRST_YEAR, LAST_YEAR),
        parents=fields.texts("parents", 8, _ID, "the id of a row"),
        novelty=fields.optional_text("novelty", MAX_NOTE),
        limits=fields.optional_text("limits", MAX_NOTE),
        recommended=fields.flag("recommended", False),
        files=fields.objects("files", MAX_FILES, _file),
        projector=projectors[0] if projectors else None,
        layers=fields.optional_integer("layers", 1, 10_000),
        cache_bytes_per_token=fields.optional_integer("cache_bytes_per_token", 1, 1 << 30),
    )


def _file(fields: Fields) -> CatalogFile:
    parts = fields.objects("parts", MAX_PARTS, _part)
    path = fields.matching("path", _PATH, "the path of a .gguf file inside its repository")
    size_bytes = fields.optional_integer("size_bytes", 1, _MAX_BYTES)
    if parts:
        if parts[0].path != path:
            raise FieldError(fields.at("parts[0].path"), "must be the path of the file")
        sizes = [part.size_bytes for part in parts]
        whole = sum(size for size in sizes if size is not None)
        if None not in sizes and size_bytes != whole:
            raise FieldError(fields.at("size_bytes"), f"must be the sum of the parts, {whole}")
    return CatalogFile(
        fields.matching("repo", _REPOSITORY, "a repository as owner/name"),
        path,
        fields.matching("quantization", _WORD, "the name of a quantization"),
        size_bytes,
        fields.optional_matching("sha256", SHA256, "64 hexadecimal digits in small letters"),
        fields.optional_matching("commit", COMMIT, "40 hexadecimal digits in small letters"),
        parts,
        fields.optional_integer("estimated_bytes", 1, _MAX_BYTES),
    )


def _part(fields: Fields) -> CatalogPart:
    return CatalogPart(
        fields.matching("path", _PATH, "the path of a .gguf file inside its repository"),
        fields.optional_integer("size_bytes", 1, _MAX_BYTES),
        fields.optional_matching("sha256", SHA256, "64 hexadecimal digits in small letters"),
    )


def _check_rows(catalog: Catalog) -> None:
    """What holds between fields and between rows."""
    if not catalog.models:
        raise FieldError("models", "must not be empty")
    ids: dict[str, int] = {}
    summaries: dict[str, str] = {}
    for index, model in enumerate(catalog.models):
        where = f"models[{index}]"
        if model.id in ids:
            raise FieldError(f"{where}.id", f"{model.id} is the id of models[{ids[model.id]}] too")
        ids[model.id] = index
        if model.summary in summaries:
            raise FieldError(f"{where}.summary", f"is the same as that of {summaries[model.summary]}")
        summaries[model.summary] = model.id
        if model.runs and (model.why_not or model.nearest):
            raise FieldError(f"{where}.runs", f"{model.id} runs, and yet why_not or nearest is given")
        if not model.runs and not model.why_not:
            raise FieldError(f"{where}.why_not", f"must say why {model.id} does not run")
        if model.recommended and not (model.runs and model.confirmed_files):
            raise FieldError(f"{where}.recommended", f"{model.id} has no confirmed file that runs")
    for index, model in enumerate(catalog.models):
        nearest = catalog.model(model.nearest) if model.nearest else None
        if not model.runs and (nearest is None or not nearest.runs):
            raise FieldError(f"models[{index}].nearest", f"must name a row that runs, for {model.id}")


def _check_tree(catalog: Catalog) -> None:
    """Parents exist, are not younger than their children, and no row descends from itself."""
    for index, model in enumerate(catalog.models):
        for parent_id in model.parents:
            parent = catalog.model(parent_id)
            where = f"models[{index}].parents"
            if parent is None:
                raise FieldError(where, f"{model.id} names {parent_id}, which has no row")
            if parent.year > model.year:
                raise FieldError(where, f"{model.id} of {model.year} is older than its parent {parent_id}")
    waiting = {model.id: len(model.parents) for model in catalog.models}
    ready = [model_id for model_id, count in waiting.items() if not count]
    while ready:
        for child in catalog.children(ready.pop()):
            waiting[child.id] -= 1
            if not waiting[child.id]:
                ready.append(child.id)
    if circle := sorted(model_id for model_id, count in waiting.items() if count):
        raise FieldError("models", f"these descend from themselves or from one that does: {', '.join(circle[:5])}")
