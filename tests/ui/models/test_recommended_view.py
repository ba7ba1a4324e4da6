"""The view of the catalogue, with the shipped one, judged for a computer with 12 GB free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.catalog import Catalog, CommercialUse, ModelKind
from app.core.fit import MachineMemory
from app.core.speed import SpeedModel
from app.ui.labels import Label
from app.ui.models.catalogue_rows import CatalogueRows, judge_rows
from app.ui.models.recommended_view import Filter, RecommendedView
from tests.ui.models.values import LONG

GB = 1_000_000_000


@pytest.fixture(scope="session")
def judged(catalog: Catalog) -> CatalogueRows:
    return judge_rows(catalog, MachineMemory(12 * GB, 16 * GB, threads=4), SpeedModel({"CPU": 30e9}), "f16")


@pytest.fixture
def view(show: Callable[..., RecommendedView], catalog: Catalog, judged: CatalogueRows) -> RecommendedView:
    view = RecommendedView()
    show(view)
    view.set_rows(catalog, judged)
    QApplication.processEvents()
    return view


def keys(view: RecommendedView) -> list[str]:
    return [row.key for row in view.list.rows if row.key]


def shown(view: RecommendedView) -> set[str]:
    return set(keys(view))


def test_every_row_is_there(view: RecommendedView, catalog: Catalog) -> None:
    assert shown(view) == {model.id for model in catalog.models}
    assert len(keys(view)) == len(set(keys(view)))


def test_the_first_one_is_shown_where_there_is_room(view: RecommendedView) -> None:
    sheet = view.sheet()
    assert sheet is not None
    assert sheet.key == view.best.cards[0].best.row.model.id
    assert view.list.current_key == ""
    assert view.details.main_button.text().startswith("Download (")


def test_words_are_searched_in_all_texts(view: RecommendedView, catalog: Catalog) -> None:
    view.set_search("  QWEN   coder ")
    names = [model.name.lower() for model in catalog.models if model.id in shown(view)]
    assert names
    view.set_search("there is no such model")
    assert not view.list.rows
    assert any(label.isVisible() and "Nothing in the list" in label.text() for label in view.findChildren(Label))
    view.set_search("")
    assert shown(view) == {model.id for model in catalog.models}


def test_what_is_found_begins_with_the_filters_and_the_family(view: RecommendedView) -> None:
    view.list.choose(keys(view)[-1])
    QApplication.processEvents()
    assert view.list.verticalScrollBar().value() > 0
    view.set_search("a")
    QApplication.processEvents()
    assert view.list.verticalScrollBar().maximum() > 0
    assert view.list.verticalScrollBar().value() == 0
    view.list.choose(keys(view)[-1])
    QApplication.processEvents()
    view.chips[Filter.CHAT].click()
    QApplication.processEvents()
    assert view.list.verticalScrollBar().value() == 0
    assert not view.chips[Filter.CHAT].visibleRegion().isEmpty()


def test_filters_narrow_together(view: RecommendedView, catalog: Catalog, judged: CatalogueRows) -> None:
    fits = {
        Filter.RUNS_HERE: {row.model.id for row in judged.rows if row.runs_here},
        Filter.CHAT: {m.id for m in catalog.models if m.kind in (ModelKind.CHAT, ModelKind.VISION)},
        Filter.CODE: {m.id for m in catalog.models if m.kind is ModelKind.CODE},
        Filter.SMALL: {m.id for m in catalog.models if m.parameters and m.parameters <= 4 * GB},
        Filter.COMMERCIAL: {m.id for m in catalog.models if m.commercial_use is CommercialUse.YES},
    }
    for which, chip in view.chips.items():
        chip.click()
        assert shown(view) == fits[which], which
        assert 0 < len(shown(view)) < len(catalog.models)
        chip.click()
    for which in (Filter.SMALL, Filter.COMMERCIAL, Filter.RUNS_HERE):
        view.chips[which].click()
    assert shown(view) == fits[Filter.SMALL] & fits[Filter.COMMERCIAL] & fits[Filter.RUNS_HERE]


def test_a_verdict_anew_leaves_the_details_alone(
    qtbot: QtBot, view: RecommendedView, catalog: Catalog, judged: CatalogueRows
) -> None:
    view.show_model("mistral-7b-instruct-v0.3")
    later = CatalogueRows(
        tuple(replace(row, row=replace(row.row, state="Too large")) for row in judged.rows), judged.figures
    )
    with qtbot.assertNotEmitted(view.details.file_chosen):
        view.set_rows(catalog, later)
    assert view.list.current_key == "mistral-7b-instruct-v0.3"
    assert all(row.state == "Too large" for row in view.list.rows if row.key)


def test_a_model_that_cannot_run_leads_to_one_that_does(view: RecommendedView, catalog: Catalog) -> None:
    model = next(model for model in catalog.models if not model.runs)
    view.show_model(model.id)
    sheet = view.sheet()
    assert sheet is not None
    assert sheet.why_not == model.why_not
    assert not view.details.main_button.isVisible()
    nearest = catalog.model(model.nearest)
    assert nearest is not None
    button = next(b for b in view.details.findChildren(type(view.details.main_button)) if nearest.name in b.text())
    button.click()
    assert view.sheet() is not None
    assert view.sheet().key == nearest.id  # type: ignore[union-attr]  # a model is shown


def test_narrow_enter_leads_to_details_and_escape_back(
    qtbot: QtBot, show: Callable[..., RecommendedView], catalog: Catalog, judged: CatalogueRows
) -> None:
    view = show(RecommendedView(), 480, 700)
    view.set_rows(catalog, judged)
    view.setFocus()
    assert view.list.isVisible()
    assert not view.details.isVisible()
    view.list.choose_first()
    qtbot.keyClick(view.list, Qt.Key.Key_Return)
    assert view.details.isVisible()
    assert not view.list.isVisible()
    focused = view.window().focusWidget()
    assert focused is not None
    qtbot.keyClick(focused, Qt.Key.Key_Escape)
    assert view.list.isVisible()
    assert not view.details.isVisible()
    assert view.list.hasFocus()


def test_a_window_made_narrow_shows_the_list(view: RecommendedView) -> None:
    view.resize(480, 700)
    QApplication.processEvents()
    assert view.list.isVisible() != view.details.isVisible()
    view.resize(1280, 700)
    QApplication.processEvents()
    assert view.list.isVisible()
    assert view.details.isVisible()


def test_before_the_catalogue_and_when_there_is_none(show: Callable[..., RecommendedView]) -> None:
    view = show(RecommendedView(), 480, 700)
    view.set_search("anything")
    view.show_model("mistral-7b")
    assert view.sheet() is None
    view.set_failure("The list cannot be read.")
    assert any(label.isVisible() and label.text() == "The list cannot be read." for label in view.findChildren(Label))


def test_long_names_and_right_to_left(
    show: Callable[..., RecommendedView], catalog: Catalog, judged: CatalogueRows
) -> None:
    models = tuple(replace(model, name=LONG, summary=LONG, organisation=LONG) for model in catalog.models[:5])
    strange = replace(catalog, models=models)
    rows = tuple(replace(row, model=model) for row, model in zip(judged.rows, models, strict=False))
    view = show(RecommendedView(), 480, 700)
    view.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    view.set_rows(strange, CatalogueRows(rows, judged.figures))
    view.show_model(models[0].id)
    QApplication.processEvents()
    assert not view.grab().isNull()
    assert view.details.inside.width() <= view.details.viewport().width()
