"""The dialogs of the models page: what they say, what they emit, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QDialog, QLineEdit
from pytestqt.qtbot import QtBot

from app.core.library import FoundFile, Owner
from app.ui.buttons import Button
from app.ui.labels import Label
from app.ui.models.adopt_dialog import AdoptDialog
from app.ui.models.token_dialog import TokenDialog
from app.ui.theme import apply_theme

GB = 1_000_000_000
FOUND = (
    FoundFile(Owner.OLLAMA, ("/home/anna/.ollama/models/blobs/sha256-1",), 4 * GB, name="llama3.2:3b"),
    FoundFile(Owner.LM_STUDIO, ("/home/anna/.lmstudio/models/a/b/" + "a-long-name-" * 12 + ".gguf",), 2 * GB),
    FoundFile(Owner.OLLAMA, ("/home/anna/.ollama/models/blobs/sha256-2",), 1 * GB, name="qwen3:1.7b"),
)


def button(dialog: QDialog, text: str) -> Button:
    return next(button for button in dialog.findChildren(Button) if button.text() == text)


def words(dialog: QDialog) -> str:
    return "\n".join(label.text() for label in dialog.findChildren(Label) if label.isVisible())


@pytest.fixture
def adopt(show: Callable[..., AdoptDialog]) -> AdoptDialog:
    dialog = AdoptDialog(FOUND)
    return show(dialog, 480, 500)


def test_all_that_was_found_is_chosen_by_program(adopt: AdoptDialog) -> None:
    assert "Found 3 models of other programs (7.0 GB)" in words(adopt)
    assert "Nothing is copied, changed or deleted" in words(adopt)
    groups = [adopt.tree.topLevelItem(place) for place in range(adopt.tree.topLevelItemCount())]
    assert [(group.text(0), group.text(1), group.childCount()) for group in groups if group is not None] == [
        ("Ollama", "5.0 GB", 2),
        ("LM Studio", "2.0 GB", 1),
    ]
    assert sorted(adopt.checked, key=FOUND.index) == list(FOUND)
    assert adopt.summary == "3 of 3 chosen, 7.0 GB"


def test_one_model_is_spoken_of_as_one(show: Callable[..., AdoptDialog]) -> None:
    assert "Found 1 model of other programs (4.0 GB)" in words(show(AdoptDialog(FOUND[:1])))


def test_space_takes_a_program_and_a_model_out(qtbot: QtBot, adopt: AdoptDialog) -> None:
    adopt.tree.setFocus()
    qtbot.keyClick(adopt.tree, Qt.Key.Key_Space)
    assert adopt.checked == [FOUND[1]]
    assert adopt.summary == "1 of 3 chosen, 2.0 GB"
    qtbot.keyClick(adopt.tree, Qt.Key.Key_Down)
    qtbot.keyClick(adopt.tree, Qt.Key.Key_Space)
    assert adopt.checked == [FOUND[0], FOUND[1]]
    group = adopt.tree.topLevelItem(0)
    assert group is not None
    assert group.checkState(0) is Qt.CheckState.PartiallyChecked


def test_what_is_chosen_is_used(qtbot: QtBot, adopt: AdoptDialog) -> None:
    adopt.tree.setFocus()
    qtbot.keyClick(adopt.tree, Qt.Key.Key_Space)
    with qtbot.waitSignal(adopt.adopted) as adopted, qtbot.assertNotEmitted(adopt.declined):
        button(adopt, "Use them here").click()
    assert adopted.args == [[FOUND[1]]]
    assert not adopt.isVisible()


def test_nothing_chosen_cannot_be_used(qtbot: QtBot, adopt: AdoptDialog) -> None:
    adopt.tree.setFocus()
    for place in range(adopt.tree.topLevelItemCount()):
        group = adopt.tree.topLevelItem(place)
        assert group is not None
        group.setCheckState(0, Qt.CheckState.Unchecked)
    assert adopt.checked == []
    assert not button(adopt, "Use them here").isEnabled()


@pytest.mark.parametrize("way", ["button", "escape"])
def test_not_now_names_all_of_them(qtbot: QtBot, adopt: AdoptDialog, way: str) -> None:
    with qtbot.waitSignal(adopt.declined) as declined, qtbot.assertNotEmitted(adopt.adopted):
        if way == "button":
            button(adopt, "Not now").click()
        else:
            qtbot.keyClick(adopt, Qt.Key.Key_Escape)
    assert declined.args == [list(FOUND)]


def test_many_models_scroll(show: Callable[..., AdoptDialog]) -> None:
    many = [FoundFile(Owner.JAN, (f"/jan/{place}.gguf",), GB, name=f"model {place}") for place in range(500)]
    dialog = show(AdoptDialog(many), 480, 500)
    assert dialog.tree.verticalScrollBar().maximum() > 0
    assert len(dialog.checked) == 500


# -- the token


PAGE, TOKENS = "https://hub.test/a/b", "https://hub.test/settings/tokens"


@pytest.fixture
def token(show: Callable[..., TokenDialog]) -> TokenDialog:
    dialog = TokenDialog("a/b", PAGE, TOKENS)
    return show(dialog, 480, 480)


def field_of(dialog: TokenDialog) -> QLineEdit:
    return dialog.findChildren(QLineEdit)[0]


def test_the_first_two_steps_open_pages(qtbot: QtBot, token: TokenDialog) -> None:
    assert "Access to a/b" in words(token)
    for text, address in (("Open its page", PAGE), ("Open the page for tokens", TOKENS)):
        with qtbot.waitSignal(token.link_requested) as asked:
            button(token, text).click()
        assert asked.args == [address]


def test_a_token_without_a_model_takes_two_steps(show: Callable[..., TokenDialog]) -> None:
    dialog = show(TokenDialog("", TOKENS, TOKENS), 480, 480)
    told = words(dialog)
    assert "A token for the hub" in told
    assert "1. Make a token" in told
    assert "accept" not in told
    assert not [each for each in dialog.findChildren(Button) if each.text() == "Open its page" and each.isVisible()]


def test_a_token_is_hidden_and_checked_once(qtbot: QtBot, token: TokenDialog) -> None:
    field, check = field_of(token), button(token, "Check")
    assert field.echoMode() is QLineEdit.EchoMode.Password
    assert not check.isEnabled()
    field.setFocus()
    qtbot.keyClicks(field, " hf_secret ")
    entered: list[str] = []
    token.token_entered.connect(entered.append)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    check.click()
    assert entered == ["hf_secret"]
    assert not check.isEnabled()
    assert field.isReadOnly()
    assert token.status == "Asking the hub…"


@pytest.mark.parametrize("on_the_button", [False, True])
def test_enter_pressed_twice_does_not_give_up(qtbot: QtBot, token: TokenDialog, on_the_button: bool) -> None:
    qtbot.keyClicks(field_of(token), "hf_secret")
    (button(token, "Check") if on_the_button else field_of(token)).setFocus()
    for _ in range(2):
        focused = QApplication.focusWidget()
        assert focused is not None
        qtbot.keyClick(focused, Qt.Key.Key_Return)
    assert token.isVisible()
    assert token.status == "Asking the hub…"


def test_a_refused_token_can_be_replaced(qtbot: QtBot, token: TokenDialog) -> None:
    field, check = field_of(token), button(token, "Check")
    qtbot.keyClicks(field, "hf_wrong")
    check.click()
    token.show_refused("The hub does not know this token.")
    assert token.status == "The hub does not know this token."
    assert token.isVisible()
    qtbot.keyClicks(field, "hf_right")
    with qtbot.waitSignal(token.token_entered) as entered:
        check.click()
    assert entered.args == ["hf_right"]


@pytest.mark.parametrize(
    ("is_kept", "place"), [(True, "where your system keeps passwords"), (False, "until Hearth ends")]
)
def test_an_accepted_token_is_said_to_be_kept(qtbot: QtBot, token: TokenDialog, is_kept: bool, place: str) -> None:
    qtbot.keyClicks(field_of(token), "hf_right")
    button(token, "Check").click()
    token.show_accepted("anna", is_kept=is_kept)
    assert "anna" in token.status
    assert place in token.status
    assert field_of(token).text() == ""
    with qtbot.waitSignal(token.accepted):
        button(token, "Done").click()


def test_escape_gives_up(qtbot: QtBot, token: TokenDialog) -> None:
    with qtbot.waitSignal(token.rejected):
        qtbot.keyClick(token, Qt.Key.Key_Escape)


def test_tab_goes_through_the_buttons_as_they_stand(qtbot: QtBot, adopt: AdoptDialog) -> None:
    adopt.tree.setFocus()
    order = []
    for _ in range(2):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        order.append(QApplication.focusWidget())
    assert order == [button(adopt, "Not now"), button(adopt, "Use them here")]
    assert order[0].x() < order[1].x()


@pytest.mark.parametrize("percent", [100, 200])
def test_a_dialog_opens_within_the_screen(qapp: QApplication, percent: int) -> None:
    apply_theme(qapp, "light", percent)
    for dialog in (AdoptDialog(FOUND), TokenDialog("a/b", PAGE, TOKENS)):
        room = dialog.screen().availableSize()
        assert dialog.width() <= room.width()
        assert dialog.height() <= room.height()
        dialog.deleteLater()
