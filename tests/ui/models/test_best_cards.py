"""The few models that are offered first, above the list of all, on a computer with 12 GB free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.catalog import Catalog, ModelKind
from app.core.downloads import Download, DownloadState
from app.core.errors import ErrorKind, UserError
from app.core.fit import MachineMemory
from app.core.speed import SpeedModel
from app.services.explain_fit import FitLevel
from app.ui.labels import Label
from app.ui.models.best_cards import BestCard
from app.ui.models.best_models import BestFor, best_models
from app.ui.models.catalogue_rows import CatalogueRow, CatalogueRows, judge_rows
from app.ui.models.recommended_view import Filter, RecommendedView
from app.ui.tab_order import tab_stops
from app.ui.theme import apply_theme
from tests.ui.models.settling import settle
from tests.ui.models.values import GB, LONG, download

WIDE_PX, NARROW_PX = 2200, 480


def judged_for(catalog: Catalog, memory_gb: float, bytes_per_second: float) -> CatalogueRows:
    free_bytes = round(memory_gb * 0.75 * GB)
    machine = MachineMemory(free_bytes, round(memory_gb * GB), threads=4)
    return judge_rows(catalog, machine, SpeedModel({"CPU": bytes_per_second}), "f16")


@pytest.fixture(scope="session")
def judged(catalog: Catalog) -> CatalogueRows:
    return judged_for(catalog, 16, 30e9)


@pytest.fixture(scope="session")
def judged_slow(catalog: Catalog) -> CatalogueRows:
    return judged_for(catalog, 16, 1e9)


@pytest.fixture(scope="session")
def judged_tiny(catalog: Catalog) -> CatalogueRows:
    return judged_for(catalog, 0.2, 30e9)


@pytest.fixture
def view(show: Callable[..., RecommendedView], catalog: Catalog, judged: CatalogueRows) -> RecommendedView:
    return filled(show, catalog, judged, 1280)


def filled(
    show: Callable[..., RecommendedView], catalog: Catalog, judged: CatalogueRows, width: int, height: int = 800
) -> RecommendedView:
    view = show(RecommendedView(), width, height)
    view.set_rows(catalog, judged)
    settle()
    return view


def words(card: BestCard) -> str:
    return " ".join(label.text() for label in card.findChildren(Label) if label.isVisible())


def coming(card: BestCard, state: DownloadState = DownloadState.RUNNING, **changes: object) -> dict[str, Download]:
    made = download("a", state, done_bytes=GB // 2, total_bytes=2 * GB, **changes)
    return {card.choice.key: made}


def first_row_y(view: RecommendedView) -> int:
    return view.list.visualRect(view.list.model().index(1, 0)).top() + view.list.verticalScrollBar().value()


def is_seen(view: RecommendedView, card: BestCard) -> bool:
    return not card.visibleRegion().isEmpty()


# -- which ones


def test_one_for_most_one_quick_one_for_code(judged: CatalogueRows) -> None:
    best = {each.purpose: each.row for each in best_models(judged.rows)}
    assert set(best) == set(BestFor)
    assert best[BestFor.CODE].model.kind is ModelKind.CODE
    assert best[BestFor.SPEED].words_per_second > 2 * best[BestFor.MOST].words_per_second
    for row in best.values():
        assert row.model.recommended
        assert row.runs_well
        assert row.suggested is not None
        assert row.suggested.parts


def test_the_largest_that_runs_well_is_first(judged: CatalogueRows) -> None:
    def size(row: CatalogueRow) -> int:
        return row.model.parameters or 0

    chats = [row for row in judged.rows if row.model.recommended and row.model.kind is not ModelKind.CODE]
    best = best_models(judged.rows)[0].row
    assert best.runs_well
    assert not [row for row in chats if size(row) > size(best) and row.runs_well]


def test_a_slow_computer_is_offered_the_smallest(judged_slow: CatalogueRows) -> None:
    best = best_models(judged_slow.rows)
    assert best
    assert not any(each.row.runs_well for each in best)
    ready = [row for row in judged_slow.rows if row.model.recommended and row.runs_here]
    assert best[0].row.model.id == min(ready, key=lambda row: row.model.parameters or 0).model.id


def test_nothing_is_offered_where_nothing_runs(
    show: Callable[..., RecommendedView], catalog: Catalog, judged: CatalogueRows, judged_tiny: CatalogueRows
) -> None:
    assert best_models(judged_tiny.rows) == ()
    view = filled(show, catalog, judged_tiny, 1280)
    assert not view.best.isVisible()
    top = first_row_y(view)
    view.set_rows(catalog, judged)
    settle()
    assert view.best.isVisible()
    assert first_row_y(view) > top + view.best.height()


# -- what they say and do


def test_a_card_says_all_that_one_needs_to_know(view: RecommendedView) -> None:
    assert view.best.cards
    for card in view.best.cards:
        model = card.best.row.model
        for part in (model.name, model.summary, "Runs on the processor, about", "billion parameters", model.licence):
            assert part in words(card)
            assert part.rstrip(".") in card.accessibleName()
        assert "Commercial use: " in words(card)
        assert card.level is FitLevel.GOOD
        assert card.main_button.text().startswith("Download (")
        assert card.main_button.accessibleName().endswith(model.name)


def test_one_press_downloads_the_suggested_file(qtbot: QtBot, view: RecommendedView) -> None:
    card = view.best.cards[1]
    with qtbot.waitSignal(view.download_requested) as asked:
        qtbot.mouseClick(card.main_button, Qt.MouseButton.LeftButton)
    assert asked.args == [card.choice, card.best.row.model.name]
    assert card.choice.is_suggested


def test_a_button_becomes_progress_and_then_a_chat(qtbot: QtBot, view: RecommendedView) -> None:
    card, other, *_ = view.best.cards
    card.main_button.setFocus()
    view.set_here({}, coming(card, bytes_per_second=8e6, seconds_left=125.0))
    settle()
    assert not card.main_button.isVisible()
    assert card.details_button.x() == card.main_button.x()  # no gap where the button was
    assert card.status == "500 MB of 2.0 GB · 8.0 MB/s · 2 min left"
    assert card.isAncestorOf(QApplication.focusWidget())  # the keyboard is not lost with the button
    assert other.main_button.isVisible()
    assert other.status == ""
    view.set_here({}, coming(card, DownloadState.PAUSED))
    assert card.main_button.text() == "Resume"
    full = UserError(ErrorKind.DISK_SPACE, needed_bytes=2 * GB, free_bytes=GB, path="/models")
    view.set_here({}, coming(card, DownloadState.FAILED, error=full))
    assert card.main_button.text() == "Try again"
    assert "too little room" in card.status
    view.set_here({card.choice.key: "/models/a.gguf"}, {})
    assert card.main_button.text() == "Chat now"
    assert card.status == ""
    with qtbot.waitSignal(view.use_requested) as used:
        qtbot.mouseClick(card.main_button, Qt.MouseButton.LeftButton)
    assert used.args == ["/models/a.gguf"]


def test_a_verdict_anew_keeps_the_button_under_the_finger(
    view: RecommendedView, catalog: Catalog, judged: CatalogueRows
) -> None:
    buttons = [card.main_button for card in view.best.cards]
    view.best.cards[0].main_button.setFocus()
    view.set_rows(catalog, replace(judged, rows=tuple(reversed(judged.rows))))
    assert [card.main_button for card in view.best.cards] == buttons
    assert buttons[0].hasFocus()


def test_details_of_a_card_and_of_a_row(qtbot: QtBot, view: RecommendedView) -> None:
    card = view.best.cards[1]
    view.list.choose_first()
    qtbot.mouseClick(card, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
    assert view.sheet() is not None
    assert view.sheet().key == card.best.row.model.id  # type: ignore[union-attr]  # a card is shown
    assert view.list.current_key == ""
    view.list.choose_first()
    assert view.sheet().key == view.list.current_key  # type: ignore[union-attr]  # a card is shown


def test_narrow_the_details_of_a_card_take_the_place_of_the_list(
    qtbot: QtBot, show: Callable[..., RecommendedView], catalog: Catalog, judged: CatalogueRows
) -> None:
    view = filled(show, catalog, judged, NARROW_PX)
    card = view.best.cards[0]
    qtbot.keyClick(card.details_button, Qt.Key.Key_Space)
    assert view.details.isVisible()
    assert not card.isVisible()
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Escape)
    settle()
    assert is_seen(view, card)


# -- where they are


def test_they_go_while_something_is_searched_for(view: RecommendedView) -> None:
    assert view.best.isVisible()
    top = first_row_y(view)
    view.set_search("qwen")
    settle()
    assert not view.best.isVisible()
    assert first_row_y(view) < top - view.best.height()
    view.set_search(" ")
    assert view.best.isVisible()
    view.chips[Filter.SMALL].click()
    assert not view.best.isVisible()
    view.chips[Filter.SMALL].click()
    assert view.best.isVisible()


@pytest.mark.parametrize("percent", [100, 200])
@pytest.mark.parametrize(("width", "is_row"), [(WIDE_PX, True), (1280, False), (NARROW_PX, False)])
def test_beside_each_other_where_there_is_room(
    show: Callable[..., RecommendedView],
    qapp: QApplication,
    catalog: Catalog,
    judged: CatalogueRows,
    width: int,
    is_row: bool,
    percent: int,
) -> None:
    view = filled(show, catalog, judged, width * percent // 100)
    apply_theme(qapp, "light", percent)
    settle()
    tops = {card.y() for card in view.best.cards}
    assert len(tops) == (1 if is_row else 3)


@pytest.mark.parametrize("percent", [100, 200])
@pytest.mark.parametrize("width", [WIDE_PX, 1280, NARROW_PX])
def test_long_names_and_large_text_are_not_cut(
    show: Callable[..., RecommendedView],
    qapp: QApplication,
    catalog: Catalog,
    judged: CatalogueRows,
    width: int,
    percent: int,
) -> None:
    apply_theme(qapp, "light", percent)
    terms = replace(catalog.models[0].licence_terms, name=LONG)
    rows = tuple(replace(row, model=replace(row.model, name=LONG, licence_terms=terms)) for row in judged.rows)
    view = filled(show, catalog, replace(judged, rows=rows), width)
    view.set_here({}, coming(view.best.cards[0], DownloadState.WAITING, retry_in_s=20))
    settle()
    assert len(view.best.cards) == 3
    for card in view.best.cards:
        assert view.best.rect().contains(card.geometry())
        for part in [*card.findChildren(Label), card.main_button, card.details_button]:
            if part.isVisible():
                assert card.rect().contains(part.geometry()), part
                assert part.height() >= part.heightForWidth(part.width()), part
    first_row = view.list.visualRect(view.list.model().index(1, 0))
    lowest = view.best.mapTo(view, QPoint(0, view.best.height())).y()
    assert lowest <= view.list.viewport().mapTo(view, first_row.topLeft()).y()


def test_they_scroll_away_with_the_rows(view: RecommendedView) -> None:
    card, bar = view.best.cards[0], view.list.verticalScrollBar()
    top = card.mapTo(view, QPoint(0, 0)).y()
    bar.setValue(50)
    assert card.mapTo(view, QPoint(0, 0)).y() == top - 50
    bar.setValue(bar.maximum())
    assert not is_seen(view, card)
    bar.setValue(0)
    assert is_seen(view, card)


def test_the_wheel_over_a_card_scrolls_the_list(view: RecommendedView) -> None:
    card = view.best.cards[0]
    place = card.mapTo(view, card.rect().center())
    QTest.wheelEvent(view.windowHandle(), QPointF(place), QPoint(0, -120))
    settle()
    assert view.list.verticalScrollBar().value() > 0


def test_tab_goes_from_the_filters_over_the_cards_to_the_list(view: RecommendedView) -> None:
    """In the order in which the window leads the Tab key."""
    buttons = [button for card in view.best.cards for button in (card.main_button, card.details_button)]
    stops = list(tab_stops(view))
    first = stops.index(view.chips[Filter.COMMERCIAL]) + 2  # the next is the family tree
    assert stops[first : first + 6] == buttons
    assert stops[first + 6] is view.list


@pytest.mark.parametrize("height", [200, 300])
def test_who_comes_by_keyboard_sees_the_button(view: RecommendedView, height: int) -> None:
    view.resize(1280, height)
    settle()
    bar = view.list.verticalScrollBar()
    buttons = [button for card in view.best.cards for button in (card.main_button, card.details_button)]
    for button in [*buttons, *view.chips.values(), *reversed(buttons)]:
        for place in (bar.maximum(), bar.value()):
            bar.setValue(place)
            button.setFocus(Qt.FocusReason.TabFocusReason)
            assert button.visibleRegion().boundingRect() == button.rect()
            view.list.setFocus()


# -- judged anew while somebody looks


def offered(view: RecommendedView) -> list[str]:
    return [card.best.row.model.id for card in view.best.cards]


def point_at(view: RecommendedView) -> None:
    place = QPointF(view.rect().center())
    QApplication.sendEvent(view, QEnterEvent(place, place, place))


def point_elsewhere(view: RecommendedView) -> None:
    QApplication.sendEvent(view, QEvent(QEvent.Type.Leave))


def test_no_other_model_comes_under_the_mouse(
    qtbot: QtBot, view: RecommendedView, catalog: Catalog, judged_slow: CatalogueRows
) -> None:
    before = offered(view)
    point_at(view)
    view.set_rows(catalog, judged_slow)
    assert offered(view) == before
    assert view.best.cards[0].level is FitLevel.FAIR  # but what is said of them is new
    with qtbot.waitSignal(view.offered):
        point_elsewhere(view)
    assert offered(view) == [best.row.model.id for best in best_models(judged_slow.rows)] != before


def test_no_other_model_comes_under_the_keyboard(
    view: RecommendedView, catalog: Catalog, judged_slow: CatalogueRows, judged_tiny: CatalogueRows
) -> None:
    point_elsewhere(view)
    before = offered(view)
    view.best.cards[1].main_button.setFocus()
    view.set_rows(catalog, judged_slow)
    assert offered(view) == before
    view.list.setFocus()
    view.set_rows(catalog, judged_tiny)
    assert offered(view) == [best.row.model.id for best in best_models(judged_tiny.rows)] != before


def test_what_can_no_longer_be_had_is_not_kept(view: RecommendedView, catalog: Catalog, judged: CatalogueRows) -> None:
    gone, *rest = offered(view)
    point_at(view)
    rows = tuple(replace(row, suggested=None) if row.model.id == gone else row for row in judged.rows)
    view.set_rows(catalog, CatalogueRows(rows, judged.figures))
    assert offered(view) == rest
