from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QAccessible, QColor, QEnterEvent, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind, UserError
from app.services.explain import explain
from app.ui.buttons import Button
from app.ui.cards import ErrorCard
from app.ui.context_meter import ContextMeter
from app.ui.crash_window import CrashWindow
from app.ui.flow_layout import FlowLayout
from app.ui.model_button import MOST_FILES, ModelButton
from app.ui.model_rows import describe_parameters
from app.ui.notices import NoticeArea
from app.ui.scroll_column import ScrollColumn
from app.ui.shortcuts import SHORTCUTS, ShortcutSection
from app.ui.shortcuts_sheet import ShortcutsSheet
from app.ui.theme import LIGHT
from app.ui.welcome import Welcome
from tests.ui.shell.values import ModelValue, Recorder

# -- keys


def test_ids_and_keys_are_unique() -> None:
    ids = [shortcut.id for shortcut in SHORTCUTS]
    keys = [QKeySequence(key).toString() for shortcut in SHORTCUTS for key in shortcut.keys]
    assert len(set(ids)) == len(ids)
    assert len(set(keys)) == len(keys)


def test_every_shortcut_is_complete() -> None:
    for shortcut in SHORTCUTS:
        assert shortcut.label()
        assert shortcut.shown_keys()
        assert all(not QKeySequence(key).isEmpty() for key in shortcut.keys)


def test_the_sheet_lists_every_key(qtbot: QtBot) -> None:
    sheet = ShortcutsSheet()
    qtbot.addWidget(sheet)
    words = {label.text() for label in sheet.findChildren(QLabel)}
    assert {shortcut.label() for shortcut in SHORTCUTS} <= words
    assert {section.title() for section in ShortcutSection} <= words


def test_the_sheet_closes_by_escape(qtbot: QtBot) -> None:
    sheet = ShortcutsSheet()
    qtbot.addWidget(sheet)
    with qtbot.waitExposed(sheet):
        sheet.show()
    qtbot.keyClick(sheet, Qt.Key.Key_Escape)
    assert not sheet.isVisible()


# -- notices


TIME_MS = 60


@pytest.fixture
def notices(qtbot: QtBot) -> Iterator[NoticeArea]:
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(500, 300)
    layout = QVBoxLayout(window)
    elsewhere = QLineEdit()
    layout.addWidget(elsewhere)
    area = NoticeArea(shown_ms=TIME_MS)
    layout.addStretch(1)
    layout.addWidget(area)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    elsewhere.setFocus()
    yield area
    window.close()


def button_of(area: NoticeArea, name: str) -> Button:
    shown = (b for b in area.findChildren(Button) if b.isVisible())
    return next(b for b in shown if name in (b.text(), b.accessibleName()))


def test_a_notice_offers_its_action_once(qtbot: QtBot, notices: NoticeArea) -> None:
    told = Recorder()
    notices.show_notice("Moved to the trash.", "Undo", told)
    assert notices.texts() == ["Moved to the trash."]
    qtbot.mouseClick(button_of(notices, "Undo"), Qt.MouseButton.LeftButton)
    assert told.calls == [()]
    assert notices.texts() == []
    assert notices.isHidden()


def test_a_notice_goes_away_by_itself(qtbot: QtBot, notices: NoticeArea) -> None:
    notices.show_notice("Done.")
    qtbot.waitUntil(notices.isHidden)
    assert notices.texts() == []


def test_pointing_at_a_notice_keeps_it(qtbot: QtBot, notices: NoticeArea) -> None:
    notices.show_notice("Done.")
    notice = button_of(notices, "Close the notice").parentWidget()
    QApplication.sendEvent(notice, QEnterEvent(QPointF(1, 1), QPointF(1, 1), QPointF(1, 1)))
    qtbot.wait(3 * TIME_MS)
    assert notices.texts() == ["Done."]
    QApplication.sendEvent(notice, QEvent(QEvent.Type.Leave))
    qtbot.waitUntil(notices.isHidden)


def test_the_focus_keeps_a_notice(qtbot: QtBot, notices: NoticeArea) -> None:
    notices.show_notice("Done.")
    notices.focus()
    assert QApplication.focusWidget() is button_of(notices, "Close the notice")
    qtbot.wait(3 * TIME_MS)
    assert notices.texts() == ["Done."]
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Escape)
    assert notices.texts() == []


def test_a_notice_behind_another_window_waits_to_be_seen(qtbot: QtBot, notices: NoticeArea) -> None:
    other = QWidget()
    qtbot.addWidget(other)
    with qtbot.waitActive(other):
        other.show()
        other.activateWindow()
    notices.show_notice("Done.")
    qtbot.wait(3 * TIME_MS)
    assert notices.texts() == ["Done."]
    notices.window().activateWindow()
    qtbot.waitUntil(notices.isHidden)


def test_more_than_three_notices_wait_for_their_turn(qtbot: QtBot, notices: NoticeArea) -> None:
    for number in range(5):
        notices.show_notice(f"Number {number}")
    assert notices.texts() == ["Number 0", "Number 1", "Number 2"]
    assert notices.dismiss_newest()
    assert notices.texts() == ["Number 0", "Number 1", "Number 3"]
    qtbot.waitUntil(lambda: notices.texts() == ["Number 4"] or not notices.texts())
    qtbot.waitUntil(notices.isHidden)
    assert not notices.dismiss_newest()


def test_a_topic_has_one_notice(notices: NoticeArea) -> None:
    notices.show_notice("Copied.")
    notices.show_notice("Half of it is there.", topic="download")
    notices.show_notice("Copied.")
    notices.show_notice("All of it is there.", topic="download")
    assert notices.texts() == ["Copied.", "All of it is there."]
    notices.withdraw("download")
    assert notices.texts() == ["Copied."]


def test_a_notice_can_be_closed(qtbot: QtBot, notices: NoticeArea) -> None:
    notices.show_notice("Done.")
    qtbot.mouseClick(button_of(notices, "Close the notice"), Qt.MouseButton.LeftButton)
    assert notices.isHidden()


def test_a_notice_is_read_out(notices: NoticeArea, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(QAccessible, "updateAccessibility", lambda event: said.append(event.message()))
    for number in range(4):
        notices.show_notice(f"Number {number}")
    assert said == ["Number 0", "Number 1", "Number 2"]
    notices.dismiss_newest()
    assert said[-1] == "Number 3"


# -- the model button


def actions(button: ModelButton) -> dict[str, object]:
    return {action.text().split("\t")[0]: action for action in button.menu().actions() if action.text()}


def test_models_to_choose_from(qtbot: QtBot) -> None:
    button = ModelButton()
    qtbot.addWidget(button)
    button.set_models([ModelValue("/m/a.gguf", "Model A & B"), ModelValue("/m/c.gguf", "Model C")], "/m/c.gguf")
    assert button.text() == "Model C"
    assert button.accessibleName() == "Model: Model C"
    with qtbot.waitSignal(button.model_chosen) as chosen:
        actions(button)["Model A && B"].trigger()
    assert chosen.args == ["/m/a.gguf"]
    with qtbot.waitSignal(button.model_chosen) as chosen:
        actions(button)["Built-in model"].trigger()
    assert chosen.args == [None]
    with qtbot.waitSignal(button.open_requested):
        actions(button)["Open a model file…"].trigger()


def test_of_many_models_the_menu_has_the_latest_and_the_one_in_use(qtbot: QtBot) -> None:
    button = ModelButton()
    qtbot.addWidget(button)
    button.set_models([ModelValue(f"/m/{number}.gguf", f"Model {number}") for number in range(500)], "/m/300.gguf")
    names = [name for name in actions(button) if name.startswith("Model ")]
    assert names == [*(f"Model {number}" for number in range(MOST_FILES)), "Model 300"]
    with qtbot.waitSignal(button.models_requested):
        actions(button)["More models…"].trigger()


def test_loading_shows_progress_and_can_be_cancelled(qtbot: QtBot) -> None:
    button = ModelButton()
    qtbot.addWidget(button)
    button.show()
    button.set_loading(0.434)
    assert button.text() == "Loading… 43 %"
    cancel = button.findChild(Button)
    assert cancel is not None
    with qtbot.waitSignal(button.cancel_requested):
        qtbot.mouseClick(cancel, Qt.MouseButton.LeftButton)
    button.set_loading(1.0)
    assert button.text() == "Getting ready…"
    button.set_loading(None)
    assert not cancel.isVisible()
    assert button.text() == "Built-in model"


def test_a_current_model_that_is_not_in_the_list_is_named_after_its_file(qtbot: QtBot) -> None:
    button = ModelButton()
    qtbot.addWidget(button)
    button.set_models([], "/m/Some Model.gguf")
    assert button.current_name() == "Some Model"


def test_numbers_of_parameters_in_words() -> None:
    assert describe_parameters(7_250_000_000) == "7.3 billion parameters"
    assert describe_parameters(13_000_000_000) == "13 billion parameters"
    assert describe_parameters(12_960_000_000) == "13 billion parameters"
    assert describe_parameters(2_000_000) == "2 million parameters"


# -- cards, welcome, crash window


def test_every_error_fits_on_a_card(qtbot: QtBot) -> None:
    for kind in ErrorKind:
        explanation = explain(UserError(kind, path="/m/a.gguf", reason="reason", suggested_context_length=512))
        card = ErrorCard(explanation)
        qtbot.addWidget(card)
        told = Recorder()
        card.action_requested.connect(told)
        buttons = card.findChildren(Button)
        assert [b.text() for b in buttons] == [action.label for action in explanation.actions]
        for button in buttons:
            button.click()
        assert told.calls == [(action,) for action in explanation.actions]


def test_welcome_offers_questions_for_the_built_in_model(qtbot: QtBot) -> None:
    welcome = Welcome()
    qtbot.addWidget(welcome)
    welcome.resize(600, 600)
    welcome.show()
    examples = [b for b in welcome.findChildren(Button) if b.text().endswith("?")]
    assert len(examples) == 3
    with qtbot.waitSignal(welcome.example_chosen) as chosen:
        qtbot.mouseClick(examples[1], Qt.MouseButton.LeftButton)
    assert chosen.args == ["Does Hearth need the internet?"]
    welcome.set_model("Mistral 7B", builtin=False)
    assert not any(b.isVisible() for b in examples)
    assert any("Mistral 7B" in label.text() for label in welcome.findChildren(QLabel))


def test_a_crash_report_can_be_copied(qtbot: QtBot) -> None:
    window = CrashWindow("ValueError: x\n  in f")
    qtbot.addWidget(window)
    window.show()
    assert any("sends nothing" in label.text() for label in window.findChildren(QLabel))
    copy = next(b for b in window.findChildren(Button) if b.text() == "Copy report")
    qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == window.report() == "ValueError: x\n  in f"
    assert copy.text() == "Copied"
    window.close()


# -- buttons


@pytest.mark.parametrize("key", [Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter])
def test_a_button_is_pressed_by_space_and_by_enter(qtbot: QtBot, key: Qt.Key) -> None:
    button = Button("Done")
    qtbot.addWidget(button)
    with qtbot.waitSignal(button.clicked):
        qtbot.keyClick(button, key)


# -- rows of buttons


def test_a_flow_keeps_its_items_in_the_middle_of_their_row(qtbot: QtBot) -> None:
    box = QWidget()
    qtbot.addWidget(box)
    flow = FlowLayout(box)
    low, high, below = QLabel("low"), QLabel("high"), QLabel("below")
    low.setFixedSize(60, 10)
    high.setFixedSize(60, 30)
    below.setFixedSize(60, 10)
    for label in (low, high, below):
        flow.addWidget(label)
    box.resize(150, 100)
    box.show()
    assert low.geometry().center().y() == pytest.approx(high.geometry().center().y(), abs=1)
    assert below.y() > high.geometry().bottom()


def test_a_flow_knows_its_height_after_a_change(qtbot: QtBot) -> None:
    box = QWidget()
    qtbot.addWidget(box)
    flow = FlowLayout(box)
    label = QLabel("one")
    label.setFixedSize(60, 10)
    flow.addWidget(label)
    assert flow.heightForWidth(100) == 10
    label.setFixedSize(60, 50)
    assert flow.heightForWidth(100) == 50
    other = QLabel("two")
    other.setFixedSize(60, 50)
    flow.addWidget(other)
    assert flow.heightForWidth(100) == 100 + flow.spacing()


def test_only_keys_that_scroll_a_column_put_a_ring_around_it(qtbot: QtBot) -> None:
    column = ScrollColumn()
    field = QLineEdit(column.inside)
    column.column.addWidget(field)
    column.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    qtbot.addWidget(column)
    column.resize(400, 300)
    with qtbot.waitActive(column):
        column.show()

    def has_ring() -> bool:
        picture = column.viewport().grab().toImage()
        return picture.pixelColor(0, picture.height() // 2) == QColor(LIGHT.accent)

    column.setFocus(Qt.FocusReason.TabFocusReason)
    assert has_ring()
    field.setFocus()
    column.setFocus(Qt.FocusReason.MouseFocusReason)
    assert column.hasFocus()
    assert not has_ring()
    column.setFocusProxy(field)  # as on the settings page
    column.setFocus(Qt.FocusReason.TabFocusReason)
    assert field.hasFocus()
    assert not has_ring()


def test_the_meter_does_not_warn_of_an_end_that_moves_by_itself(qtbot: QtBot) -> None:
    meter = ContextMeter()
    qtbot.addWidget(meter)
    meter.set_figures(8_000, 8_192, 32_768)
    assert meter.words() == "8,000 of 8,192 tokens"
    meter.set_figures(9_000, 8_192, 32_768)  # which it will have
    assert meter.words() == "9,000 of 16,384 tokens"
    for longest in (0, 8_192):
        meter.set_figures(8_000, 8_192, longest)
        assert "almost full" in meter.words()
    meter.set_figures(33_000, 8_192, 32_768)
    assert meter.words() == "33,000 of 32,768 tokens · full: the oldest messages are left out"
