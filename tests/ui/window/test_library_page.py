"""The models on this computer, in the real window over real files."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from app.ui.models.page import ModelsPage, ModelsView
from tests.fixtures import tiny_gguf as tiny
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import Person


def show_library(person: Person, folder: Path) -> ModelsPage:
    person.profile.library.add_folder(str(folder))
    person.window.show_page("models")
    page = person.page("models")
    assert isinstance(page, ModelsPage)
    page.show_view(ModelsView.LIBRARY)
    return page


def press(page: ModelsPage, text: str) -> None:
    button = page.library.button(text)
    assert button is not None
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_a_model_that_is_moved_stays_in_sight(
    open_window: OpenWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, names in ((here, "ab"), (there, "")):
        folder.mkdir()
        for name in names:
            tiny.write_endless_model(folder / f"{name}.gguf")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(there))
    person = open_window(loads=[{}])
    page = show_library(person, here)
    person.wait(lambda: len(page.library.list.rows) == 3)
    page.library.list.choose(str(here / "a.gguf"))
    QTest.keyClick(page.library.list, Qt.Key.Key_Return)
    press(page, "Move…")
    moved = str(there / "a.gguf")
    person.wait(lambda: any(row.key == moved for row in page.library.list.rows))
    person.wait(lambda: person.profile.library.model(moved) is not None)
    assert page.library.shown_path == moved
    assert page.library.list.current_key == moved
    assert page.library.button("Move…") is not None
