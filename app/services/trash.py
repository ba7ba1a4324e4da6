"""The system's trash: models are deleted so that they can be fetched back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QFile

from app.core.errors import ErrorKind, UserError
from app.core.library import LibraryModel


@dataclass(frozen=True, slots=True)
class Trashed:
    """What was moved to the trash, to be fetched back: the model, and each part's place there."""

    model: LibraryModel
    places: tuple[tuple[str, str], ...]  # where it was, where it is


def move_to_trash(parts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Move the files of a model to the trash, all or none: where each was and is. Raises UserError TRASH_FAILED."""
    places: list[tuple[str, str]] = []
    for part in parts:
        file = QFile(part)
        if not file.moveToTrash():
            for was, now in places:
                with suppress(OSError):
                    _take_back(was, now)
            raise UserError(ErrorKind.TRASH_FAILED, path=part, reason=_refusal(Path(part)))
        places.append((part, file.fileName()))  # where it is now
    return tuple(places)


def _refusal(path: Path) -> str:
    """Qt does not say why; these are the usual reasons."""
    if not path.exists():
        return "the file is gone"
    return "this drive has no trash, or the file is in use"


def fetch_from_trash(trashed: Trashed) -> None:
    """Put the files of a model back where they were, all or none. Raises UserError MOVE_FAILED."""
    for was, now in trashed.places:
        if os.path.lexists(was):
            raise UserError(ErrorKind.MOVE_FAILED, path=now, reason="another file is in its place")
        if not os.path.lexists(now):
            raise UserError(ErrorKind.MOVE_FAILED, path=now, reason="the trash was emptied")
    for was, now in trashed.places:
        try:
            _take_back(was, now)
        except OSError as error:
            raise UserError(ErrorKind.MOVE_FAILED, path=now, reason=error.strerror or str(error)) from error


def _take_back(was: str, now: str) -> None:
    """Put one file back. Raises OSError."""
    Path(was).parent.mkdir(parents=True, exist_ok=True)
    Path(now).rename(was)
    place = Path(now).parent
    if place.name == "files":  # of the trash of freedesktop.org, which notes beside where each file came from
        with suppress(OSError):
            (place.parent / "info" / f"{Path(now).name}.trashinfo").unlink()
