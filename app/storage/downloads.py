"""The list of downloads, so that it survives the end of the program, however it ends."""

from __future__ import annotations

import builtins
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert

from app.core.downloads import Download, DownloadFile, DownloadId, DownloadState
from app.core.errors import UserError
from app.storage.database import Database
from app.storage.tables import DownloadRow

_STATES = {state.value: state for state in DownloadState}
_KEPT = {  # what is under way begins again as soon as it may
    DownloadState.RUNNING: DownloadState.QUEUED,
    DownloadState.WAITING: DownloadState.QUEUED,
    DownloadState.SCHEDULED: DownloadState.QUEUED,
    DownloadState.VERIFYING: DownloadState.QUEUED,
}


class DownloadStore:
    """Every method is one transaction and raises UserError for faults of the environment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> builtins.list[Download]:
        """All downloads in their order; none of them is running."""
        query = select(DownloadRow).order_by(DownloadRow.position, DownloadRow.id)
        with self._database.reading() as session:
            return [_from_row(row) for row in session.scalars(query)]

    def save(self, downloads: Sequence[tuple[int, Download]], now: datetime) -> None:
        """Store downloads with their places in the list, each as new or in place of what was known of it."""
        if not downloads:
            return
        row = insert(DownloadRow)
        columns = DownloadRow.__table__.columns  # not a dictionary: going through it gives columns, not names
        changes = {name: row.excluded[name] for name in columns.keys() if name != "id"}  # noqa: SIM118
        statement = row.on_conflict_do_update(index_elements=[DownloadRow.id], set_=changes)
        with self._database.session() as session:
            session.execute(statement, [_to_row(position, download, now) for position, download in downloads])

    def forget(self, ids: Sequence[DownloadId]) -> None:
        """Take downloads off the list; their files stay."""
        with self._database.session() as session:
            session.execute(delete(DownloadRow).where(DownloadRow.id.in_(ids)))

    def cancelled_before(self, moment: datetime) -> builtins.list[Download]:
        """Those that were cancelled so long ago that nobody will bring them back."""
        is_old = (DownloadRow.state == DownloadState.CANCELLED.value) & (DownloadRow.changed_at < moment)
        with self._database.reading() as session:
            return [_from_row(row) for row in session.scalars(select(DownloadRow).where(is_old))]


def _to_row(position: int, download: Download, now: datetime) -> dict[str, Any]:
    return {
        "id": download.id,
        "position": position,
        "name": download.name,
        "repo": download.repo,
        "quantization": download.quantization,
        "folder": download.folder,
        "files": json.dumps([asdict(file) for file in download.files]),
        "state": _KEPT.get(download.state, download.state).value,
        "done_bytes": download.done_bytes,
        "total_bytes": download.total_bytes,
        "error": json.dumps(download.error.to_json()) if download.error else None,
        "path": download.path,
        "replaces": download.replaces,
        "changed_at": now,
    }


def _from_row(row: DownloadRow) -> Download:
    """A state that a later version wrote counts as paused."""
    return Download(
        DownloadId(row.id),
        row.name,
        row.repo,
        row.quantization,
        tuple(_file(data) for data in json.loads(row.files)),
        row.folder,
        _STATES.get(row.state, DownloadState.PAUSED),
        row.done_bytes,
        row.total_bytes,
        error=UserError.from_json(json.loads(row.error)) if row.error else None,
        path=row.path,
        replaces=row.replaces,
    )


def _file(data: dict[str, Any]) -> DownloadFile:
    known = DownloadFile.__dataclass_fields__
    return DownloadFile(**{name: value for name, value in data.items() if name in known})
