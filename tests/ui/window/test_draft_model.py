"""The draft model in the settings of the real window, with a real child that plays from a script."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QFileDialog, QLabel

from app.ui.draft_field import DraftField
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import Person

Key = Qt.Key
NAME = "Draft model for this model"
SMALL = {"path": "small", "name": "Small"}


def show_field(person: Person) -> DraftField:
    """Open the expert part of the settings of models, with the keyboard."""
    field = person.open_expert_models_settings().findChild(DraftField)
    assert isinstance(field, DraftField)
    assert field.isVisible()
    return field


def box_of(field: DraftField) -> QComboBox:
    return next(box for box in field.findChildren(QComboBox) if box.accessibleName() == NAME)


def words_of(field: DraftField) -> str:
    return "\n".join(label.text() for label in field.findChildren(QLabel) if label.isVisible())


def pick(field: DraftField, text: str) -> None:
    """Choose with the arrow keys."""
    box = box_of(field)
    box.setFocus()
    step = Key.Key_Down if box.findText(text) > box.currentIndex() else Key.Key_Up
    for _ in range(abs(box.findText(text) - box.currentIndex())):
        QTest.keyClick(box, step)


def choosing(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *arguments: (path, ""))


def test_a_file_is_chosen_used_and_given_up_again(
    open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    person = open_window(answers=[{"text": "words"}], loads=[SMALL, {"name": "Built in"}])
    field = show_field(person)
    assert box_of(field).currentText() == "None"
    path = str(tmp_path / "small.gguf")
    choosing(monkeypatch, path)
    pick(field, "Choose a file…")
    person.wait(lambda: "“Small” guesses ahead" in words_of(field))
    assert box_of(field).currentText() == "small.gguf"
    assert person.profile.models.draft == path
    pick(field, "None")
    person.wait(lambda: "guesses ahead" not in words_of(field))
    person.wait(lambda: not person.profile.models.is_loading)
    assert person.profile.models.draft == ""
    assert box_of(field).findText("small.gguf") == -1


def test_a_dialog_that_is_closed_changes_nothing(open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    person = open_window(answers=[{"text": "words"}])
    field = show_field(person)
    choosing(monkeypatch, "")
    pick(field, "Choose a file…")
    assert box_of(field).currentText() == "None"
    assert person.profile.models.draft == ""


def test_why_a_draft_model_is_not_used_is_told(open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"path": "gone", "error": {"kind": "file_missing", "details": {}}}
    person = open_window(answers=[{"text": "words"}], loads=[gone, {"name": "Built in"}])
    field = show_field(person)
    told: list[str] = []
    person.profile.models.noticed.connect(told.append)
    choosing(monkeypatch, "/gone.gguf")
    pick(field, "Choose a file…")
    person.wait(lambda: bool(told))
    person.wait(lambda: "not used now" in words_of(field))
    assert len(told) == 1
    assert "“gone.gguf” is not used" in told[0]
