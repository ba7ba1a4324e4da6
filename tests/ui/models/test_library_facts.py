"""What is told of one model on this computer, in its row and in its details."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from app.ui.labels import Label
from app.ui.models.library_details import LibraryDetails
from app.ui.models.library_rows import LibraryRow
from tests.ui.models.settling import settle
from tests.ui.models.values import library_model

USED = datetime(2026, 11, 3, 12, tzinfo=UTC)


def test_copies_are_told_and_found_by_that_word(qapp: object) -> None:
    alone = LibraryRow(library_model("/a.gguf", "A"), is_current=False)
    twice = LibraryRow(library_model("/b.gguf", "B", same_as=("/c.gguf",)), is_current=False)
    assert "copies" not in alone.text
    assert "2 copies here" in twice.text
    assert "copies" in twice.searched
    assert "copies" not in alone.searched


def test_the_details_tell_when_it_was_last_used(show: Callable[..., LibraryDetails]) -> None:
    details = show(LibraryDetails())

    def told(what: str) -> str:
        settle()
        shown = [label.text() for label in details.findChildren(Label) if label.isVisible()]
        return shown[shown.index(what) + 1]

    details.show_model(library_model("/a.gguf", "A", last_used_at=USED), {})
    assert "3 November 2026" in told("Last used") or "November 3, 2026" in told("Last used")
    details.show_model(library_model("/b.gguf", "B"), {})
    assert told("Last used") == "Never"
