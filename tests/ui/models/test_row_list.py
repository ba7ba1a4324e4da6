from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import QEvent, QObject, QRect, Qt
from PySide6.QtGui import QHelpEvent, QPaintEvent
from PySide6.QtWidgets import QApplication, QToolTip, QWidget
from pytestqt.qtbot import QtBot

from app.ui.models.row_list import ListRow, RowList
from app.ui.theme import apply_theme
from tests.ui.models.settling import settle
from tests.ui.models.values import LONG


def rows(count: int, *, heading: bool = True) -> list[ListRow]:
    made = [ListRow(f"k{place}", f"Model {place}", "what it is", "2 GB", "Runs well") for place in range(count)]
    return [ListRow("", "Family"), *made] if heading else made


@pytest.fixture
def box(show: Callable[..., RowList]) -> RowList:
    widget = RowList("Models")
    widget.set_rows(rows(300))
    return show(widget, 400, 500)


def test_arrows_choose_and_pass_headings_over(qtbot: QtBot, box: RowList) -> None:
    box.choose("k2")
    chosen: list[str] = []
    box.chosen.connect(chosen.append)
    box.choose_first()
    qtbot.keyClick(box, Qt.Key.Key_Down)
    qtbot.keyClick(box, Qt.Key.Key_Up)
    qtbot.keyClick(box, Qt.Key.Key_Up)
    assert chosen == ["k0", "k1", "k0"]
    assert box.current_key == "k0"


def test_enter_and_a_click_open(qtbot: QtBot, box: RowList) -> None:
    box.choose("k2")
    with qtbot.waitSignal(box.opened) as entered:
        qtbot.keyClick(box, Qt.Key.Key_Return)
    assert entered.args == ["k2"]
    place = box.visualRect(box.model().index(4, 0)).center()
    with qtbot.waitSignal(box.opened) as clicked:
        qtbot.mouseClick(box.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert clicked.args == ["k3"]
    with qtbot.assertNotEmitted(box.opened):
        qtbot.mouseClick(
            box.viewport(), Qt.MouseButton.LeftButton, pos=box.visualRect(box.model().index(0, 0)).center()
        )


def test_new_rows_keep_what_was_chosen_in_silence(qtbot: QtBot, box: RowList) -> None:
    box.choose("k5")
    with qtbot.assertNotEmitted(box.chosen):
        box.set_rows([*rows(3, heading=False), *[row for row in rows(300) if row.key == "k5"]])
    assert box.current_key == "k5"
    box.set_rows(rows(2))
    assert box.current_key == ""
    assert not box.choose("k5")


class Painted(QObject):
    """What of a widget was painted."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.rects: list[QRect] = []
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QPaintEvent):
            self.rects.append(event.rect())
        return False


def test_of_rows_that_stand_where_they_stood_only_the_changed_one_is_painted(qtbot: QtBot, box: RowList) -> None:
    box.choose("k5")
    settle()
    painted = Painted(box.viewport())
    changed = rows(300)
    changed[3] = ListRow("k2", "Model 2", "what it is", "2 GB", "Too large")
    with qtbot.assertNotEmitted(box.chosen):
        box.set_rows(changed)
    settle()
    assert painted.rects == [box.visualRect(box.model().index(3, 0))]
    assert box.rows[3].state == "Too large"
    assert box.current_key == "k5"


def test_the_end_is_told_once_it_comes_near(qtbot: QtBot, box: RowList) -> None:
    with qtbot.assertNotEmitted(box.end_reached):
        box.verticalScrollBar().setValue(10)
    with qtbot.waitSignal(box.end_reached):
        qtbot.keyClick(box, Qt.Key.Key_End)
    assert box.current_key == "k299"


def test_a_row_is_spoken_whole(box: RowList) -> None:
    spoken = box.model().index(1, 0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert spoken == "Model 0. what it is. 2 GB. Runs well"


def test_long_names_dark_and_right_to_left_are_painted(box: RowList, qapp: QApplication) -> None:
    box.set_rows([ListRow("a", LONG, LONG, LONG, LONG), ListRow("", LONG), ListRow("b", "שלום", "طويل", "", "")])
    box.choose("a")
    box.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    apply_theme(qapp, "dark", 200)
    QApplication.processEvents()
    assert not box.grab().isNull()
    box.set_rows([])
    assert not box.grab().isNull()


def test_what_is_cut_is_in_the_tooltip(show: Callable[..., RowList]) -> None:
    box = RowList("Models")
    short, long = rows(1, heading=False)[0], ListRow("long", LONG, "what it is", "2 GB", "Runs well")
    box.set_rows([short, long])
    show(box, 400, 300)

    def pointed_at(row: int) -> str:
        place = box.visualRect(box.model().index(row, 0)).center()
        QApplication.sendEvent(
            box.viewport(), QHelpEvent(QEvent.Type.ToolTip, place, box.viewport().mapToGlobal(place))
        )
        return QToolTip.text() if QToolTip.isVisible() else ""

    assert pointed_at(0) == ""
    assert pointed_at(1) == f"{LONG}\nwhat it is\n2 GB\nRuns well"
