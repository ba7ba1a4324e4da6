"""Looks at the disk for the library: new files in watched folders, known ones that are gone. For worker threads."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from app.core.errors import UserError
from app.core.library import NEVER_READ_NS, FoundFile, LibraryModel, Owner
from app.hub.adopt.places import Places
from app.hub.adopt.programs import find_everywhere
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
        """When the first was changed; `NEVER_READ_NS` at first."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a look at the disk found: models with headers read anew, and which files of the library are gone."""

    fresh: tuple[tuple[LibraryModel, int], ...]
    missing: frozenset[str]


def look(
    models: Iterable[LibraryModel],
    own_folder: Path,
    folders: Iterable[str],
    known: Mapping[str, Known],
    places: Places,
) -> Scan:
    """Read the headers of files that are new or have changed since they were `known`.

    Looked at are `own_folder`, where Hearth puts what it downloads, the other watched `folders`, and the files of
    `models` wherever they are. What another program keeps at its `places` is that program's, also in a watched folder
    or when the person just opened it.
    """
    wanted: dict[str, FoundFile] = {}
    missing = set()
    listed = set()
    for folder in (own_folder, *map(Path, folders)):
        for found in scan_folder(folder, Owner.HEARTH):
            wanted[found.path] = found
    for model in models:
        size = _size(model.parts)
        if size is None:
            missing.add(model.path)
        else:
            wanted[model.path] = _as_listed(model, size)
            listed.add(model.path)
    changed = [found for found in wanted.values() if _has_changed(found, known.get(found.path))]
    may_be_theirs = {
        found.path for found in changed if _is_first_seen(found, known) and own_folder not in Path(found.path).parents
    }
    owned = _with_owners(changed, may_be_theirs, places) if may_be_theirs else changed
    listed -= may_be_theirs
    fresh = (
        (_as_read(model, modified_ns, known) if model.path in listed else model, modified_ns)
        for model, modified_ns in read_models(owned, whole=True)
    )
    return Scan(tuple(fresh), frozenset(missing))


def read_models(found: Sequence[FoundFile], *, whole: bool) -> list[tuple[LibraryModel, int]]:
    """The library's view of each file that is a language model; `whole` as in `read_facts`."""
    models = []
    for each in found:
        try:
            models.append(read_facts(each, whole=whole))
        except UserError as error:
            log.info("%s is not taken into the library: %s", each.path, error)
    return models


def _as_listed(model: LibraryModel, size_bytes: int) -> FoundFile:
    """A file of the library, to be read."""
    return FoundFile(model.owner, model.parts, size_bytes, sha256=model.sha256, repo=model.repo, commit=model.commit)


def _as_read(model: LibraryModel, modified_ns: int, known: Mapping[str, Known]) -> LibraryModel:
    """One of the library; if its file was replaced it has neither the hash nor the commit of the one before.

    Told by the time that was taken with the header: it may have been replaced in the middle of the scan.
    """
    before = known.get(model.path)
    is_same = (
        before is not None
        and before.size_bytes == model.size_bytes
        and before.modified_ns in (modified_ns, NEVER_READ_NS)
    )
    return model if is_same else replace(model, sha256="", commit="")


def _is_first_seen(found: FoundFile, known: Mapping[str, Known]) -> bool:
    """Whether nobody has looked yet whose file it is. What Hearth downloaded is known by its repository."""
    before = known.get(found.path)
    is_new = before is None or before.modified_ns == NEVER_READ_NS
    return is_new and found.owner is Owner.HEARTH and not found.repo


def _with_owners(found: Iterable[FoundFile], may_be_theirs: Collection[str], places: Places) -> list[FoundFile]:
    """The same files; those of other programs as their programs know them."""
    theirs = {_place(part): each for each in find_everywhere(places) for part in each.parts}
    owned = []
    for each in found:
        owner = theirs.get(_place(each.path)) if each.path in may_be_theirs else None
        owned.append(replace(owner, parts=each.parts, size_bytes=each.size_bytes) if owner else each)
    return owned


def _place(path: str) -> str:
    """Where a file lies, by whatever way one came there. Whose a link is does not tell whose the file is."""
    folder, name = os.path.split(path)
    return str(Path(os.path.realpath(folder), name))


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
