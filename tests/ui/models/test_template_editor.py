"""The editor of chat templates, over the services of a real profile: what is typed is tried in a real child."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QComboBox, QPlainTextEdit, QWidget
from pytestqt.qtbot import QtBot

from app.core.chat_formats import FORMATS, format_named
from app.core.template_check import FILE, OWN, Dialogue, named_template
from app.services.profile import Profile
from app.ui.models.template_editor import TemplateEditor
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.profiles import WAIT_MS, build, start_profile

__all__ = ["build", "start_profile"]

MINE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant]"
OpenEditor = Callable[..., "Editor"]


class Editor:
    """What a person sees and does."""

    def __init__(self, qtbot: QtBot, dialog: TemplateEditor, profile: Profile, path: str) -> None:
        self._qtbot, self.dialog, self.profile, self.path = qtbot, dialog, profile, path

    def named(self, name: str, kind: type[QWidget] = QWidget) -> QWidget:
        return next(widget for widget in self.dialog.findChildren(kind) if widget.accessibleName() == name)

    def press(self, name: str) -> None:
        self._qtbot.mouseClick(self.named(name, QAbstractButton), Qt.MouseButton.LeftButton)

    @property
    def source(self) -> QPlainTextEdit:
        found = self.named("Source of the template")
        assert isinstance(found, QPlainTextEdit)
        return found

    def type(self, text: str) -> None:
        self.source.setFocus()
        self.source.selectAll()
        self._qtbot.keyClick(self.source, Qt.Key.Key_Delete)
        self.source.insertPlainText(text)

    def choose(self, choice: str) -> None:
        """As with the arrow keys."""
        box = self.named("Template", QComboBox)
        assert isinstance(box, QComboBox)
        box.setFocus()
        self._qtbot.keyClick(box, Qt.Key.Key_Home)
        for _ in range(box.findData(choice)):
            self._qtbot.keyClick(box, Qt.Key.Key_Down)
        assert box.currentData() == choice

    @property
    def choice(self) -> str:
        box = self.named("Template", QComboBox)
        assert isinstance(box, QComboBox)
        return str(box.currentData())

    @property
    def preview(self) -> str:
        found = self.named("Preview")
        assert isinstance(found, QPlainTextEdit)
        return found.toPlainText()

    def can(self, name: str) -> bool:
        return self.named(name, QAbstractButton).isEnabled()

    def wait_for(self, words: str) -> None:
        self._qtbot.waitUntil(lambda: words in self.dialog.summary, timeout=WAIT_MS)

    def wait_for_preview(self, words: str) -> None:
        self._qtbot.waitUntil(lambda: words in self.preview, timeout=WAIT_MS)

    @property
    def kept(self) -> str:
        return self.profile.templates.template_of(self.path)


@pytest.fixture
def open_editor(qtbot: QtBot, start_profile: Callable[..., Profile], tmp_path: Path) -> Iterator[OpenEditor]:
    opened: list[TemplateEditor] = []

    def open_(template: str | None = tiny.CHATML, kept: str = "", name: str = "model") -> Editor:
        profile = start_profile()
        path = str(tmp_path / f"{name}.gguf")
        tiny.write_model(Path(path), tiny.bpe_vocabulary(), architecture="qwen2", template=template)
        if kept:
            profile.templates.save(path, kept)
        dialog = TemplateEditor(profile.templates, path)
        opened.append(dialog)
        dialog.open()
        return Editor(qtbot, dialog, profile, path)

    yield open_
    for dialog in opened:
        if shiboken6.isValid(dialog):
            dialog.done(0)
            shiboken6.delete(dialog)


def test_the_files_own_template_is_shown_with_what_it_writes(open_editor: OpenEditor) -> None:
    editor = open_editor()
    editor.wait_for("The file's own template works.")
    assert editor.source.toPlainText() == tiny.CHATML
    assert "<|im_start|>user" in editor.preview
    editor.press("Three turns")
    assert "Mercury." in editor.preview
    assert not editor.can("Save")
    assert not editor.can("Back to the file's own")


def test_what_is_typed_is_tried_and_kept_by_save(open_editor: OpenEditor) -> None:
    editor = open_editor()
    editor.wait_for("works")
    editor.type(MINE)
    assert editor.choice == OWN
    assert not editor.can("Save")  # it was not tried yet
    editor.wait_for("Your template works.")
    assert editor.preview.endswith("[user] Which planet is the largest?\n[assistant]")
    assert editor.kept == ""
    editor.press("Save")
    assert editor.kept == MINE
    assert not editor.dialog.isVisible()


def test_a_mistake_is_told_with_its_line_and_cannot_be_kept(open_editor: OpenEditor) -> None:
    editor = open_editor()
    editor.wait_for("works")
    editor.type("{% for m in messages %}\n{{ m.content\n{% endfor %}")
    editor.wait_for("does not work")
    assert "Line 3: " in editor.dialog.summary
    assert not editor.can("Save")
    assert editor.named("System prompt: fails", QAbstractButton).isVisible()
    assert editor.preview == ""
    editor.press("Go to the line")
    assert editor.source.textCursor().blockNumber() == 2
    editor.type(MINE)
    editor.wait_for("Your template works.")
    assert editor.can("Save")
    assert editor.named("System prompt", QAbstractButton).isVisible()


def test_what_fails_on_one_dialogue_only_can_be_kept(open_editor: OpenEditor) -> None:
    editor = open_editor()
    editor.wait_for("works")
    editor.type("{% if tools %}{{ raise_exception('No tools here') }}{% endif %}" + MINE)
    editor.wait_for("Your template works.")
    editor.press("Tool call: fails")
    assert editor.preview == ""
    assert editor.can("Save")


def test_one_of_the_table(open_editor: OpenEditor) -> None:
    editor = open_editor()
    editor.wait_for("works")
    editor.choose(named_template("vicuna"))
    editor.wait_for("“vicuna”")
    vicuna = format_named("vicuna")
    assert vicuna is not None
    assert editor.source.toPlainText() == vicuna.source
    assert editor.preview.endswith("USER: Which planet is the largest? ASSISTANT:")
    editor.press("Save")
    assert editor.kept == named_template("vicuna")


def test_every_format_can_be_chosen_and_doubtful_ones_say_so(open_editor: OpenEditor) -> None:
    editor = open_editor()
    box = editor.named("Template", QComboBox)
    assert isinstance(box, QComboBox)
    texts = {box.itemData(place): box.itemText(place) for place in range(box.count())}
    assert texts.keys() == {FILE, OWN, *(named_template(known.name) for known in FORMATS)}
    for known in FORMATS:
        assert ("not confirmed" in texts[named_template(known.name)]) is not known.is_confirmed
    editor.wait_for("works")


def test_back_to_the_files_own_with_one_click(open_editor: OpenEditor) -> None:
    editor = open_editor(kept=MINE)
    editor.wait_for("Your template works.")
    assert editor.source.toPlainText() == MINE
    editor.press("Back to the file's own")
    assert editor.kept == ""
    editor.wait_for("The file's own template works.")
    assert editor.source.toPlainText() == tiny.CHATML
    editor.choose(OWN)  # what was written is not lost before the window is closed
    editor.wait_for("Your template works.")
    assert editor.source.toPlainText() == MINE


def test_a_file_without_a_template_says_what_is_used_and_can_be_given_one(open_editor: OpenEditor) -> None:
    editor = open_editor(template=None)
    editor.wait_for("This file carries no chat template. Hearth uses “chatml”")
    assert editor.source.toPlainText() == ""
    assert "<|im_start|>" in editor.preview
    editor.choose(OWN)  # it begins as what was in use
    editor.wait_for("Your template works.")
    chatml = format_named("chatml")
    assert chatml is not None
    assert editor.source.toPlainText() == chatml.source


def test_what_was_written_is_not_lost_by_one_key(qtbot: QtBot, open_editor: OpenEditor) -> None:
    editor = open_editor()
    editor.wait_for("works")
    editor.type(MINE)
    editor.wait_for("Your template works.")
    qtbot.keyClick(editor.dialog, Qt.Key.Key_Escape)
    assert editor.dialog.isVisible()
    assert "not saved" in editor.dialog.summary
    editor.press("Discard changes")
    assert not editor.dialog.isVisible()
    assert editor.kept == ""


def test_a_no_break_space_stays_one(open_editor: OpenEditor) -> None:
    editor = open_editor()
    editor.wait_for("works")
    editor.type(MINE + "\u00a0:")
    editor.wait_for("Your template works.")
    editor.press("Save")
    assert editor.kept == MINE + "\u00a0:"


def test_a_file_that_is_gone_is_told(qtbot: QtBot, open_editor: OpenEditor) -> None:
    editor = open_editor()
    editor.wait_for("works")
    Path(editor.path).unlink()
    editor.type(MINE)
    qtbot.waitUntil(lambda: "works" not in editor.dialog.summary, timeout=WAIT_MS)
    assert editor.dialog.summary
    assert not editor.can("Save")


def test_everything_has_a_name_and_is_reached_by_tab(qtbot: QtBot, open_editor: OpenEditor) -> None:
    editor = open_editor()
    editor.wait_for("works")
    editor.type(MINE)
    editor.wait_for("Your template works.")
    seen: list[str] = []
    editor.named("Template", QComboBox).setFocus()
    for _ in range(20):
        focused = editor.dialog.focusWidget()
        assert focused is not None
        assert focused.accessibleName()
        if focused.accessibleName() in seen:
            break
        seen.append(focused.accessibleName())
        qtbot.keyClick(focused, Qt.Key.Key_Tab)
    wanted = {"Template", "Back to the file's own", "Source of the template", "Preview", "Cancel", "Save"}
    assert wanted | {editor.dialog.preview.buttons[each].accessibleName() for each in Dialogue} == set(seen)
    assert seen.index("Source of the template") < seen.index("Preview") < seen.index("Save")
