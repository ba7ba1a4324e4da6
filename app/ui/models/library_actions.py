"""What can be done with a model on this computer: the same in its details and in the menu of its row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import QCoreApplication

from app.core.library import LibraryModel


class ModelAction(Enum):
    """One thing to do."""

    USE = "use"
    SHOW = "show"
    RENAME = "rename"
    TEMPLATE = "template"
    MOVE = "move"
    TRASH = "trash"
    UPDATE = "update"
    COPY_PATH = "copy_path"
    HASH = "hash"
    REMOVE = "remove"


MENU_ONLY = frozenset({ModelAction.COPY_PATH})
KEYS = {ModelAction.RENAME: "F2", ModelAction.TRASH: "Del"}
"""Where the keyboard is in the list."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An action with its words, and whether it can be done now."""

    action: ModelAction
    words: str
    is_enabled: bool = True


def offers_for(model: LibraryModel) -> tuple[Offer, ...]:
    """What is offered, in order. Files of other programs are never moved or deleted."""
    tr = QCoreApplication.translate
    is_here = not model.is_missing
    offers = [
        Offer(ModelAction.USE, tr("LibraryView", "Chat now"), is_here),
        Offer(ModelAction.SHOW, tr("LibraryView", "Show in folder"), is_here),
        Offer(ModelAction.RENAME, tr("LibraryView", "Rename…")),
        Offer(ModelAction.TEMPLATE, tr("LibraryView", "Chat template…"), is_here),
    ]
    if not model.is_read_only:
        offers.append(Offer(ModelAction.MOVE, tr("LibraryView", "Move…"), is_here))
        offers.append(Offer(ModelAction.TRASH, tr("LibraryView", "Delete"), is_here))
    if model.repo:
        offers.append(Offer(ModelAction.UPDATE, tr("LibraryView", "Look for an update")))
    offers.append(Offer(ModelAction.COPY_PATH, tr("LibraryView", "Copy the path")))
    offers.append(Offer(ModelAction.REMOVE, tr("LibraryView", "Remove from list")))
    return tuple(offers)
