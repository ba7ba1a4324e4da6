"""The details of a model: one thing to press, files, verdict, card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.downloads import DownloadState
from app.services.explain_fit import FitLevel
from app.ui.buttons import Button
from app.ui.labels import Label
from app.ui.models.card_view import PIECE_CHARS, CardView
from app.ui.models.details import ModelDetails
from app.ui.models.file_buttons import FileList
from app.ui.models.verdict_box import VerdictBox, VerdictView
from tests.ui.models.settling import settle
from tests.ui.models.values import CARD, choice, download, sheet

VERDICT = VerdictView(
    "Runs well here", ("Writes about 9 words a second.", "Needs 5.8 GB."), (("Weights", "5.0 GB"), ("Cache", "512 MB"))
)


@pytest.fixture
def details(show: Callable[..., ModelDetails]) -> ModelDetails:
    return show(ModelDetails(), 700, 800)


def in_view(widget: ModelDetails, text: str) -> bool:
    settle()
    return any(button.text() == text and button.isVisible() for button in widget.findChildren(Button))


def button(widget: ModelDetails | VerdictBox | FileList, text: str) -> Button:
    settle()
    return next(button for button in widget.findChildren(Button) if button.text() == text and button.isVisible())


def words(details: ModelDetails) -> str:
    settle()
    return "\n".join(label.text() for label in details.findChildren(Label) if label.isVisible())


def test_the_suggested_file_is_chosen_and_judged(qtbot: QtBot, details: ModelDetails) -> None:
    made = sheet()
    with qtbot.waitSignal(details.file_chosen) as chosen:
        details.set_sheet(made)
    assert chosen.args == [made.suggested]
    assert "Looking at the first bytes" in details.verdict.text
    with qtbot.waitSignal(details.download_requested) as asked:
        details.main_button.click()
    assert asked.args == [made.suggested, made.name]


def test_another_file_is_judged_and_downloaded(qtbot: QtBot, details: ModelDetails) -> None:
    details.set_sheet(sheet())
    files = details.findChildren(FileList)[0].buttons
    assert [file.text() for file in files] == [
        "Smaller · Q3_K_M · 4.0 GB",
        "Balanced · Q4_K_M · 5.0 GB (recommended)",
        "Best quality · Q8_0 · 9.0 GB",
    ]
    with qtbot.waitSignal(details.file_chosen) as chosen:
        qtbot.mouseClick(files[2], Qt.MouseButton.LeftButton, pos=QPoint(8, files[2].height() // 2))
    assert chosen.args[0].quantization == "Q8_0"
    assert details.main_button.text() == "Download (9.0 GB)"


def test_the_button_follows_what_is_here_and_on_its_way(qtbot: QtBot, details: ModelDetails) -> None:
    made = sheet()
    details.set_sheet(made)
    assert made.suggested is not None
    key = made.suggested.key
    details.set_here({}, {key: download("model")})
    assert details.main_button.text() == "Downloading…"
    assert not details.main_button.isEnabled()
    details.set_here({}, {key: download("model", DownloadState.FAILED)})
    assert details.main_button.text() == "Try again"
    details.set_here({}, {})
    assert details.main_button.text() == "Download (5.0 GB)"
    details.set_here({key: "/models/model.gguf"}, {})
    with qtbot.waitSignal(details.use_requested) as used:
        details.main_button.click()
    assert used.args == ["/models/model.gguf"]


def test_a_file_that_is_not_confirmed_is_looked_for_on_the_hub(qtbot: QtBot, details: ModelDetails) -> None:
    details.set_sheet(sheet(files=(choice("Q4_K_M", 5, can_be_had=False),)))
    with qtbot.waitSignal(details.show_in_hub_requested) as asked, qtbot.assertNotEmitted(details.download_requested):
        details.main_button.click()
    assert asked.args == ["maker/model"]


def test_a_size_that_is_an_estimate_says_so(details: ModelDetails) -> None:
    known = choice("Q4_K_M", 5)
    estimated = replace(known, parts=tuple(replace(part, size_bytes=0) for part in known.parts))
    details.set_sheet(sheet(files=(estimated,)))
    assert details.main_button.text() == "Download (about 5.0 GB)"


def test_many_files_are_behind_a_button(details: ModelDetails) -> None:
    named = ("Q2_K", "Q3_K_S", "Q3_K_M", "Q4_0", "Q4_K_M", "Q8_0", "F16")
    files = tuple(choice(name, place + 1, is_suggested=name == "Q4_K_M") for place, name in enumerate(named))
    details.set_sheet(sheet(files=files))
    shown = details.findChildren(FileList)[0]
    few = [file.text() for file in shown.buttons]
    assert len(few) < len(files)
    assert any("Q8_0" in text for text in few)
    assert not any("F16" in text for text in few)
    button(shown, "All files").setFocus()
    button(shown, "All files").click()
    assert QApplication.focusWidget() in [radio for radio in shown.buttons if radio.isChecked()]
    assert len(shown.buttons) == len(files)
    checked = [file.text() for file in shown.buttons if file.isChecked()]
    assert checked == ["Balanced · Q4_K_M · 5.0 GB (recommended)"]


def test_links_and_other_models_are_asked_for(qtbot: QtBot, details: ModelDetails) -> None:
    details.set_sheet(sheet(is_gated=True))
    with qtbot.waitSignal(details.link_requested) as licence:
        button(details, "Read").click()
    assert licence.args == ["https://licences.test/mit"]
    with qtbot.waitSignal(details.token_requested) as gate:
        button(details, "How to get it…").click()
    assert gate.args == ["maker/model"]
    details.set_sheet(sheet("old", why_not="Too old.", nearest_key="new", nearest_name="New", files=()))
    with qtbot.waitSignal(details.model_requested) as nearest:
        button(details, "Nearest that runs: New").click()
    assert nearest.args == ["new"]


def test_nothing_of_the_model_before_is_left(details: ModelDetails) -> None:
    details.set_sheet(sheet("first", card="# First", is_gated=True, why_not="Old."))
    details.set_sheet(sheet("second"))
    assert "Name of second" in words(details)
    assert "Name of first" not in words(details)
    assert "accept terms" not in words(details)
    assert not details.findChildren(CardView)[0].isVisible()


def test_the_same_model_again_keeps_the_file_that_was_chosen(qtbot: QtBot, details: ModelDetails) -> None:
    details.set_sheet(sheet())
    details.findChildren(FileList)[0].buttons[0].click()
    details.set_sheet(sheet())
    assert details.choice is not None
    assert details.choice.quantization == "Q3_K_M"


# -- the verdict


def test_the_verdict_has_room_for_all_it_says_whatever_was_shown_before(details: ModelDetails) -> None:
    """The box kept the height of its first sentence: everything lay on top of each other."""
    for key in ("first", "second", "third"):
        details.set_sheet(sheet(key))
        QApplication.processEvents()
        details.verdict.set_context_range(32_768, 8_192)
        details.verdict.set_verdict(VERDICT)
        QApplication.processEvents()
        box = details.verdict
        assert box.height() >= box.heightForWidth(box.width())
        assert box.height() > 4 * box.fontMetrics().height()


def test_the_slider_doubles_the_context_by_keys(qtbot: QtBot, details: ModelDetails) -> None:
    details.set_sheet(sheet())
    box = details.verdict
    box.set_context_range(6_000, 4_096)
    box.set_verdict(VERDICT)
    told: list[int] = []
    box.context_changed.connect(told.append)
    box.slider.setFocus()
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_Right):
        qtbot.keyClick(box.slider, key)
    assert told == [6_000, 512, 1_024]
    assert "1,024 tokens" in box.slider.accessibleName()


def test_the_arithmetic_folds_out(qtbot: QtBot, details: ModelDetails) -> None:
    details.set_sheet(sheet())
    details.verdict.set_verdict(VERDICT)
    assert "512 MB" not in words(details)
    button(details.verdict, "Show the arithmetic").click()
    assert "512 MB" in words(details)
    details.verdict.set_verdict(VerdictView("Too large", (), (("Weights", "70 GB"),), FitLevel.POOR))
    assert "70 GB" in words(details)
    assert details.verdict.accessibleName() == "Too large"


# -- the card


def test_a_card_loads_nothing_and_opens_nothing_by_itself(qtbot: QtBot, details: ModelDetails) -> None:
    details.set_sheet(sheet(card=CARD))
    card = details.findChildren(CardView)[0]
    text = card.toPlainText()
    assert "Bold words" in text
    assert "alert(1)" not in text or "<script>" in text  # shown as text, or not at all
    resource = QTextDocument.ResourceType.HtmlResource.value
    assert card.loadResource(resource, "https://pictures.test/x.png") is None
    links: list[str] = []
    details.link_requested.connect(links.append)
    for target in ("link", "trap"):
        qtbot.mouseClick(card.viewport(), Qt.MouseButton.LeftButton, pos=place_of(card, target))
    assert links == ["https://pages.test/a"]


def place_of(card: CardView, word: str) -> QPoint:
    cursor = card.document().find(word)
    assert not cursor.isNull()
    end = card.cursorRect(cursor)
    cursor.setPosition(cursor.selectionStart())
    begin = card.cursorRect(cursor)
    return QPointF((begin.center().x() + end.center().x()) / 2, begin.center().y()).toPoint()


def test_a_card_is_never_wider_than_its_place(details: ModelDetails) -> None:
    """Lines of code were cut off, for nothing scrolls sideways."""
    details.set_sheet(sheet(card=CARD))
    details.resize(480, 700)
    QApplication.processEvents()
    card = details.findChildren(CardView)[0]
    assert card.document().size().width() <= card.viewport().width() + 1
    assert card.height() >= card.document().size().height()


def test_a_long_card_comes_piece_by_piece_and_ends_somewhere(qtbot: QtBot, details: ModelDetails) -> None:
    """Laid out in one go it held the window up for 150 ms."""
    details.set_sheet(sheet(card=CARD * 400))
    card = details.findChildren(CardView)[0]
    first = card.toPlainText()
    assert first.startswith("About")
    assert len(first) < 4 * PIECE_CHARS
    qtbot.waitUntil(lambda: card.toPlainText().rstrip().endswith("…"), timeout=20_000)
    assert card.toPlainText().startswith(first.rstrip())
    assert card.height() >= card.document().size().height()


def test_another_card_takes_the_place_of_one_that_is_not_complete(qtbot: QtBot, details: ModelDetails) -> None:
    details.set_sheet(sheet(card=CARD * 40))
    details.set_sheet(sheet("other", card="# Short"))
    card = details.findChildren(CardView)[0]
    QApplication.processEvents()
    assert card.toPlainText().strip() == "Short"


def test_headings_of_a_card_are_smaller_than_that_of_the_model(details: ModelDetails) -> None:
    details.set_sheet(sheet(card="# Large\n\nText\n"))
    document = details.findChildren(CardView)[0].document()
    height_px = document.documentLayout().blockBoundingRect(document.begin()).height()
    title = next(label for label in details.findChildren(Label) if label.text() == "Name of model")
    assert height_px < title.fontMetrics().height()


# -- a model whose author asks to accept terms


def test_nobody_asks_for_terms_once_the_file_is_here(details: ModelDetails) -> None:
    details.set_sheet(sheet(is_gated=True))
    assert in_view(details, "How to get it…")
    choice = details.choice
    assert choice is not None
    details.set_here({choice.key: "/models/x.gguf"}, {})
    assert not in_view(details, "How to get it…")


def test_what_kept_the_file_from_being_looked_into_can_go(qtbot: QtBot, details: ModelDetails) -> None:
    with qtbot.assertNotEmitted(details.file_chosen):
        details.check_again()
    details.set_sheet(sheet())
    with qtbot.waitSignal(details.file_chosen) as checked:
        details.check_again()
    assert checked.args == [details.choice]


def test_a_download_that_rests_can_go_on(qtbot: QtBot, details: ModelDetails) -> None:
    details.set_sheet(sheet())
    choice = details.choice
    assert choice is not None
    details.set_here({}, {choice.key: download("model", DownloadState.PAUSED)})
    assert details.main_button.text() == "Resume the download"
    with qtbot.waitSignal(details.download_requested):
        details.main_button.click()


def test_a_download_that_failed_can_be_tried_again_as_on_its_card(qtbot: QtBot, details: ModelDetails) -> None:
    details.set_sheet(sheet())
    choice = details.choice
    assert choice is not None
    details.set_here({}, {choice.key: download("model", DownloadState.FAILED)})
    assert details.main_button.text() == "Try again"
    with qtbot.waitSignal(details.download_requested):
        details.main_button.click()


def test_the_keyboard_stays_in_the_details_when_a_download_begins(details: ModelDetails) -> None:
    details.set_sheet(sheet())
    choice = details.choice
    assert choice is not None
    details.main_button.setFocus()
    details.set_here({}, {choice.key: download("model")})
    assert details.hasFocus()
