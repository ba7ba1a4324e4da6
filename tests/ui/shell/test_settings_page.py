from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
)
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.core.events import Device
from app.core.settings import SETTING_OF, SETTINGS, Setting, Value, read_settings
from app.ui.buttons import Button
from app.ui.pages.settings_page import SettingsPage
from app.ui.setting_fields import TYPING_PAUSE_MS
from app.ui.setting_words import words_for
from tests.ui.shell.values import BackupValue, Recorder

SHOWN = [setting for setting in SETTINGS if setting.shown]


@pytest.fixture
def page(qtbot: QtBot) -> SettingsPage:
    page = SettingsPage()
    qtbot.addWidget(page)
    page.resize(540, 600)
    page.set_values(read_settings({}))
    with qtbot.waitExposed(page):
        page.show()
    page.activateWindow()
    return page


def button(page: SettingsPage, name: str) -> Button:
    return next(b for b in page.findChildren(Button) if b.accessibleName() == name)


def words_on(page: SettingsPage) -> str:
    labels = [label.text() for label in page.findChildren(QLabel)]
    return "\n".join([*labels, *(edit.text() for edit in page.findChildren(QLineEdit))])


def test_one_minute_is_not_called_minutes(page: SettingsPage) -> None:
    page.set_values({"model.idle_minutes": 1})
    assert "1 min" in [edit.text() for edit in page.field("model.idle_minutes").findChildren(QLineEdit)]


def test_hours_can_be_set_once_they_count(page: SettingsPage) -> None:
    hours = [page.field(f"downloads.night_{end}_hour") for end in ("from", "until")]
    assert not any(field.isEnabled() for field in hours)
    page.set_values({"downloads.at_night": True})
    assert all(field.isEnabled() for field in hours)
    page.set_values({"downloads.at_night": False})
    assert not any(field.isEnabled() for field in hours)


LOWEST_HAS_A_NAME = {"model.idle_minutes", "model.gpu_layers", "model.state_limit_gb"}


def test_every_setting_has_a_name_and_one_line_of_help(page: SettingsPage) -> None:
    shown = words_on(page)
    for setting in SHOWN:
        words = words_for(setting.key)
        assert words.label in shown
        assert words.help in shown
        assert words.label, setting.key
        assert words.help.endswith("."), setting.key
        assert set(words.choices) == set(setting.choices), setting.key
        has_a_name = (setting.default == 0 and setting.kind is not bool) or setting.key in LOWEST_HAS_A_NAME
        assert bool(words.zero) == has_a_name, setting.key


def samples(setting: Setting) -> list[Value]:
    if setting.choices:
        return [setting.default, *setting.choices]
    if setting.kind is bool:
        return [False, True]
    if setting.legal is not None:
        return [setting.default, "tower:50052, 192.168.0.7:50052"]
    if setting.kind is str:
        return [setting.default, "Answer briefly.\nPlease." if setting.lines > 1 else "http://proxy:8080"]
    return [setting.default, setting.kind(setting.minimum), setting.kind(setting.maximum)]


def test_a_field_shows_every_kind_of_value(page: SettingsPage) -> None:
    told = Recorder()
    page.setting_changed.connect(told)
    for setting in SHOWN:
        field = page.field(setting.key)
        for sample in samples(setting):
            page.set_values({setting.key: sample})
            assert field.value() == sample
            assert setting.accepts(field.value()), setting.key
    assert told.calls == []


def test_a_choice_applies_at_once(qtbot: QtBot, page: SettingsPage) -> None:
    box = page.field("appearance.theme").findChild(QComboBox)
    assert box is not None
    box.setFocus()
    with qtbot.waitSignal(page.setting_changed) as changed:
        qtbot.keyClick(box, Qt.Key.Key_Down)
    assert changed.args == ["appearance.theme", "light"]


def test_a_switch_applies_at_once(qtbot: QtBot, page: SettingsPage) -> None:
    box = page.field("hub.offline").findChild(QCheckBox)
    assert box is not None
    for state in (True, False):
        with qtbot.waitSignal(page.setting_changed) as changed:
            qtbot.keyClick(box, Qt.Key.Key_Space)
        assert changed.args == ["hub.offline", state]


def test_a_line_is_told_when_it_is_complete(qtbot: QtBot, page: SettingsPage) -> None:
    told = Recorder()
    page.setting_changed.connect(told)
    edit = page.field("hub.endpoint").findChild(QLineEdit)
    assert edit is not None
    edit.setFocus()
    qtbot.keyClicks(edit, "https://mirror")
    page.set_values({"hub.endpoint": "https://elsewhere"})
    qtbot.keyClicks(edit, ".example ")
    qtbot.wait(TYPING_PAUSE_MS + 50)
    assert told.calls == [], "half an address is none"
    qtbot.keyClick(edit, Qt.Key.Key_Return)
    assert told.calls == [("hub.endpoint", "https://mirror.example")]
    qtbot.keyClicks(edit, "/x")
    page.hide()
    assert told.calls[1:] == [("hub.endpoint", "https://mirror.example /x")]


def test_a_figure_applies_at_once(qtbot: QtBot, page: SettingsPage) -> None:
    box = page.field("appearance.text_percent").findChild(QDoubleSpinBox)
    assert box is not None
    with qtbot.waitSignal(page.setting_changed) as changed:
        qtbot.keyClick(box, Qt.Key.Key_Up)
    assert changed.args == ["appearance.text_percent", 110]
    assert isinstance(changed.args[1], int)


def test_as_the_model_suggests_is_a_state_of_its_own(qtbot: QtBot, page: SettingsPage) -> None:
    field = page.field("sampling.temperature")
    follow, box = field.findChild(QCheckBox), field.findChild(QDoubleSpinBox)
    assert follow is not None
    assert box is not None
    assert follow.isChecked()
    assert not box.isEnabled()
    with qtbot.waitSignal(page.setting_changed) as changed:
        qtbot.keyClick(follow, Qt.Key.Key_Space)
    assert changed.args == ["sampling.temperature", 0.8]
    assert box.isEnabled()
    with qtbot.waitSignal(page.setting_changed) as changed:
        qtbot.keyClick(follow, Qt.Key.Key_Space)
    assert changed.args == ["sampling.temperature", None]


def test_the_largest_seed_can_be_typed(qtbot: QtBot, page: SettingsPage) -> None:
    field = page.field("sampling.seed")
    page.set_values({"sampling.seed": 1})
    box = field.findChild(QDoubleSpinBox)
    assert box is not None
    box.selectAll()
    qtbot.keyClicks(box, "4294967295")
    with qtbot.waitSignal(page.setting_changed) as changed:
        qtbot.keyClick(box, Qt.Key.Key_Return)
    assert changed.args == ["sampling.seed", 0xFFFFFFFF]


def test_instructions_are_told_after_a_pause_and_keep_the_cursor(qtbot: QtBot, page: SettingsPage) -> None:
    edit = page.field("answers.system_prompt").findChild(QPlainTextEdit)
    assert edit is not None
    with qtbot.waitSignal(page.setting_changed) as changed:
        qtbot.keyClicks(edit, "Be brief.")
    assert changed.args == ["answers.system_prompt", "Be brief."]
    qtbot.keyClick(edit, Qt.Key.Key_Left)
    page.set_values({"answers.system_prompt": "Be brief."})
    assert edit.textCursor().position() == len("Be brief")


def test_instructions_being_typed_stay_when_something_else_changes(qtbot: QtBot, page: SettingsPage) -> None:
    edit = page.field("answers.system_prompt").findChild(QPlainTextEdit)
    assert edit is not None
    with qtbot.waitSignal(page.setting_changed) as changed:
        qtbot.keyClicks(edit, "Be brief.")
        page.set_values(read_settings({}))  # such as a larger text, by key
    assert changed.args == ["answers.system_prompt", "Be brief."]


def test_instructions_are_told_when_the_window_closes(qtbot: QtBot, page: SettingsPage) -> None:
    edit = page.field("answers.system_prompt").findChild(QPlainTextEdit)
    assert edit is not None
    qtbot.keyClicks(edit, "Be brief.")
    told = Recorder()
    page.setting_changed.connect(told)
    page.close()
    assert told.calls == [("answers.system_prompt", "Be brief.")]


def test_expert_settings_are_folded_away(qtbot: QtBot, page: SettingsPage) -> None:
    assert not page.field("sampling.mirostat").isVisible()
    qtbot.mouseClick(button(page, "More settings: Answers"), Qt.MouseButton.LeftButton)
    assert page.field("sampling.mirostat").isVisible()
    experts = {setting.key for setting in SHOWN if setting.expert}
    assert {key for key in experts if page.field(key).isVisible()} == {k for k in experts if k.startswith("sampling.")}


def test_reset_and_its_undo(qtbot: QtBot, page: SettingsPage) -> None:
    page.set_values({"answers.system_prompt": "Be brief.", "sampling.top_k": 7})
    told = Recorder()
    page.setting_changed.connect(told)
    reset = button(page, "Reset to defaults: Answers")
    reset.click()
    assert sorted(told.calls) == [("answers.system_prompt", ""), ("sampling.top_k", None)]
    assert reset.text() == "Undo the reset"
    told.calls.clear()
    reset.click()
    assert sorted(told.calls) == [("answers.system_prompt", "Be brief."), ("sampling.top_k", 7)]
    assert reset.text() == "Reset to defaults"


def test_reset_without_changes_says_nothing(page: SettingsPage) -> None:
    told = Recorder()
    page.setting_changed.connect(told)
    button(page, "Reset to defaults: Model").click()
    assert told.calls == []


def test_the_wheel_scrolls_the_page_and_changes_nothing(qtbot: QtBot, page: SettingsPage) -> None:
    field = page.field("appearance.text_percent")
    box = field.findChild(QDoubleSpinBox)
    assert box is not None
    page.setFocus()
    told = Recorder()
    page.setting_changed.connect(told)
    place = QPointF(box.rect().center())
    event = QWheelEvent(
        place,
        QPointF(box.mapToGlobal(place.toPoint())),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(box, event)
    assert told.calls == []


def test_tab_brings_the_focused_field_into_view(qtbot: QtBot, page: SettingsPage) -> None:
    page.setFocus()
    for _ in range(12):
        focused = QApplication.focusWidget()
        assert focused is not None
        qtbot.keyClick(focused, Qt.Key.Key_Tab)
        focused = QApplication.focusWidget()
        assert focused is not None
        if page.isAncestorOf(focused):
            place = focused.mapTo(page.viewport(), focused.rect().center())
            assert page.viewport().rect().contains(place)
    assert page.verticalScrollBar().value() > 0


def test_devices_and_folder_and_backups(qtbot: QtBot, page: SettingsPage) -> None:
    cpu = Device("CPU", "Some Processor", "cpu", 93 * 1024**3 // 10, 16 * 1024**3)
    gpu = Device("Vulkan0", "Some Card", "gpu", 0, 0)
    page.set_devices([cpu, gpu], "CPU : AVX2 = 1 |  F16C = 1 | OPENMP = 1 | ")
    page.set_data_folder("/home/anna/Hearth")
    page.set_backups([BackupValue()])
    words = words_on(page)
    for part in (
        "Processor: Some Processor · 9.3 GB of 16 GB free",
        "Graphics card: Some Card",
        "Used of the processor: AVX2, F16C",
        "/home/anna/Hearth",
        "2.4 MB",
    ):
        assert part in words
    with qtbot.waitSignal(page.open_folder_requested):
        button(page, "Open the data folder").click()


def test_a_backup_runs_once_and_tells_when_it_fails(qtbot: QtBot, page: SettingsPage) -> None:
    back_up = button(page, "Back up now")
    with qtbot.waitSignal(page.backup_requested):
        back_up.click()
    assert not back_up.isEnabled()
    page.show_backup_error(UserError(ErrorKind.DISK_FULL, path="/data"))
    assert back_up.isEnabled()
    assert "disk is full" in words_on(page)


def test_every_field_can_be_reached_by_its_label(page: SettingsPage) -> None:
    for setting in SHOWN:
        field = page.field(setting.key)
        assert field.focusProxy() is not None
        control = field.focusProxy()
        assert words_for(setting.key).label in control.accessibleName()


def test_hidden_settings_have_no_field(page: SettingsPage) -> None:
    for setting in SETTING_OF.values():
        if not setting.shown:
            with pytest.raises(KeyError):
                page.field(setting.key)


def test_all_buttons_have_words(page: SettingsPage) -> None:
    buttons = [button for button in page.findChildren(QAbstractButton) if button.isVisible()]
    assert buttons
    assert all(button.text() or button.accessibleName() for button in buttons)


def test_the_folder_for_models_can_be_chosen_in_a_dialog(page: SettingsPage, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = ["/mnt/models", ""]  # then the dialog is cancelled
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: chosen.pop(0))
    changed = Recorder()
    page.setting_changed.connect(changed)
    field = page.field("downloads.folder")
    button = field.findChild(Button)
    assert button is not None
    button.click()
    button.click()
    assert changed.calls == [("downloads.folder", "/mnt/models")]
    assert field.value() == "/mnt/models"
