"""The library of model files, and the folders that are watched for more."""

from __future__ import annotations

import builtins
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert

from app import __version__
from app.core.library import NEVER_READ_NS, LibraryModel, Owner
from app.core.quantizations import split_paths
from app.core.template_check import TemplateLook, TemplateState, template_format
from app.storage.database import Database
from app.storage.tables import ModelFileRow, ModelFolderRow


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What a load tells of a file: facts of its header, and when it was."""

    path: str
    name: str
    size_bytes: int
    architecture: str
    parameters: int
    used_at: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """How a file was when its header was read."""

    size_bytes: int
    modified_ns: int
    sha256: str = ""  # empty: not known


class ModelFileStore:
    """Every method is one transaction and raises UserError for faults of the environment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> builtins.list[LibraryModel]:
        """The library, last used first, then those never used by name."""
        row = ModelFileRow
        query = select(row).where(~row.is_hidden).order_by(row.last_used_at.desc().nulls_last(), row.name, row.path)
        with self._database.reading() as session:
            return [_model(found) for found in session.scalars(query)]

    def seen(self) -> dict[str, Seen]:
        """Every path ever in the library, those that were taken off it as well."""
        row = ModelFileRow
        query = select(row.path, row.size_bytes, row.modified_ns, row.sha256)
        with self._database.reading() as session:
            return {path: Seen(size, modified, sha256) for path, size, modified, sha256 in session.execute(query)}

    def remember(self, use: ModelUse) -> None:
        """A file was loaded: it is in the library now, whatever was known of it before."""
        parts = split_paths(use.path)
        fresh = LibraryModel(use.path, use.name, Owner.HEARTH, parts, use.size_bytes, use.architecture, use.parameters)
        with self._database.session() as session:
            row = session.get(ModelFileRow, use.path)
            if row is None:
                row = ModelFileRow(**_values(fresh, NEVER_READ_NS, use.used_at))
                session.add(row)
            elif row.owner == Owner.HEARTH.value:  # of other programs' files the name is what they call it
                row.name = use.name
            row.parts = _parts_json(parts)
            row.size_bytes, row.architecture, row.parameters = use.size_bytes, use.architecture, use.parameters
            row.last_used_at = use.used_at
            row.is_hidden = False

    def add(self, models: Sequence[tuple[LibraryModel, int]], at: datetime, *, show: bool = False) -> None:
        """Put models with the times of their files (nanoseconds) into the library, or replace what was known of them.

        What a person did stays: the name they gave, the template, when it was used, and that it was taken off the list
        unless `show`. Hash and commit go when the file has changed.
        """
        with self._database.session() as session:
            for model, modified_ns in models:
                values = _values(model, modified_ns, at)
                known = session.get(ModelFileRow, model.path)
                if known is None:
                    session.add(ModelFileRow(**values))
                    continue
                is_same = known.size_bytes == model.size_bytes and known.modified_ns in (modified_ns, NEVER_READ_NS)
                kept = ("repo", "parameters", "sha256", "revision") if is_same else ("repo", "parameters")
                if not is_same:
                    values["template_looked_by"] = ""
                for name in kept:
                    values[name] = values[name] or getattr(known, name)
                if known.owner == model.owner.value and model.is_read_only:  # it is called as its program calls it
                    values["name"] = known.name or values["name"]
                del values["added_at"], values["last_used_at"]
                for name, value in values.items():
                    setattr(known, name, value)
                if show:
                    known.is_hidden = False

    def rename(self, path: str, name: str) -> None:
        """Call a model as the person wants; empty: as its file does again."""
        self._set(path, given_name=name)

    def set_hash(self, path: str, sha256: str) -> None:
        """Keep what was computed."""
        self._set(path, sha256=sha256)

    def set_template(self, path: str, template: str | None) -> None:
        """Use a chat template in place of the file's; None: the file's again."""
        self._set(path, template=template)

    def note_templates(self, looks: Sequence[TemplateLook]) -> None:
        """Keep what was found of the templates in files, until they or Hearth change; nothing of files that have."""
        with self._database.session() as session:
            for look in looks:
                values = {"template_state": look.state.value, "template_used": look.used}
                is_same = (ModelFileRow.path == look.path) & (ModelFileRow.size_bytes == look.size_bytes)
                query = update(ModelFileRow).where(is_same)
                session.execute(query.values(values | {"template_looked_by": __version__}))

    def templates(self) -> dict[str, str]:
        """All templates that the person put in place of files', by path."""
        query = select(ModelFileRow.path, ModelFileRow.template).where(ModelFileRow.template.is_not(None))
        with self._database.reading() as session:
            return {path: template for path, template in session.execute(query) if template}

    def move(self, path: str, parts: Sequence[str]) -> None:
        """The file lies elsewhere now; everything known of it goes with it. Nothing if it was told before."""
        with self._database.session() as session:
            if session.get(ModelFileRow, path) is None:
                return
            session.execute(delete(ModelFileRow).where(ModelFileRow.path == parts[0], ModelFileRow.path != path))
            values = {"path": parts[0], "parts": _parts_json(parts)}
            session.execute(update(ModelFileRow).where(ModelFileRow.path == path).values(values))

    def hide(self, paths: Sequence[str], *, hidden: bool = True) -> None:
        """Take files off the list, not to be offered again, or put them back on it. The files themselves stay."""
        with self._database.session() as session:
            session.execute(update(ModelFileRow).where(ModelFileRow.path.in_(paths)).values(is_hidden=hidden))

    def forget(self, path: str) -> None:
        """Know nothing of a file any more: it was deleted."""
        with self._database.session() as session:
            session.execute(delete(ModelFileRow).where(ModelFileRow.path == path))

    def folders(self) -> builtins.list[str]:
        """The folders that are watched, in the order in which they were added."""
        query = select(ModelFolderRow.path).order_by(ModelFolderRow.added_at, ModelFolderRow.path)
        with self._database.reading() as session:
            return builtins.list(session.scalars(query))

    def add_folder(self, path: str, at: datetime) -> None:
        """Watch a folder."""
        row = insert(ModelFolderRow).values(path=path, added_at=at)
        with self._database.session() as session:
            session.execute(row.on_conflict_do_nothing())

    def remove_folder(self, path: str) -> None:
        """Watch a folder no more; what was found in it stays in the library."""
        with self._database.session() as session:
            session.execute(delete(ModelFolderRow).where(ModelFolderRow.path == path))

    def _set(self, path: str, **values: str | None) -> None:
        with self._database.session() as session:
            session.execute(update(ModelFileRow).where(ModelFileRow.path == path).values(values))


def _values(model: LibraryModel, modified_ns: int, at: datetime) -> dict[str, object]:
    return {
        "path": model.path,
        "name": model.name,
        "owner": model.owner.value,
        "parts": _parts_json(model.parts),
        "size_bytes": model.size_bytes,
        "modified_ns": modified_ns,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "quantization": model.quantization,
        "context_length": model.context_length,
        "has_template": model.has_template,
        "licence": model.licence,
        "sha256": model.sha256,
        "repo": model.repo,
        "revision": model.commit,
        "added_at": model.added_at or at,
        "last_used_at": model.last_used_at,
    }


def _parts_json(parts: Sequence[str]) -> str:
    return json.dumps(parts if len(parts) > 1 else [])


def _template_look(row: ModelFileRow) -> tuple[TemplateState, str]:
    """What to tell of the template in a file; nothing where the person's own is used."""
    if row.template_looked_by != __version__ or row.template_state not in TemplateState.__members__.values():
        return TemplateState.UNKNOWN, ""
    chosen = template_format(row.template or "")
    if row.template and chosen is None:
        return TemplateState.GOOD, ""
    return TemplateState(row.template_state), chosen.name if chosen is not None else row.template_used


def _model(row: ModelFileRow) -> LibraryModel:
    parts = json.loads(row.parts)
    template_state, template_used = _template_look(row)
    known_owner = row.owner in Owner.__members__.values()
    return LibraryModel(
        path=row.path,
        name=row.given_name or row.name,
        owner=Owner(row.owner) if known_owner else Owner.HEARTH,
        parts=tuple(str(part) for part in parts) or (row.path,),
        size_bytes=row.size_bytes,
        architecture=row.architecture,
        parameters=row.parameters,
        quantization=row.quantization,
        context_length=row.context_length,
        has_template=row.has_template,
        licence=row.licence,
        sha256=row.sha256,
        repo=row.repo,
        commit=row.revision,
        added_at=row.added_at,
        last_used_at=row.last_used_at,
        template_state=template_state,
        template_used=template_used,
    )
