"""Which few models to offer first to somebody who does not want to choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from app.core.catalog import ModelKind
from app.ui.models.catalogue_rows import CatalogueRow

QUICK_WORDS = 12.0  # a second: two or three times as fast as most people read


class BestFor(Enum):
    """What one of them is offered for."""

    MOST = "most"
    SPEED = "speed"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class BestModel:
    """One of them."""

    purpose: BestFor
    row: CatalogueRow


def best_models(rows: Sequence[CatalogueRow]) -> tuple[BestModel, ...]:
    """Up to three of the recommended rows: the largest that runs well, a quick one, and one for code.

    Where nothing runs well, the smallest that runs at all. Each can be had with one click.
    """
    ready = [
        row
        for row in rows
        if row.model.recommended and row.runs_here and row.suggested is not None and row.suggested.parts
    ]
    ready.sort(key=lambda row: row.model.parameters or 0)
    chats = [row for row in ready if row.model.kind in (ModelKind.CHAT, ModelKind.VISION)]
    codes = [row for row in ready if row.model.kind is ModelKind.CODE]
    best: dict[str, BestModel] = {}
    for purpose, row in (
        (BestFor.MOST, _largest_good(chats)),
        (BestFor.SPEED, _quick(chats)),
        (BestFor.CODE, _largest_good(codes)),
    ):
        if row is not None:
            best.setdefault(row.model.id, BestModel(purpose, row))
    return tuple(best.values())


def judged_anew(shown: Sequence[BestModel], rows: Sequence[CatalogueRow]) -> tuple[BestModel, ...]:
    """The same models for the same purposes, as `rows` judge them now; what can no longer be had is left out."""
    ready = {row.model.id: row for row in rows if row.suggested is not None and row.suggested.parts}
    return tuple(BestModel(best.purpose, ready[best.row.model.id]) for best in shown if best.row.model.id in ready)


def _largest_good(rows: Sequence[CatalogueRow]) -> CatalogueRow | None:
    good = [row for row in rows if row.runs_well]
    return _last(good) or (rows[0] if rows else None)


def _quick(rows: Sequence[CatalogueRow]) -> CatalogueRow | None:
    """The largest of those that are quick, leaving out what is offered for most; the smallest where none is quick."""
    taken = _largest_good(rows)
    quick = [row for row in rows if row.words_per_second >= QUICK_WORDS and row is not taken]
    return _last(quick) or (rows[0] if rows else None)


def _last(rows: Sequence[CatalogueRow]) -> CatalogueRow | None:
    return rows[-1] if rows else None
