"""The model files that a person opened, remembered."""

from __future__ import annotations

import builtins
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert

from app.storage.database import Database
from app.storage.tables import ModelFileRow


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What the list of models shows of a file without opening it; `path` may be gone by now."""

    path: str
    name: str
    size_bytes: int
    architecture: str
    parameters: int  # how many weights, 0 when unknown
    last_used_at: datetime


class ModelFileStore:
    """Every method is one transaction and raises UserError for faults of the environment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> builtins.list[ModelFile]:
        """All remembered files, last used first."""
        query = select(
            ModelFileRow.path,
            ModelFileRow.name,
            ModelFileRow.size_bytes,
            ModelFileRow.architecture,
            ModelFileRow.parameters,
            ModelFileRow.last_used_at,
        ).order_by(ModelFileRow.last_used_at.desc(), ModelFileRow.path)
        with self._database.reading() as session:
            return [ModelFile(*row) for row in session.execute(query)]

    def remember(self, model: ModelFile) -> None:
        """Add a file, or replace what was known of its path."""
        values = asdict(model)
        row = insert(ModelFileRow).values(values)
        with self._database.session() as session:
            session.execute(row.on_conflict_do_update(index_elements=[ModelFileRow.path], set_=values))

    def forget(self, path: str) -> None:
        """Take a file off the list; the file itself stays."""
        with self._database.session() as session:
            session.execute(delete(ModelFileRow).where(ModelFileRow.path == path))
