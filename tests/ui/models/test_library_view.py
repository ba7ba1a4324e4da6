"""The models on this computer: list, details, folders, and everything that can be done with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QAction, QContextMenuEvent
from PySide6.QtWidgets import QApplication, QComboBox, QInputDialog, QLineEdit, QMenu, QProgressBar
from pytestqt.qtbot import QtBot

from app.core.library import LibraryModel, Owner
from app.ui.buttons import Button
from app.ui.labels import Label, PathLabel
from app.ui.models.library_details import BUILTIN, owner_words
from app.ui.models.library_view import LibraryView, Order
from tests.ui.models.settling import settle
from tests.ui.models.values import GB, LONG, library_model

OWN = library_model("/models/own.gguf", "Own", last_used_at=datetime(2026, 11, 1, tzinfo=UTC), repo="maker/own")
THEIRS = library_model("/lmstudio/theirs.gguf", "Another", owner=Owner.LM_STUDIO, size_bytes=5 * GB, sha256="a" * 64)
GONE = library_model("/usb/gone.gguf", "Gone", is_missing=True, size_bytes=9 * GB)


@pytest.fixture
def view(show: Callable[..., LibraryView]) -> LibraryView:
    view = LibraryView()
    view.set_folders(["/models", "/usb/" + "folder/" * 20])
    view.set_models([OWN, THEIRS, GONE], OWN.path)
    return show(view)


def words(view: LibraryView) -> str:
    settle()
    texts = [label.text() for label in view.findChildren(Label) if label.isVisible()]
    return "\n".join(texts).replace("\u200b", "")  # where a long path may break


def press(view: LibraryView, text: str) -> None:
    button = view.button(text)
    assert button is not None, text
    assert button.isEnabled(), text
    button.click()


def keys(view: LibraryView) -> list[str]:
    return [row.key for row in view.list.rows]


def test_all_are_listed_with_owner_state_and_total(view: LibraryView) -> None:
    assert keys(view) == [BUILTIN, OWN.path, THEIRS.path, GONE.path]
    rows = {row.key: row for row in view.list.rows}
    assert rows[OWN.path].state == "In use"
    assert "LM Studio" in rows[THEIRS.path].text
    assert rows[GONE.path].state == "File not found"
    assert "3 models, 7.0 GB" in words(view)


def test_every_owner_has_a_name() -> None:
    assert all(owner_words(owner) for owner in Owner)


def test_the_order_can_be_chosen(qtbot: QtBot, view: LibraryView) -> None:
    order = view.findChildren(QComboBox)[0]
    order.setFocus()
    qtbot.keyClick(order, Qt.Key.Key_Down)
    assert keys(view) == [BUILTIN, THEIRS.path, GONE.path, OWN.path]
    qtbot.keyClick(order, Qt.Key.Key_Down)
    assert keys(view) == [BUILTIN, GONE.path, THEIRS.path, OWN.path]


def test_a_search_looks_at_names_and_paths(view: LibraryView) -> None:
    view.set_search("LMSTUDIO theirs")
    assert keys(view) == [THEIRS.path]
    view.set_search("nothing of this name")
    assert keys(view) == []
    view.set_search("")
    assert len(keys(view)) == 4


@pytest.mark.parametrize("path", [OWN.path, None])
def test_a_model_is_used(qtbot: QtBot, view: LibraryView, path: str | None) -> None:
    view.list.choose(path or BUILTIN)
    with qtbot.waitSignal(view.use_requested) as asked:
        press(view, "Chat now")
    assert asked.args == [path]


def test_own_models_can_be_changed(qtbot: QtBot, view: LibraryView) -> None:
    view.list.choose(OWN.path)
    for text, signal in (
        ("Show in folder", view.show_in_folder_requested),
        ("Delete", view.trash_requested),
        ("Look for an update", view.update_requested),
        ("Chat template…", view.template_requested),
        ("Remove from list", view.remove_requested),
        ("Compute SHA-256", view.hash_requested),
    ):
        with qtbot.waitSignal(signal) as asked:
            press(view, text)
        assert asked.args == [OWN.path]


def test_models_of_other_programs_are_never_changed(view: LibraryView) -> None:
    view.list.choose(THEIRS.path)
    assert view.button("Delete") is None
    assert view.button("Move…") is None
    assert "belongs to LM Studio" in words(view)
    assert view.button("Compute SHA-256") is None
    assert "a" * 64 in words(view)


def test_a_missing_file_says_so_and_only_what_can_be_done_is_offered(view: LibraryView) -> None:
    view.list.choose(GONE.path)
    assert "The file is not where it was" in words(view)
    enabled = {button.text() for button in view.details.findChildren(Button) if button.isEnabled()}
    assert "Remove from list" in enabled
    assert not enabled & {"Chat now", "Delete", "Move…", "Show in folder"}


def test_a_move_that_is_going_on_can_be_cancelled(qtbot: QtBot, view: LibraryView) -> None:
    view.list.choose(OWN.path)
    view.set_progress(OWN.path, 0.1)
    with qtbot.waitSignal(view.cancel_requested) as asked:
        press(view, "Cancel")
    assert asked.args == [OWN.path]
    view.set_progress(OWN.path, None)
    assert view.button("Chat now") is not None


def test_folders_are_told_and_removed(qtbot: QtBot, view: LibraryView) -> None:
    next(button for button in view.findChildren(Button) if button.text() == "Folders…").click()
    assert view.shown_path == ""
    assert "downloads go here" in words(view)
    with qtbot.waitSignal(view.remove_folder_requested) as removed:
        press(view, "Remove from the list of folders")
    assert removed.args == ["/usb/" + "folder/" * 20]
    with qtbot.waitSignal(view.duplicates_requested):
        press(view, "Find duplicates")


def test_details_follow_what_happens_to_the_model(view: LibraryView) -> None:
    view.list.choose(OWN.path)
    view.set_models([replace(OWN, name="Renamed", sha256="b" * 64), THEIRS], None)
    assert "Renamed" in words(view)
    assert "b" * 64 in words(view)
    view.set_models([THEIRS], None)
    assert view.shown_path == THEIRS.path


def test_narrow_enter_leads_to_details_and_escape_back(qtbot: QtBot, show: Callable[..., LibraryView]) -> None:
    view = LibraryView()
    view.set_models([OWN, THEIRS], None)
    show(view, 480, 700)
    view.list.choose(THEIRS.path)
    qtbot.keyClick(view.list, Qt.Key.Key_Return)
    assert view.shown_path == THEIRS.path
    assert not view.list.isVisible()
    focused = view.window().focusWidget()
    assert focused is not None
    qtbot.keyClick(focused, Qt.Key.Key_Escape)
    assert view.list.hasFocus()


def test_long_names_and_right_to_left(show: Callable[..., LibraryView]) -> None:
    view = LibraryView()
    view.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    path = "/home/anna/" + "folder/" * 30 + "model.gguf"
    view.set_models([library_model(path, LONG, licence=LONG, repo=LONG, sha256="a" * 64, same_as=(path,) * 3)], path)
    show(view, 480, 700)
    view.list.opened.emit(path)
    settle()
    assert not view.grab().isNull()
    assert view.details.inside.width() <= view.details.viewport().width()


def test_an_empty_library_shows_the_built_in_model_and_the_folders(show: Callable[..., LibraryView]) -> None:
    view = show(LibraryView())
    view.set_models([], None)
    assert keys(view) == [BUILTIN]
    assert "Folders" in words(view)


# -- the keyboard, and what a person looks at meanwhile


def test_the_keyboard_stays_on_its_button_when_the_list_is_read_again(qtbot: QtBot, view: LibraryView) -> None:
    view.list.choose(OWN.path)
    rename = view.button("Rename…")
    assert rename is not None
    rename.setFocus()
    view.set_models([replace(OWN, name="Renamed"), THEIRS], OWN.path)
    settle()
    assert "Renamed" in words(view)
    assert QApplication.focusWidget() is view.button("Rename…")


def test_what_has_not_changed_is_not_built_again(view: LibraryView) -> None:
    view.list.choose(OWN.path)
    before = view.button("Rename…")
    view.set_models([OWN, THEIRS, GONE], OWN.path)
    assert view.button("Rename…") is before


@pytest.mark.parametrize("width", [480, 1280])
def test_after_a_model_is_gone_the_next_in_the_list_has_the_keyboard(
    show: Callable[..., LibraryView], width: int
) -> None:
    view = LibraryView()
    view.set_models([OWN, THEIRS, GONE], None)
    show(view, width, 700)
    view.list.choose(OWN.path)
    view.list.opened.emit(OWN.path)
    delete = view.button("Delete")
    assert delete is not None
    delete.setFocus()
    view.set_models([THEIRS, GONE], None)
    settle()
    assert view.list.isVisible()
    assert view.list.hasFocus()
    assert view.list.current_key == THEIRS.path


def test_a_search_in_narrow_details_shows_what_it_found(show: Callable[..., LibraryView]) -> None:
    view = LibraryView()
    view.set_models([OWN, THEIRS], None)
    show(view, 480, 700)
    view.list.opened.emit(OWN.path)
    assert not view.list.isVisible()
    view.set_search("another")
    assert view.list.isVisible()


def test_an_empty_list_says_why(view: LibraryView) -> None:
    view.set_search("nothing of this name")
    assert "No model on this computer has these words" in words(view)
    view.set_search("")
    assert "No model on this computer" not in words(view)
    view.set_models([], None)
    assert "Models that you download or open are listed here." in words(view)


def test_one_model_is_counted_as_one(view: LibraryView) -> None:
    view.set_models([OWN], None)
    assert "1 model, 2.0 GB" in words(view)


def test_the_search_for_duplicates_shows_how_far_it_is_and_can_be_ended(qtbot: QtBot, view: LibraryView) -> None:
    next(button for button in view.findChildren(Button) if button.text() == "Folders…").click()
    view.set_progress("", 0.25)
    bar = view.details.findChildren(QProgressBar)[0]
    assert bar.value() == bar.maximum() // 4
    view.set_progress("", 0.5)
    assert bar.value() == bar.maximum() // 2
    with qtbot.waitSignal(view.cancel_requested) as cancelled:
        press(view, "Cancel")
    assert cancelled.args == [""]
    view.set_progress("", None)
    settle()
    same = view.button("Find duplicates")
    assert same is not None
    assert same.isVisible()


def test_a_model_that_has_moved_stays_chosen_and_shown(view: LibraryView) -> None:
    moved = replace(THEIRS, path="/usb/theirs.gguf", parts=("/usb/theirs.gguf",))
    view.list.choose(THEIRS.path)
    view.follow(THEIRS.path, moved.path)
    assert view.list.current_key == view.shown_path == moved.path
    view.set_models([OWN, GONE, moved], OWN.path)
    assert view.list.current_key == view.shown_path == moved.path
    view.list.choose(OWN.path)
    view.follow(moved.path, THEIRS.path)
    assert view.list.current_key == view.shown_path == OWN.path


# -- a long list that is read again and again


def many(count: int) -> list[LibraryModel]:
    return [library_model(f"/models/{place}.gguf", f"Model {place}", size_bytes=GB + place) for place in range(count)]


class Changes:
    """What a list was told of its rows."""

    def __init__(self, view: LibraryView) -> None:
        self.resets = 0
        self.changed: list[tuple[int, int]] = []  # first and last place
        model = view.list.model()
        model.modelReset.connect(self._on_reset)
        model.dataChanged.connect(self._on_changed)

    def _on_reset(self) -> None:
        self.resets += 1

    def _on_changed(self, first: QModelIndex, last: QModelIndex) -> None:
        self.changed.append((first.row(), last.row()))


def test_nothing_is_filled_while_nobody_sees_it(qtbot: QtBot, view: LibraryView) -> None:
    view.list.choose(OWN.path)
    view.hide()
    changes = Changes(view)
    with qtbot.assertNotEmitted(view.template_shown):
        view.set_models([replace(OWN, name="Renamed"), THEIRS], THEIRS.path)
        view.set_models([replace(OWN, name="Renamed again"), THEIRS], THEIRS.path)
        view.set_progress(OWN.path, 0.1)
        view.set_progress(OWN.path, 0.5)
        view.sort_by(Order.NAME)
        view.set_search("n")
    assert keys(view) == [BUILTIN, OWN.path, THEIRS.path, GONE.path]
    assert (changes.resets, changes.changed) == (0, [])
    view.show()
    assert keys(view) == [BUILTIN, THEIRS.path, OWN.path]
    assert [row.state for row in view.list.rows if row.key == THEIRS.path] == ["In use"]
    assert (changes.resets, changes.changed) == (1, [])
    assert view.list.current_key == view.shown_path == OWN.path
    assert "Renamed again" in words(view)
    (bar,) = view.details.findChildren(QProgressBar)
    assert bar.value() == bar.maximum() // 2


def test_shown_again_without_news_nothing_is_filled(view: LibraryView) -> None:
    changes = Changes(view)
    view.hide()
    view.show()
    assert (changes.resets, changes.changed) == (0, [])


def test_of_what_is_gone_meanwhile_the_next_is_shown(view: LibraryView) -> None:
    view.list.choose(OWN.path)
    view.hide()
    view.set_models([THEIRS, GONE], None)
    view.show()
    assert view.list.current_key == view.shown_path == THEIRS.path


def test_a_changed_model_changes_only_its_row(view: LibraryView) -> None:
    models = many(200)
    view.set_models(models, None)
    view.list.choose(models[150].path)
    view.list.setFocus()
    settle()
    top = view.list.verticalScrollBar().value()
    changes = Changes(view)
    view.set_models([replace(model) for model in models], None)
    assert changes.changed == []
    models[148] = replace(models[148], name="Renamed")
    view.set_models(models, None)
    settle()
    assert (changes.resets, changes.changed) == (0, [(149, 149)])  # the built-in model stands above them
    assert view.list.rows[149].title == "Renamed"
    view.set_models(models, models[148].path)
    assert (changes.resets, changes.changed[1:]) == (0, [(0, 149)])
    assert view.list.current_key == view.shown_path == models[150].path
    assert view.list.verticalScrollBar().value() == top > 0
    assert view.list.hasFocus()


def test_new_and_lost_models_leave_the_list_where_it_is(view: LibraryView) -> None:
    models = many(200)
    view.set_models(models, None)
    view.list.choose(models[150].path)
    view.list.setFocus()
    settle()
    top = view.list.verticalScrollBar().value()
    for read in ([*models, library_model("/models/new.gguf", "New")], models[:190]):
        view.set_models(read, None)
        settle()
        assert view.list.current_key == view.shown_path == models[150].path
        assert view.list.verticalScrollBar().value() == top > 0
        assert view.list.hasFocus()


# -- the menu of a row, and its keys


def entries(view: LibraryView, key: str) -> dict[str, QAction]:
    view.list.choose(key)
    place = view.list.visualRect(view.list.currentIndex()).center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, view.list.viewport().mapToGlobal(place))
    QApplication.sendEvent(view.list.viewport(), event)
    menu = next(menu for menu in view.findChildren(QMenu) if menu.isVisible())
    menu.close()
    return {action.text().partition("\t")[0]: action for action in menu.actions()}


def test_the_menu_of_a_row_offers_what_the_details_offer(qtbot: QtBot, view: LibraryView) -> None:
    own = entries(view, OWN.path)
    assert {"Chat now", "Rename…", "Move…", "Delete", "Copy the path", "Remove from list"} <= own.keys()
    with qtbot.waitSignal(view.trash_requested) as trashed:
        own["Delete"].trigger()
    assert trashed.args == [OWN.path]
    own["Copy the path"].trigger()
    assert QApplication.clipboard().text() == OWN.path
    assert "Delete" not in entries(view, THEIRS.path)
    assert not entries(view, GONE.path)["Chat now"].isEnabled()


def test_delete_in_the_list_deletes_only_what_is_ours(qtbot: QtBot, view: LibraryView) -> None:
    view.list.setFocus()
    view.list.choose(THEIRS.path)
    with qtbot.assertNotEmitted(view.trash_requested):
        qtbot.keyClick(view.list, Qt.Key.Key_Delete)
    view.list.choose(OWN.path)
    with qtbot.waitSignal(view.trash_requested) as trashed:
        qtbot.keyClick(view.list, Qt.Key.Key_Delete)
    assert trashed.args == [OWN.path]


def test_a_model_is_renamed_by_the_keyboard(qtbot: QtBot, view: LibraryView) -> None:
    view.list.setFocus()
    view.list.choose(OWN.path)
    qtbot.keyClick(view.list, Qt.Key.Key_F2)
    field = view.findChildren(QInputDialog)[0].findChildren(QLineEdit)[0]
    assert field.text() == "Own"
    field.setText("My favourite")
    with qtbot.waitSignal(view.rename_requested) as renamed:
        qtbot.keyClick(field, Qt.Key.Key_Return)
    assert renamed.args == [OWN.path, "My favourite"]


def test_a_path_is_copied_as_it_is(qtbot: QtBot, view: LibraryView) -> None:
    path = "/home/anna/" + "folder/" * 30 + "model.gguf"
    view.set_models([library_model(path, "Deep", sha256="a" * 64)], None)
    view.list.choose(path)
    for whole in (path, "a" * 64):
        label = next(each for each in view.findChildren(PathLabel) if each.accessibleName() == whole)
        label.setSelection(0, len(label.text()))
        qtbot.keyClick(label, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
        assert QApplication.clipboard().text() == whole
        settle()
        assert label.width() <= view.details.viewport().width()


def test_models_of_one_name_are_told_apart_by_their_files(view: LibraryView) -> None:
    twins = [library_model(f"/models/{name}.gguf", "LLaMA v2") for name in ("zephyr", "vicuna")]
    view.set_models([*twins, OWN], None)
    texts = {row.key: row.text for row in view.list.rows}
    assert texts["/models/zephyr.gguf"].startswith("zephyr.gguf · ")
    assert texts["/models/vicuna.gguf"].startswith("vicuna.gguf · ")
    assert "gguf" not in texts[OWN.path]
