"""The search on the hub, with made-up answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QLineEdit
from pytestqt.qtbot import QtBot

from app.core.errors import ErrorKind
from app.core.fit import MachineMemory
from app.core.hub_values import Gate, SearchPage, SearchQuery, SearchSort
from app.core.messages import utc_now
from app.services.explain_fit import FitLevel
from app.services.explanation import Action, ActionKind, Explanation, retry
from app.ui.buttons import Button
from app.ui.labels import Label
from app.ui.models.hub_sheets import judge_models
from app.ui.models.hub_view import HubView
from app.ui.models.library_view import LibraryView
from app.ui.models.page import ModelsPage, ModelsView
from app.ui.models.recommended_view import RecommendedView
from tests.ui.models.settling import settle
from tests.ui.models.values import GB, LONG, hub_details, hub_model

PAGE = SearchPage(tuple(hub_model(place) for place in range(30)), "second")
REST = SearchPage(tuple(hub_model(place) for place in range(29, 40)))


@pytest.fixture
def view(show: Callable[..., HubView]) -> HubView:
    return show(HubView("mirror.test"))


@pytest.fixture
def asked(view: HubView) -> list[SearchQuery]:
    """What was sent; the person has agreed before."""
    queries: list[SearchQuery] = []
    view.search_requested.connect(queries.append)
    view.set_consent(True)
    return queries


def words(view: HubView) -> str:
    settle()
    return "\n".join(label.text() for label in view.findChildren(Label) if label.isVisible())


def button(view: HubView, text: str) -> Button:
    return next(button for button in view.findChildren(Button) if button.text() == text)


def test_nothing_is_sent_before_the_person_agrees(qtbot: QtBot, view: HubView) -> None:
    queries: list[SearchQuery] = []
    view.search_requested.connect(queries.append)
    view.open()
    view.set_search("qwen")
    assert queries == []
    assert "are published: mirror.test. A search sends the words you type there, and to nobody else" in words(view)
    assert not button(view, "Fits this computer").isVisible()  # there is nothing yet to filter
    with qtbot.waitSignal(view.consented):
        view.consent_button.click()
    assert [query.text for query in queries] == ["qwen"]
    assert view.message == "Searching…"


def test_the_settings_are_one_press_away(qtbot: QtBot, view: HubView) -> None:
    with qtbot.waitSignal(view.settings_requested):
        button(view, "Open the settings").click()


def test_answers_are_listed_and_one_is_opened(qtbot: QtBot, view: HubView, asked: list[SearchQuery]) -> None:
    view.set_search("model")
    view.set_page(PAGE)
    assert [row.key for row in view.list.rows] == [model.repo for model in PAGE.models]
    assert view.list.rows[0].note == "Downloads: 1,000"
    view.list.choose_first()
    with qtbot.waitSignal(view.repository_requested) as opened:
        qtbot.keyClick(view.list, Qt.Key.Key_Return)
    assert opened.args == ["maker-0/Model-0-GGUF"]


def test_the_next_page_is_asked_for_once_and_added(view: HubView, asked: list[SearchQuery]) -> None:
    view.set_search("model")
    view.set_page(PAGE)
    bar = view.list.verticalScrollBar()
    bar.setValue(bar.maximum())
    bar.setValue(bar.maximum() - 1)
    bar.setValue(bar.maximum())
    assert [query.cursor for query in asked] == ["", "second"]
    assert asked[1].text == "model"
    view.set_page(REST)
    assert [row.key for row in view.list.rows] == [f"maker-{place}/Model-{place}-GGUF" for place in range(40)]
    bar.setValue(bar.maximum())
    assert len(asked) == 2


def test_what_followed_the_answers_to_another_question_is_not_asked_for(
    view: HubView, asked: list[SearchQuery]
) -> None:
    view.set_search("model")
    view.set_page(PAGE)
    view.set_search("other")
    view.set_failure(Explanation("No", "Why"))
    view.list.end_reached.emit()
    assert [query.cursor for query in asked] == ["", ""]


def test_filters_ask_anew(qtbot: QtBot, view: HubView, asked: list[SearchQuery]) -> None:
    view.set_max_bytes(9_000_000_000)
    view.set_search("model")
    button(view, "Fits this computer").click()
    assert asked[-1].max_bytes == 9_000_000_000
    sort = next(box for box in view.findChildren(QComboBox) if box.accessibleName() == "Order")
    sort.setFocus()
    qtbot.keyClick(sort, Qt.Key.Key_Down)
    assert asked[-1].sort is SearchSort.LIKES
    author = view.findChildren(QLineEdit)[0]
    author.setFocus()
    qtbot.keyClicks(author, "maker")
    qtbot.keyClick(author, Qt.Key.Key_Return)
    assert (asked[-1].author, asked[-1].text) == ("maker", "model")
    assert asked[-1].max_bytes == 9_000_000_000
    count = len(asked)
    button(view, "Fits this computer").setFocus()
    assert len(asked) == count


def test_no_answer_and_a_failure_say_so(qtbot: QtBot, view: HubView, asked: list[SearchQuery]) -> None:
    view.set_search("model")
    view.set_page(SearchPage(()))
    assert view.message == "The hub has no model for these words."
    view.set_failure(Explanation("The hub cannot be reached", "Check the connection.", (retry(),)))
    assert view.message == "The hub cannot be reached"
    assert "Check the connection." in words(view)
    button(view, "Try again").click()
    assert asked[-1] == asked[0]


def test_a_failure_further_down_keeps_the_answers_and_can_be_tried_again(
    view: HubView, asked: list[SearchQuery]
) -> None:
    view.set_search("model")
    view.set_page(PAGE)
    bar = view.list.verticalScrollBar()
    bar.setValue(bar.maximum())
    view.set_failure(Explanation("The hub asks for a pause", "Trying again in 20 s.", (retry(),)))
    assert len(view.list.rows) == 30
    assert "The hub asks for a pause. Trying again in 20 s." in words(view)
    bar.setValue(0)
    bar.setValue(bar.maximum())
    assert [query.cursor for query in asked] == ["", "second", "second"]


def test_old_answers_are_said_to_be_old(view: HubView, asked: list[SearchQuery]) -> None:
    view.set_search("model")
    view.set_page(PAGE, "From yesterday, for the hub is silent.")
    assert "From yesterday, for the hub is silent." in words(view)
    view.set_search("other")
    view.set_page(PAGE)
    assert "From yesterday" not in words(view)


def test_old_details_are_said_to_be_old(view: HubView) -> None:
    old = utc_now() - timedelta(hours=5)
    details = replace(hub_details(hub_model(1)), answered_at=old, why_old=ErrorKind.NO_NETWORK)
    view.set_details(details, "https://hub.test/x")
    assert "From 5 h ago: this computer is not connected." in words(view)
    view.set_details(hub_details(hub_model(1)), "https://hub.test/x")
    assert "From 5 h ago" not in words(view)


def test_a_repository_is_shown_with_its_files_and_card(view: HubView, asked: list[SearchQuery]) -> None:
    view.set_details(hub_details(hub_model(1, gate=Gate.MANUAL)), "https://mirror.test/maker-1/Model-1-GGUF")
    sheet = view.details.sheet
    assert sheet is not None
    assert sheet.suggested is not None
    assert sheet.suggested.quantization == "Q4_K_M"
    assert "accept terms before the download" in words(view)
    assert view.details.main_button.text() == "Download (5.0 GB)"


def test_narrow_back_leads_to_the_answers(qtbot: QtBot, show: Callable[..., HubView]) -> None:
    view = show(HubView("mirror.test"), 480, 700)
    view.set_consent(True)
    view.set_search("model")
    view.set_page(PAGE)
    view.set_details(hub_details(hub_model(1)), "https://mirror.test/x")
    assert not view.list.isVisible()
    focused = view.window().focusWidget()
    assert focused is not None
    qtbot.keyClick(focused, Qt.Key.Key_Escape)
    assert view.list.isVisible()
    assert view.list.hasFocus()


def test_long_names_and_right_to_left(show: Callable[..., HubView]) -> None:
    view = show(HubView("mirror.test"), 480, 700)
    view.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    view.set_consent(True)
    model = hub_model(1, repo=f"{LONG}/{LONG}", author=LONG, licence=LONG, architecture=LONG)
    view.set_search("x")
    view.set_page(SearchPage((model,)))
    assert not view.grab().isNull()
    view.set_details(hub_details(model), "https://mirror.test/x")
    QApplication.processEvents()
    assert not view.grab().isNull()
    assert view.details.inside.width() <= view.details.viewport().width()


# -- what is asked, and how often


def test_coming_back_asks_for_nothing_that_is_there_or_on_its_way(view: HubView, asked: list[SearchQuery]) -> None:
    view.open("model")
    view.open("model")
    view.set_search("model")
    view.show_answers("model")
    assert len(asked) == 1
    view.set_page(SearchPage(()))
    view.open("model")
    view.set_search("model ")
    assert len(asked) == 1


def test_coming_back_after_a_failure_asks_again_with_the_same_filters(
    qtbot: QtBot, view: HubView, asked: list[SearchQuery]
) -> None:
    view.set_search("model")
    author = view.findChildren(QLineEdit)[0]
    qtbot.keyClicks(author, "maker")
    qtbot.keyClick(author, Qt.Key.Key_Return)
    view.set_failure(Explanation("No", "Why"))
    view.open("model")
    assert asked[-1] == asked[-2]
    assert asked[-1].author == "maker"


def test_a_kind_can_be_asked_for(qtbot: QtBot, view: HubView, asked: list[SearchQuery]) -> None:
    view.set_search("model")
    kind = next(box for box in view.findChildren(QComboBox) if box.accessibleName() == "Kind")
    kind.setFocus()
    qtbot.keyClick(kind, Qt.Key.Key_Down)
    assert asked[-1].task == "text-generation"


def test_a_size_can_be_asked_for(qtbot: QtBot, view: HubView, asked: list[SearchQuery]) -> None:
    view.set_max_bytes(3_000_000_000)
    view.set_search("model")
    assert asked[-1].max_bytes is None
    size = next(box for box in view.findChildren(QComboBox) if box.accessibleName() == "Size")
    size.setFocus()
    for limit_bytes in (1_000_000_000, 2_000_000_000, 4_000_000_000):
        qtbot.keyClick(size, Qt.Key.Key_Down)
        assert asked[-1].max_bytes == limit_bytes
    button(view, "Fits this computer").click()
    assert asked[-1].max_bytes == 3_000_000_000  # of two limits the lower holds


def test_another_hub_gives_its_own_answers(view: HubView, asked: list[SearchQuery]) -> None:
    view.set_search("model")
    view.set_page(PAGE)
    view.set_host("mirror.test")
    view.retry()
    assert len(asked) == 1
    view.set_host("other.test")
    view.retry()
    assert [query.text for query in asked] == ["model", "model"]
    assert view.message == "Searching…"
    view.set_host("third.test")  # before the other has answered
    view.retry()
    assert len(asked) == 3


def test_a_failure_offers_more_than_to_try_again(qtbot: QtBot, view: HubView, asked: list[SearchQuery]) -> None:
    view.set_search("model")
    online = Action(ActionKind.GO_ONLINE, "Go online")
    view.set_failure(Explanation("Hearth is set to stay offline", "Nothing was asked.", (online,)))
    with qtbot.waitSignal(view.action_requested) as wanted:
        button(view, "Go online").click()
    assert wanted.args == [online]
    view.retry()
    assert len(asked) == 2
    view.retry()
    assert len(asked) == 2  # one answer is awaited


# -- where the keyboard is


def test_the_keyboard_reaches_answers_that_come_later(qtbot: QtBot, view: HubView, asked: list[SearchQuery]) -> None:
    view.show_answers("model")
    view.set_page(PAGE)
    assert view.list.hasFocus()
    assert view.list.current_key == PAGE.models[0].repo
    assert view.list.selectionModel().isSelected(view.list.currentIndex())


def test_trying_again_keeps_the_keyboard_in_its_place(qtbot: QtBot, view: HubView, asked: list[SearchQuery]) -> None:
    view.set_search("model")
    view.set_failure(Explanation("No", "Why", (retry(),)))
    button(view, "Try again").setFocus()
    qtbot.keyClick(button(view, "Try again"), Qt.Key.Key_Space)
    view.set_failure(Explanation("No", "Why", (retry(),)))
    settle()
    focused = QApplication.focusWidget()
    assert isinstance(focused, Button)
    assert focused.text() == "Try again"
    qtbot.keyClick(focused, Qt.Key.Key_Space)
    view.set_page(PAGE)
    assert view.list.hasFocus()


def test_who_goes_on_typing_keeps_the_keyboard(show: Callable[..., ModelsPage], qtbot: QtBot) -> None:
    page = show(ModelsPage(RecommendedView(), HubView("mirror.test"), LibraryView()))
    view = page.hub
    view.set_consent(True)
    page.show_view(ModelsView.HUB)
    page.search.setFocus()
    qtbot.keyClicks(page.search, "lla")
    qtbot.keyClick(page.search, Qt.Key.Key_Return)
    qtbot.keyClicks(page.search, "ma")
    view.set_page(PAGE)  # to "lla"
    assert page.search.hasFocus()
    qtbot.keyClick(page.search, Qt.Key.Key_Return)
    view.set_page(PAGE)
    assert view.list.hasFocus()
    qtbot.keyClick(view.list, Qt.Key.Key_Return)
    page.search.setFocus()
    view.set_details(hub_details(PAGE.models[0]), "https://mirror.test/x")
    assert view.details.sheet is not None
    assert page.search.hasFocus()


def test_answers_that_come_after_the_view_was_left_do_not_take_the_keyboard(
    show: Callable[..., ModelsPage], qtbot: QtBot
) -> None:
    page = show(ModelsPage(RecommendedView(), HubView("mirror.test"), LibraryView()))
    page.hub.set_consent(True)
    page.show_view(ModelsView.HUB)
    page.search.setFocus()
    qtbot.keyClick(page.search, Qt.Key.Key_Return)
    page.show_view(ModelsView.LIBRARY)
    page.hub.set_page(PAGE)
    page.show_view(ModelsView.HUB)
    assert page.search.hasFocus()


# -- the details beside the answers


def test_details_go_when_their_model_is_not_among_the_answers(view: HubView, asked: list[SearchQuery]) -> None:
    view.set_search("model")
    view.set_page(PAGE)
    view.set_details(hub_details(PAGE.models[2]), "https://mirror.test/x")
    view.set_search("model 2")
    view.set_page(SearchPage(PAGE.models[2:3]))
    assert view.details.sheet is not None
    view.set_search("something else")
    view.set_page(SearchPage(()))
    assert view.details.sheet is None
    assert "Choose a model" in words(view)
    view.set_details(hub_details(PAGE.models[2]), "https://mirror.test/x")
    assert "Choose a model" not in words(view)


def test_words_typed_beside_narrow_details_lead_back_to_the_answers(show: Callable[..., HubView]) -> None:
    view = show(HubView("mirror.test"), 480, 700)
    view.set_consent(True)
    view.set_search("model")
    view.set_page(PAGE)
    view.set_details(hub_details(PAGE.models[2]), "https://mirror.test/x")
    assert not view.list.isVisible()
    view.set_search("other")
    view.set_page(PAGE)
    assert view.list.isVisible()


def test_what_there_is_memory_for_is_said_in_the_rows(view: HubView, asked: list[SearchQuery]) -> None:
    small, large = hub_model(1, parameters=1 * GB), hub_model(2, parameters=400 * GB, gate=Gate.MANUAL)
    unknown = hub_model(3, parameters=None)
    view.set_search("x")
    view.set_page(SearchPage((small, large, unknown)))
    view.list.choose(large.repo)
    assert [row.state for row in view.list.rows] == ["", "", ""]
    verdicts = judge_models((small, large, unknown), MachineMemory(12 * GB, 16 * GB, threads=4), "f16")
    view.set_verdicts(verdicts)
    rows = view.list.rows
    assert [(row.state, row.level) for row in rows] == [
        ("Runs here", FitLevel.GOOD),
        ("Too large", FitLevel.POOR),
        ("", FitLevel.UNKNOWN),
    ]
    assert "Asks to accept terms" in rows[1].text
    assert view.list.current_key == large.repo


def test_a_late_verdict_changes_nothing_for_other_answers(view: HubView, asked: list[SearchQuery]) -> None:
    old = hub_model(1)
    view.set_search("x")
    view.set_page(SearchPage((old, hub_model(2))))
    verdicts = judge_models((old,), MachineMemory(12 * GB, 16 * GB, threads=4), "f16")
    view.set_search("y")
    view.set_verdicts(verdicts)  # while the next answers are on their way
    view.set_page(SearchPage((hub_model(3),)))
    assert [row.state for row in view.list.rows] == [""]
    view.set_verdicts(verdicts)
    assert [row.key for row in view.list.rows] == [hub_model(3).repo]


def test_enter_in_the_search_leads_to_the_question_that_comes_first(show: Callable[..., ModelsPage]) -> None:
    page = show(ModelsPage(RecommendedView(), HubView("mirror.test"), LibraryView()))
    page.show_view(ModelsView.HUB)
    page.search.setFocus()
    QTest.keyClicks(page.search, "qwen")
    QTest.keyClick(page.search, Qt.Key.Key_Return)
    assert page.hub.consent_button.hasFocus()


def test_a_click_beside_the_details_leaves_the_keyboard_in_the_list(show: Callable[..., HubView]) -> None:
    view = show(HubView("mirror.test"), 1600)
    view.set_consent(True)
    view.open()
    view.set_page(PAGE)
    place = view.list.visualRect(view.list.model().index(1, 0)).center()
    QTest.mouseClick(view.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    view.set_details(hub_details(hub_model(1)), "https://mirror.test/page")
    assert view.list.hasFocus()
    QTest.keyClick(view.list, Qt.Key.Key_Return)
    view.set_details(hub_details(hub_model(1)), "https://mirror.test/page")
    assert view.details.hasFocus()
