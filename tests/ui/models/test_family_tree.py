from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QHelpEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QToolTip
from pytestqt.qtbot import QtBot

from app.core.catalog import Catalog
from app.ui.buttons import Button
from app.ui.models.family_tree import FamilyTree
from app.ui.models.tree_items import NodeItem
from app.ui.models.tree_picture import TreePicture
from app.ui.theme import apply_theme


@pytest.fixture
def tree(show: Callable[..., FamilyTree], catalog: Catalog) -> FamilyTree:
    tree = FamilyTree()
    tree.set_catalog(catalog)
    show(tree, 1000, 700)
    tree.setFocus()
    QApplication.processEvents()
    return tree


def box_of(picture: TreePicture, model_id: str) -> tuple[QPoint, bool]:
    """The middle of a model in the viewport, and whether all of it is seen."""
    item = next(item for item in picture.scene().items() if isinstance(item, NodeItem) and item.model.id == model_id)
    box = picture.mapFromScene(item.sceneBoundingRect()).boundingRect()
    return box.center(), picture.viewport().rect().contains(box)


def press(qtbot: QtBot, tree: FamilyTree, *keys: Qt.Key) -> None:
    for key in keys:
        qtbot.keyClick(tree.list if tree.as_list.isChecked() else tree.picture, key)


def test_the_oldest_model_comes_first(tree: FamilyTree, catalog: Catalog) -> None:
    model = catalog.model(tree.current_id)
    assert model is not None
    assert model.year == min(model.year for model in catalog.models)


def test_a_model_that_is_named_is_current_and_seen(tree: FamilyTree) -> None:
    tree.show_model("mistral-7b")
    assert tree.current_id == "mistral-7b"
    assert box_of(tree.picture, "mistral-7b")[1]
    tree.show_model("no-such-model")
    assert tree.current_id == "mistral-7b"


def test_arrows_walk_to_children_parents_and_neighbours(qtbot: QtBot, tree: FamilyTree, catalog: Catalog) -> None:
    tree.show_model("mistral-7b")
    press(qtbot, tree, Qt.Key.Key_Right)
    child = tree.current_id
    assert child in {model.id for model in catalog.children("mistral-7b")}
    assert box_of(tree.picture, child)[1]
    press(qtbot, tree, Qt.Key.Key_Down)
    assert tree.current_id != child
    press(qtbot, tree, Qt.Key.Key_Up, Qt.Key.Key_Left)
    assert tree.current_id == "mistral-7b"
    press(qtbot, tree, Qt.Key.Key_Home)
    assert catalog.model(tree.current_id) is not None
    assert not catalog.model(tree.current_id).parents


def test_every_model_is_reached_by_arrows(tree: FamilyTree, catalog: Catalog, qtbot: QtBot) -> None:
    seen: set[str] = set()
    waiting = [tree.current_id]
    arrows = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down)
    while waiting:
        begin = waiting.pop()
        if begin in seen:
            continue
        seen.add(begin)
        for key in arrows:
            tree.show_model(begin)
            press(qtbot, tree, key)
            waiting.append(tree.current_id)
    assert seen == {model.id for model in catalog.models}


def test_enter_and_a_double_click_ask_for_the_model(qtbot: QtBot, tree: FamilyTree) -> None:
    tree.show_model("mistral-7b")
    with qtbot.waitSignal(tree.model_requested) as entered:
        press(qtbot, tree, Qt.Key.Key_Return)
    assert entered.args == ["mistral-7b"]
    point, _ = box_of(tree.picture, "mistral-7b")
    with qtbot.waitSignal(tree.model_requested) as clicked:
        qtbot.mouseDClick(tree.picture.viewport(), Qt.MouseButton.LeftButton, pos=point)
    assert clicked.args == ["mistral-7b"]


def test_a_click_chooses_and_a_drag_pans(qtbot: QtBot, tree: FamilyTree) -> None:
    tree.show_model("mistral-7b")
    press(qtbot, tree, Qt.Key.Key_Right)
    child = tree.current_id
    press(qtbot, tree, Qt.Key.Key_Left)
    assert tree.current_id == "mistral-7b"
    point, is_seen = box_of(tree.picture, child)
    assert is_seen
    viewport = tree.picture.viewport()
    qtbot.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=point)
    assert tree.current_id == child
    before = tree.picture.horizontalScrollBar().value()
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=QPoint(300, 300))
    qtbot.mouseMove(viewport, QPoint(250, 300))
    qtbot.mouseMove(viewport, QPoint(200, 300))
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=QPoint(200, 300))
    assert tree.picture.horizontalScrollBar().value() == before + 100
    assert tree.current_id == child


def test_the_wheel_keys_and_buttons_zoom_within_bounds(qtbot: QtBot, tree: FamilyTree) -> None:
    picture = tree.picture
    for modifier in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier):
        before = picture.scale_factor
        turn(picture, 120, modifier)
        assert picture.scale_factor > before
    press(qtbot, tree, Qt.Key.Key_0)
    assert picture.scale_factor == pytest.approx(1)
    press(qtbot, tree, Qt.Key.Key_Minus)
    assert picture.scale_factor < 1
    press(qtbot, tree, Qt.Key.Key_Plus, Qt.Key.Key_Plus)
    assert picture.scale_factor > 1
    press(qtbot, tree, *[Qt.Key.Key_Minus] * 40)
    smallest = picture.scale_factor
    assert smallest > 0.1
    press(qtbot, tree, *[Qt.Key.Key_Plus] * 60)
    assert picture.scale_factor < 3
    picture.show_all()
    assert smallest <= picture.scale_factor < 1


def turn(picture: TreePicture, degrees: int, modifier: Qt.KeyboardModifier, place: QPointF | None = None) -> None:
    middle = place or QPointF(picture.viewport().rect().center())
    event = QWheelEvent(
        middle,
        picture.viewport().mapToGlobal(middle),
        QPoint(),
        QPoint(0, degrees),
        Qt.MouseButton.NoButton,
        modifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(picture.viewport(), event)


def test_what_is_under_the_mouse_stays_there_when_the_wheel_turns(tree: FamilyTree) -> None:
    picture = tree.picture
    tree.show_model("mistral-7b")
    mouse = picture.viewport().rect().center() - QPoint(200, 150)
    before = picture.mapToScene(mouse)
    for degrees in (120, 120, -120):
        turn(picture, degrees, Qt.KeyboardModifier.NoModifier, QPointF(mouse))
        assert (picture.mapFromScene(before) - mouse).manhattanLength() <= 4


@pytest.mark.parametrize("is_list", [False, True])
def test_the_keyboard_goes_from_the_search_to_what_was_found(tree: FamilyTree, catalog: Catalog, is_list: bool) -> None:
    tree.as_list.setChecked(is_list)
    tree.show_model("mistral-7b")
    tree.set_search("vicuna")
    assert tree.current_id == "mistral-7b"
    tree.enter_found()
    model = catalog.model(tree.current_id)
    assert model is not None
    assert "Vicuna" in model.name
    assert (tree.list if is_list else tree.picture).hasFocus()
    chosen = tree.current_id
    tree.enter_found()
    assert tree.current_id == chosen


def test_a_button_leads_to_the_details(qtbot: QtBot, tree: FamilyTree) -> None:
    tree.show_model("mistral-7b")
    details = next(button for button in tree.findChildren(Button) if button.text() == "Details")
    with qtbot.waitSignal(tree.model_requested) as wanted:
        details.click()
    assert wanted.args == ["mistral-7b"]


def test_a_search_finds_models_by_all_its_words(tree: FamilyTree, catalog: Catalog) -> None:
    tree.set_search("  vicuna  13B ")
    found = tree.picture.found_ids
    names = [catalog.model(model_id).name for model_id in found]  # type: ignore[union-attr]  # each is in the catalogue
    assert names
    assert all("vicuna" in name.lower() and "13b" in name.lower() for name in names)
    assert box_of(tree.picture, found[0])[1]
    tree.set_search("nobody has called a model so")
    assert not tree.picture.found_ids
    tree.set_search("")
    assert not tree.picture.found_ids


def test_the_list_says_the_same_and_keeps_the_model(qtbot: QtBot, tree: FamilyTree) -> None:
    tree.show_model("mistral-7b")
    qtbot.mouseClick(tree.as_list, Qt.MouseButton.LeftButton)
    assert tree.current_id == "mistral-7b"
    assert tree.list.isVisible()
    assert not tree.picture.isVisible()
    press(qtbot, tree, Qt.Key.Key_Down)
    child = tree.current_id
    assert child != "mistral-7b"
    words = tree.list.currentIndex().data(int(Qt.ItemDataRole.AccessibleTextRole))
    assert "2023, trained from Mistral 7B v0.1, " in words
    with qtbot.waitSignal(tree.model_requested) as asked:
        press(qtbot, tree, Qt.Key.Key_Return)
    assert asked.args == [child]
    qtbot.mouseClick(tree.as_list, Qt.MouseButton.LeftButton)
    assert tree.picture.isVisible()
    assert tree.current_id == child


def test_the_list_holds_every_model_and_marks_what_was_found(qtbot: QtBot, tree: FamilyTree, catalog: Catalog) -> None:
    tree.as_list.click()
    for model in catalog.models:
        tree.show_model(model.id)
        assert tree.current_id == model.id
    tree.set_search("mistral")
    tree.show_model("mistral-7b")
    bold = tree.list.currentItem().font(0).bold()
    tree.set_search("")
    assert (bold, tree.list.currentItem().font(0).bold()) == (True, False)


def test_screen_readers_hear_the_current_model(tree: FamilyTree) -> None:
    tree.show_model("vicuna-7b-v1.5")
    told = tree.picture.accessibleDescription()
    assert told.startswith("Vicuna")
    assert ", 2023, trained from " in told
    assert told.endswith(", runs")


def test_back_and_escape_close_it(qtbot: QtBot, tree: FamilyTree) -> None:
    with qtbot.waitSignal(tree.closed):
        press(qtbot, tree, Qt.Key.Key_Escape)
    tree.as_list.click()
    with qtbot.waitSignal(tree.closed):
        press(qtbot, tree, Qt.Key.Key_Escape)


def test_tooltips_tell_the_licence_and_are_plain_text(tree: FamilyTree, catalog: Catalog) -> None:
    tree.show_model("mistral-7b")
    point, _ = box_of(tree.picture, "mistral-7b")
    viewport = tree.picture.viewport()
    QApplication.sendEvent(viewport, QHelpEvent(QEvent.Type.ToolTip, point, viewport.mapToGlobal(point)))
    model = catalog.model("mistral-7b")
    assert model is not None
    assert model.licence in QToolTip.text()
    assert "Commercial use: yes" in QToolTip.text()
    QToolTip.hideText()


def test_themes_text_sizes_and_directions_change_while_shown(tree: FamilyTree, qapp: QApplication) -> None:
    tree.show_model("mistral-7b")
    for theme, percent in (("dark", 100), ("dark", 150), ("light", 70)):
        apply_theme(qapp, theme, percent)
        QApplication.processEvents()
        assert not tree.grab().isNull()
        assert tree.current_id == "mistral-7b"
    tree.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    assert not tree.grab().isNull()


def test_the_current_model_stays_in_view_when_the_window_shrinks(tree: FamilyTree) -> None:
    tree.show_model("mistral-7b")
    tree.resize(480, 500)
    QApplication.processEvents()
    assert box_of(tree.picture, "mistral-7b")[1]
