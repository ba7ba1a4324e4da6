"""Devices, plan and rest in the real window, with a real child that plays made-up GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QLabel, QWidget

from app.core.events import Device, ModelBesideClosed
from app.services import hardware
from app.ui.buttons import Button
from app.ui.device_field import DeviceField
from app.ui.pages.device_list import DeviceList
from app.ui.pages.plan_view import PlanView
from app.ui.pages.settings_page import SettingsPage
from tests.fixtures import tiny_gguf as tiny
from tests.ui.window.conftest import OpenWindow
from tests.ui.window.person import CONTROL, Person

Key = Qt.Key
GPU = {"name": "Vulkan0", "description": "Shiny card"}
DEADLY = {"path": "big", "device": "Vulkan", "crash": {"exit_code": 3}}


def words_in(widget: QWidget | None) -> str:
    """What a person can read in it."""
    assert widget is not None
    return "\n".join(label.text() for label in widget.findChildren(QLabel) if label.isVisible())


def show_settings(person: Person) -> SettingsPage:
    person.press(Key.Key_Comma, CONTROL)
    return person.page("settings")


def box_in(widget: QWidget, name: str) -> QComboBox:
    return next(box for box in widget.findChildren(QComboBox) if box.accessibleName() == name)


def pick(person: Person, box: QComboBox, text: str) -> None:
    box.setFocus()
    for _ in range(box.count()):
        if box.currentText() == text:
            return
        QTest.keyClick(box, Key.Key_Down)
    for _ in range(box.count()):
        if box.currentText() == text:
            return
        QTest.keyClick(box, Key.Key_Up)
    raise AssertionError(f"no {text!r}")


def test_the_plan_is_told_in_words_and_figures(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "words"}], gpus=[GPU])
    page = show_settings(person)
    plan = page.findChild(PlanView)
    assert plan is not None
    person.wait(lambda: "“Built-in model” runs on Shiny card" in words_in(plan))
    figures = next(button for button in plan.findChildren(Button) if button.text() == "Figures")
    assert "Cache type" not in words_in(plan)
    figures.setFocus()
    QTest.keyClick(figures, Key.Key_Space)
    assert "Cache type" in words_in(plan)


def test_a_model_that_stays_beside_another_is_in_the_plan_for_as_long_as_it_does(
    open_window: OpenWindow, tmp_path: Path
) -> None:
    person = open_window(model=tiny.write_model(tmp_path / "m.gguf", tiny.bpe_vocabulary(), name="Talker"))
    plan = show_settings(person).findChild(PlanView)
    person.wait(lambda: "“Talker” runs on" in words_in(plan))
    person.profile.models.load(None)
    person.wait(lambda: person.profile.models.is_builtin and not person.profile.models.is_loading)
    assert "“Talker” was used before and stays in memory as well" in words_in(plan)
    person.profile.engine.event_received.emit(ModelBesideClosed(0))
    assert "Talker" not in words_in(plan)


def test_a_device_is_chosen_with_the_keyboard_for_all_and_for_one(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "words"}], gpus=[GPU])
    page = show_settings(person)
    plan = page.findChild(PlanView)
    person.wait(lambda: "runs on Shiny card" in words_in(plan))
    pick(person, box_in(page, "Runs on"), "Scripted processor")
    person.wait(lambda: "runs on the processor" in words_in(plan))
    assert person.profile.settings.string("model.device") == "CPU"
    pick(person, box_in(page, "This model alone runs on"), "Shiny card")
    person.wait(lambda: "runs on Shiny card" in words_in(plan))


def test_hearths_own_choice_is_named(open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "SELF_TEST_DELAY_MS", 50)
    person = open_window(answers=[{"text": "words"}], gpus=[GPU])
    page = show_settings(person)
    person.wait(lambda: "Shiny card" in box_in(page, "Runs on").itemText(0))
    assert "reads 1,000, writes 100 tokens per second" in words_in(page.findChild(DeviceList))


def test_a_card_that_crashed_can_be_tried_again(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "words"}], gpus=[GPU], loads=[DEADLY, {"name": "Built in"}])
    page = show_settings(person)
    devices = page.findChild(DeviceList)
    person.wait(lambda: "Shiny card" in words_in(devices))
    person.profile.models.load("/big.gguf")
    person.wait(lambda: "stopped the engine" in words_in(devices))
    assert person.buttons("Try it again", devices) == [person.button("Try Shiny card again", devices)]
    (row,) = (each for each in devices.findChildren(QWidget) if "stopped the engine" in words_in(each))
    assert person.buttons("Try it again", row)
    person.click("Try it again")
    person.wait(lambda: "stopped the engine" not in words_in(devices))
    assert person.profile.models.is_builtin


def test_without_a_model_the_page_says_so(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "words"}])
    page = show_settings(person)
    plan = page.findChild(PlanView)
    person.wait(lambda: "runs on" in words_in(plan))
    person.wait(lambda: not person.profile.engine.is_busy)
    person.profile.models.rest()
    assert "No model is in memory" in words_in(plan)
    with person.qtbot.waitSignal(person.profile.models.load_started):
        person.profile.models.wake()
    assert "The model is being loaded" in words_in(plan)
    person.press(Key.Key_1, CONTROL)
    person.say("hello")
    assert person.answer.text == "words"
    assert "runs on" in words_in(show_settings(person).findChild(PlanView))


def test_a_device_that_is_not_there_now_stays_the_choice(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "words"}])
    field = person.page("settings").field("model.device")
    assert isinstance(field, DeviceField)
    field.set_value("CUDA0")
    field.set_devices([Device("CPU", "Some Processor", "cpu", 1, 2)], "CPU")
    assert field.value() == "CUDA0"
    assert box_in(field, "Runs on").currentText() == "CUDA0 (not there now)"
