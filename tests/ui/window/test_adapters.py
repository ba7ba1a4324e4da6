"""LoRA adapters in the settings of the real window, on a real model."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDoubleSpinBox, QFileDialog, QLabel

from app.ui.adapter_field import AdapterField
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.tiny_adapter import pair, redirection, write_adapter
from tests.fixtures.tiny_gguf import byte_token, chain
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import CONTROL, Person

Key = Qt.Key
VOCABULARY = tiny.bpe_vocabulary(pieces=("Hello", " wo", "rld"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """It says "Hello world"."""
    script = chain(byte_token("\n"), "Hello", byte_token(" world"))
    path = tmp_path / "talker.gguf"
    return tiny.write_model(path, VOCABULARY, template=tiny.CHATML, name="Talker", successors=script)


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    """With it the model says "Hello cat"."""
    return write_adapter(tmp_path / "cat.gguf", redirection(VOCABULARY, "Hello", byte_token(" cat")))


def show_field(person: Person) -> AdapterField:
    """Open the expert part of the settings of models, with the keyboard."""
    person.wait(lambda: person.model_name == "Talker")
    field = person.open_expert_models_settings().findChild(AdapterField)
    assert isinstance(field, AdapterField)
    assert field.isVisible()
    return field


def words_of(field: AdapterField) -> str:
    return "\n".join(label.text() for label in field.findChildren(QLabel) if label.isVisible())


def add(person: Person, field: AdapterField, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *arguments: (str(path), ""))
    person.click("Add an adapter…", field)


def answer(person: Person) -> str:
    """What the model says now."""
    person.press(Key.Key_1, CONTROL)
    person.press(Key.Key_N, CONTROL)
    person.say("go")
    return person.answer.text


def test_an_adapter_is_added_weighed_and_taken_away_without_loading_the_model_again(
    open_window: OpenWindow, model: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = open_window(model=model)
    assert answer(person) == "Hello world"
    field = show_field(person)
    progress: list[float] = []
    person.profile.models.load_progressed.connect(progress.append)
    add(person, field, cat, monkeypatch)
    person.wait(lambda: "They are in use." in words_of(field))
    assert "cat.gguf" in words_of(field)
    assert answer(person) == "Hello cat"

    field = show_field(person)
    strength = next(box for box in field.findChildren(QDoubleSpinBox))
    assert (strength.value(), strength.accessibleName()) == (100, "Strength of cat.gguf")
    strength.setFocus()
    strength.selectAll()
    QTest.keyClicks(strength, "0")
    with person.qtbot.waitSignal(person.profile.models.loaded, timeout=20_000):
        QTest.keyClick(strength, Key.Key_Return)
    assert answer(person) == "Hello world"

    field = show_field(person)
    with person.qtbot.waitSignal(person.profile.models.loaded, timeout=20_000):
        person.click("Remove cat.gguf", field)
    assert "cat.gguf" not in words_of(field)
    assert answer(person) == "Hello world"
    assert progress == []


def test_the_choice_is_the_models_own_and_survives_a_restart(
    open_window: OpenWindow, model: Path, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = open_window(model=model)
    field = show_field(person)
    add(person, field, cat, monkeypatch)
    person.wait(lambda: "They are in use." in words_of(field))
    person.profile.models.load(None)
    person.wait(lambda: person.profile.models.is_builtin and not person.profile.models.is_loading)
    person.wait(lambda: "cat.gguf" not in words_of(field))
    person.profile.models.load(str(model))
    person.wait(lambda: "They are in use." in words_of(field))
    person.profile.shut_down()
    again = open_window()
    again.wait(lambda: again.model_name == "Talker")
    assert answer(again) == "Hello cat"


def test_one_that_does_not_fit_is_told_and_the_model_goes_on(
    open_window: OpenWindow, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = write_adapter(tmp_path / "wide.gguf", pair("blk.0.attn_q.weight", 4096, 4096))
    person = open_window(model=model)
    told: list[str] = []
    person.profile.models.noticed.connect(told.append)
    field = show_field(person)
    add(person, field, wide, monkeypatch)
    person.wait(lambda: bool(told) and not person.profile.models.is_loading)
    assert "They are not used now." in words_of(field)
    assert "“wide.gguf” is not for this model" in told[0]
    assert answer(person) == "Hello world"

    field = show_field(person)
    assert told[0] in person.notices
    with person.qtbot.waitSignal(person.profile.models.loaded, timeout=20_000):
        person.click("Remove wide.gguf", field)
    assert told[0] not in person.notices
