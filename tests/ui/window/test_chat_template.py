"""A person's own chat template, through the real window and the real engine, over a restart and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPlainTextEdit

from app.ui.models.page import ModelsPage, ModelsView
from app.ui.models.template_editor import TemplateEditor
from tests.fixtures import tiny_gguf as tiny
from tests.ui.window.conftest import OpenWindow, quit_hearth
from tests.ui.window.person import Person

MINE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny.write_model(
        tmp_path / "vicuna-tiny.gguf", tiny.spm_vocabulary(), template=tiny.CHATML, context_length=2048
    )


def open_editor(person: Person, model: Path) -> TemplateEditor:
    person.click("Models")
    page = person.page("models")
    assert isinstance(page, ModelsPage)
    page.show_view(ModelsView.LIBRARY)
    person.wait(lambda: page.library.list.choose(str(model)))
    QTest.keyClick(page.library.list, Qt.Key.Key_Return)
    person.click("Chat template…", page)
    (editor,) = (each for each in person.window.findChildren(TemplateEditor) if each.isVisible())
    person.wait(lambda: "works" in editor.summary)
    return editor


def uses(person: Person, template: str) -> bool:
    info = person.profile.models.info
    return info is not None and info.template == template


def test_from_the_list_to_an_own_template_and_back(open_window: OpenWindow, model: Path) -> None:
    person = open_window(model=model)
    assert uses(person, "file")
    editor = open_editor(person, model)
    source = editor.findChild(QPlainTextEdit)
    assert isinstance(source, QPlainTextEdit)
    source.selectAll()
    source.insertPlainText(MINE)
    person.wait(lambda: "Your template works." in editor.summary)
    assert "user: Which planet is the largest?\nassistant:" in editor.preview.text
    person.click("Save", editor)
    person.wait(lambda: uses(person, "own"))
    person.wait(lambda: person.stored("SELECT template FROM model_files WHERE template IS NOT NULL") == [(MINE,)])
    quit_hearth(person.window, person.profile)

    person = open_window()  # the last model
    person.wait(lambda: uses(person, "own"))
    editor = open_editor(person, model)
    person.click("Back to the file's own", editor)
    person.wait(lambda: uses(person, "file"))
    person.wait(lambda: "The file's own template works." in editor.summary)
    person.click("Cancel", editor)
    assert not editor.isVisible()
