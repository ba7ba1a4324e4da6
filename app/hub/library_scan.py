"""Looks at the disk for the library: new files in watched folders, known ones that are gone. For worker threads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.core.errors import UserError
from app.core.library import FoundFile, LibraryModel, Owner
from app.hub.folder_scan import scan_folder
from app.hub.model_facts import read_facts

log = logging.getLogger(__name__)


class Known(Protocol):
    """How a file was when its header was read."""

    @property
    def size_bytes(self) -> int:
        """Of all its parts."""

    @property
    def modified_ns(self) -> int:
        """When the first was changed."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look at the disk found: models with headers read anew, and which files of the library are gone."""

    fresh: tuple[tuple[LibraryModel, int], ...]
    missing: frozenset[str]


def look(models: Iterable[LibraryModel], folders: Iterable[str], known: Mapping[str, Known]) -> Scan:
    """Read the headers of files in `folders` and of `models` that are new or have changed since they were `known`."""
    wanted: dict[str, FoundFile] = {}
    missing = set()
    for folder in folders:
        for found in scan_folder(Path(folder), Owner.HEARTH):
            wanted[found.path] = found
    for model in models:
        size = _size(model.parts)
        if size is None:
            missing.add(model.path)
        else:
            wanted[model.path] = FoundFile(
                model.owner, model.parts, size, _name_of_another_program(model), model.sha256, model.repo, model.commit
            )
    changed = [found for found in wanted.values() if _has_changed(found, known.get(found.path))]
    return Scan(tuple(read_models(changed, whole=True)), frozenset(missing))


def read_models(found: Sequence[FoundFile], *, whole: bool) -> list[tuple[LibraryModel, int]]:
    """The library's view of each file that is a language model; `whole` as in `read_facts`."""
    models = []
    for each in found:
        try:
            models.append(read_facts(each, whole=whole))
        except UserError as error:
            log.info("%s is not taken into the library: %s", each.path, error)
    return models


def _name_of_another_program(model: LibraryModel) -> str:
    """What is not written in the file, and would be lost with another look at it."""
    return model.name if model.is_read_only else ""


def _has_changed(found: FoundFile, known: Known | None) -> bool:
    if known is None or known.size_bytes != found.size_bytes:
        return True
    try:
        return Path(found.path).stat().st_mtime_ns != known.modified_ns
    except OSError:
        return False


def _size(parts: Sequence[str]) -> int | None:
    try:
        return sum(Path(part).stat().st_size for part in parts)
    except (OSError, ValueError):
        return None
