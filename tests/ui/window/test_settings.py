"""Settings that take effect: at once, for the next answer, or by loading the model again."""

from __future__ import annotations

from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit

from app.core.messages import MessageState
from app.ui.buttons import Button
from app.ui.pages.data_folder import DataFolder
from app.ui.pages.device_list import DeviceList
from tests.ui.window.conftest import OpenWindow, quit_hearth
from tests.ui.window.person import CONTROL, Person

Key = Qt.Key


def ground(qapp: QApplication) -> int:
    return qapp.palette().color(QPalette.ColorRole.Window).lightness()


def words_in(widget: object) -> str:
    from PySide6.QtWidgets import QLabel, QWidget

    assert isinstance(widget, QWidget)
    return "\n".join(label.text() for label in widget.findChildren(QLabel))


def set_field(person: Person, key: str, value: object) -> None:
    """As the field does when a person changes it."""
    person.page("settings").setting_changed.emit(key, value)


def test_the_theme_changes_at_once_and_is_remembered(open_window: OpenWindow, qapp: QApplication) -> None:
    person = open_window(answers=[{"text": "**words** and `code`"}])
    person.say("go")
    set_field(person, "appearance.theme", "light")
    assert ground(qapp) > 200
    set_field(person, "appearance.theme", "dark")
    assert ground(qapp) < 80
    quit_hearth(person.window, person.profile)
    set_light = open_window()
    assert ground(qapp) < 80
    set_field(set_light, "appearance.theme", "light")


def test_the_text_grows_and_shrinks_by_key(open_window: OpenWindow, qapp: QApplication) -> None:
    person = open_window(answers=[{"text": "words " * 50}])
    person.say("go")
    before = person.box.font().pointSizeF()
    for _ in range(3):
        person.press(Key.Key_Plus, CONTROL)
    person.wait(lambda: person.box.font().pointSizeF() > before * 1.2)
    person.press(Key.Key_Minus, CONTROL)
    person.press(Key.Key_0, CONTROL)
    person.wait(lambda: abs(person.box.font().pointSizeF() - before) < 0.01)
    for _ in range(15):
        person.press(Key.Key_Plus, CONTROL)
    assert person.profile.settings.value("appearance.text_percent") == 200
    assert person.written == ""


def test_another_context_length_loads_the_model_again(open_window: OpenWindow) -> None:
    person = open_window()
    set_field(person, "model.context_length", 1024)
    person.wait(lambda: (info := person.profile.models.info) is not None and info.context_length == 1024)
    person.say("hello")
    assert person.answer.state is MessageState.COMPLETE
    assert person.cards == []


def test_the_longest_answer_and_continue(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "one two three four five six"}])
    set_field(person, "answers.max_tokens", 3)
    person.say("go")
    assert person.answer.text == "one two three"
    assert person.answer.state is MessageState.CUT_SHORT
    assert person.sees_button("Continue answer")


def test_temperature_zero_gives_the_same_answer_twice(open_window: OpenWindow) -> None:
    person = open_window()
    set_field(person, "sampling.temperature", 0.0)
    person.say("how do I change the theme?")
    first = person.answer.text
    with person.qtbot.waitSignal(person.profile.chat.answers.ended, timeout=20_000):
        person.press(Key.Key_R, CONTROL)
    assert person.answer.text == first
    assert len(first) > 5


def test_devices_and_backups_are_listed(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "words"}])
    person.press(Key.Key_Comma, CONTROL)
    page = person.page("settings")
    assert page.isVisible()
    person.wait(lambda: "Scripted processor" in words_in(page.findChild(DeviceList)))
    before = words_in(page.findChild(DataFolder))
    person.click("Back up now")
    person.wait(lambda: words_in(page.findChild(DataFolder)) != before)
    assert len(list(person.profile.paths.backups.iterdir())) >= 1


def test_the_real_engine_lists_its_processor(open_window: OpenWindow) -> None:
    person = open_window()
    devices = person.page("settings").findChild(DeviceList)
    person.wait(lambda: "Processor: " in words_in(devices))


def test_the_system_prompt_reaches_the_model(open_window: OpenWindow) -> None:
    person = open_window(answers=[{"text": "words"}])
    person.say("one two")
    without = person.answer.usage
    set_field(person, "answers.system_prompt", "be brief and very kind")
    person.press(Key.Key_N, CONTROL)
    person.say("one two")
    told = person.answer.usage
    assert without is not None
    assert told is not None
    assert told.prompt_tokens == without.prompt_tokens + 5


def test_settings_survive_a_restart(open_window: OpenWindow) -> None:
    person = open_window()
    set_field(person, "answers.system_prompt", "be kind")
    set_field(person, "sampling.top_k", 7)
    quit_hearth(person.window, person.profile)
    again = open_window()
    assert again.profile.settings.value("answers.system_prompt") == "be kind"
    assert again.profile.settings.value("sampling.top_k") == 7


class Drawer(KeyringBackend):
    """A keyring that holds its passwords in memory."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.passwords: dict[str, str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.passwords.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.passwords[username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.passwords[username]


@pytest.fixture
def drawer() -> Iterator[Drawer]:
    before = keyring.get_keyring()
    drawer = Drawer()
    keyring.set_keyring(drawer)
    yield drawer
    keyring.set_keyring(before)


def test_the_field_of_the_proxy_shows_dots_for_a_password(open_window: OpenWindow, drawer: Drawer) -> None:
    person = open_window()
    field = person.page("settings").field("hub.proxy")
    edit = field.findChild(QLineEdit)
    edit.setFocus()
    QTest.keyClicks(edit, "http://me:s3cret@proxy:8080")
    QTest.keyClick(edit, Key.Key_Return)
    assert edit.text() == "http://me:••••••••@proxy:8080"
    person.wait(lambda: drawer.passwords == {"proxy http://me@proxy:8080": "s3cret"})
    buttons = person.page("settings").findChildren(Button)
    reset = next(button for button in buttons if button.accessibleName().startswith("Reset to defaults: Downloads"))
    reset.click()
    assert edit.text() == ""
    person.wait(lambda: drawer.passwords == {})
    reset.click()
    assert edit.text() == "http://me:••••••••@proxy:8080"
    person.wait(lambda: drawer.passwords == {"proxy http://me@proxy:8080": "s3cret"})
    folder = person.profile.paths.data
    quit_hearth(person.window, person.profile)
    assert not [file for file in folder.rglob("*") if file.is_file() and b"s3cret" in file.read_bytes()]


def test_a_proxy_password_that_cannot_be_kept_is_told(open_window: OpenWindow, drawer: Drawer) -> None:
    drawer.priority = 0
    person = open_window()
    set_field(person, "hub.proxy", "http://me:s3cret@proxy:8080")
    person.wait(lambda: any("kept until Hearth ends" in notice for notice in person.notices))
