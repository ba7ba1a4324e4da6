"""Reads the JSON that the hub answers with.

A mirror, a proxy or a log-in page may send anything: a field that is not what it should be counts as not there, an
entry without a legal name is left out, and what is no answer at all raises `AnswerError`. Nothing else is raised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from app.core.digests import COMMIT, SHA256
from app.core.errors import UserError
from app.core.file_names import safe_path
from app.core.hub_reference import is_repo
from app.core.hub_values import Gate, HubDetails, HubFile, HubModel, HubPart
from app.core.quantizations import group_files

MAX_TEXT = 300
MAX_TAGS = 200
MAX_FILES = 20_000
MAX_MODELS = 1000  # on a page; the hub itself sends no more
MAX_PATH = 1024  # characters
MAX_TEMPLATE = 1_000_000  # characters
MAX_FIGURE = 2**53
CARD_NAME = "README.md"
# "7B", "1.5B", "270M", "8x7B": what publishers write into names, between hyphens, dots or underscores. Behind a hyphen
# "1_6b" is 1.6; "llama_2_7b" has 7.
_SIZE = re.compile(
    r"(?:^|[-_.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?|(?<=-)\d{1,2}_\d{1,2})([BM])(?=$|[-_.])", re.IGNORECASE
)
_PROJECTOR = "mmproj"
_NO_MODEL = ("imatrix",)  # GGUF files that only helped to make the others


class AnswerError(ValueError):
    """This is no answer of a hub."""


def read_list(body: bytes) -> tuple[HubModel, ...]:
    """The repositories of a page of answers. Raises AnswerError."""
    found = _load(body)
    if not isinstance(found, list):
        raise AnswerError("no list")
    return tuple(model for model in map(read_model, found[:MAX_MODELS]) if model is not None)


def read_model(item: object) -> HubModel | None:
    """One repository of a list; None for one without a legal name."""
    fields = _object(item)
    repo = fields.get("id") or fields.get("modelId")
    if not isinstance(repo, str) or not is_repo(repo):
        return None
    header, card = _object(fields.get("gguf")), _object(fields.get("cardData"))
    tags = tuple(filter(None, (_text(tag) for tag in _list(fields.get("tags"))[:MAX_TAGS])))
    return HubModel(
        repo,
        repo.partition("/")[0],
        _figure(fields.get("downloads")) or 0,
        _figure(fields.get("likes")) or 0,
        _moment(fields.get("lastModified")),
        _gate(fields.get("gated")),
        _text(card.get("license")) or next((tag[8:] for tag in tags if tag.startswith("license:")), ""),
        _text(fields.get("pipeline_tag")),
        _figure(header.get("total")) or parameters_in_name(repo),
        _text(header.get("architecture")),
        tags,
    )


def read_details(body: bytes) -> HubDetails:
    """A repository with its files, without its card. Raises AnswerError."""
    fields = _object(_load(body))
    model = read_model(fields)
    commit = fields.get("sha")
    if model is None or not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise AnswerError("no repository")
    header = _object(fields.get("gguf"))
    template = header.get("chat_template")
    files = _files(fields.get("siblings"))
    return HubDetails(
        model,
        commit,
        tuple(file for file in files if not is_projector(file.path)),
        tuple(file for file in files if is_projector(file.path)),
        chat_template=template if isinstance(template, str) and 0 < len(template) <= MAX_TEMPLATE else None,
        context_length=_figure(header.get("context_length")) or None,
        base_models=_base_models(fields, model.tags),
    )


def has_card(body: bytes) -> bool:
    """Whether a repository that was read from `body` has a model card."""
    siblings = _list(_object(_load(body)).get("siblings"))
    return any(_object(entry).get("rfilename") == CARD_NAME for entry in siblings)


def read_account(body: bytes) -> str:
    """The name of whoever a token belongs to. Raises AnswerError."""
    if name := _text(_object(_load(body)).get("name")):
        return name
    raise AnswerError("no account")


def parameters_in_name(name: str) -> int | None:
    """How many parameters a model has by its name: 1,500,000,000 for "Qwen2.5-1.5B-Instruct"; None if it does not say.

    A mixture of experts counts all of them ("8x7B"), which is more than it has, since they share some.
    """
    match = _SIZE.search(name.rpartition("/")[2])
    if match is None:
        return None
    times, size, unit = match.groups()
    unit_size = 1_000_000_000 if unit in "bB" else 1_000_000
    return round(int(times or 1) * float(size.replace("_", ".")) * unit_size) or None


def is_projector(path: str) -> bool:
    """Whether a file lets a model see or hear, by its name."""
    return _PROJECTOR in path.rpartition("/")[2].lower()


def _files(siblings: object) -> tuple[HubFile, ...]:
    """The model files, from the smallest; split ones with parts missing are left out, since they cannot be used."""
    parts = {part.path: part for part in _parts(siblings)}
    groups = group_files((part.path, part.size_bytes) for part in parts.values())
    files = [
        HubFile(tuple(parts[path] for path in group.parts), group.quantization.name if group.quantization else "")
        for group in groups
        if group.is_complete and not any(word in group.path.lower() for word in _NO_MODEL)
    ]
    return tuple(sorted(files, key=lambda file: (file.size_bytes, file.path)))


def _parts(siblings: object) -> Iterator[HubPart]:
    for entry in _list(siblings)[:MAX_FILES]:
        fields = _object(entry)
        path, stored = fields.get("rfilename"), _object(fields.get("lfs"))
        if not isinstance(path, str) or not path.lower().endswith(".gguf"):
            continue
        if len(path) > MAX_PATH or not path.isprintable():  # a terminal would obey it, or a window show another name
            continue
        try:
            safe_path(path)
        except UserError:
            continue
        sha256 = stored.get("sha256")
        is_hash = isinstance(sha256, str) and SHA256.fullmatch(sha256)
        size = _figure(fields.get("size")) or _figure(stored.get("size")) or 0
        yield HubPart(path, size, str(sha256) if is_hash else "")


def _base_models(fields: Mapping[str, Any], tags: tuple[str, ...]) -> tuple[str, ...]:
    """What it was made from: by its card, and by the hub's tags (`base_model:…`, `base_model:quantized:…`)."""
    named = _object(fields.get("cardData")).get("base_model")
    found = [named] if isinstance(named, str) else _list(named)
    found += [tag.rpartition(":")[2] for tag in tags if tag.startswith("base_model:")]
    return tuple(dict.fromkeys(repo for repo in found[:MAX_TAGS] if isinstance(repo, str) and is_repo(repo)))


def _load(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise AnswerError("no JSON") from None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """A text on one line; empty for anything else."""
    if not isinstance(value, str):
        return ""
    return "".join(letter for letter in value[:MAX_TEXT] if letter.isprintable()).strip()


def _figure(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_FIGURE:
        return None
    return int(value)


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _gate(value: object) -> Gate:
    match value:
        case "auto":
            return Gate.AUTOMATIC
        case "manual" | True:
            return Gate.MANUAL
        case _:
            return Gate.OPEN
