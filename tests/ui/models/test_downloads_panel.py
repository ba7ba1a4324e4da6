"""The strip with everything that is on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QProgressBar, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.core.downloads import Download, DownloadState, WaitReason
from app.core.errors import ErrorKind, UserError
from app.ui.buttons import Button
from app.ui.models.download_row import DownloadRow
from app.ui.models.downloads_panel import DownloadsPanel
from tests.ui.models.settling import settle
from tests.ui.models.values import GB, LONG, download

FULL = UserError(ErrorKind.DISK_SPACE, needed_bytes=2 * GB, free_bytes=GB, path="/models")


@pytest.fixture
def panel(show: Callable[..., DownloadsPanel]) -> DownloadsPanel:
    return show(DownloadsPanel(), 700, 300)


def row_of(panel: DownloadsPanel, made: Download) -> DownloadRow:
    panel.set_downloads([made])
    settle()
    return panel.rows[0]


def test_it_is_there_only_while_there_is_something(panel: DownloadsPanel) -> None:
    panel.set_downloads([download("a"), download("b")])
    assert panel.isVisible()
    assert len(panel.rows) == 2
    panel.set_downloads([])
    assert not panel.isVisible()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"bytes_per_second": 8e6, "seconds_left": 125.0}, ("500 MB of 2.0 GB", "8.0 MB/s", "2 min left")),
        ({"wait_reason": WaitReason.CONNECTING}, ("Connecting…",)),
        (
            {"state": DownloadState.WAITING, "wait_reason": WaitReason.NETWORK, "retry_in_s": 20},
            ("No connection.", "Trying again in 20 s."),
        ),
        ({"state": DownloadState.WAITING, "wait_reason": WaitReason.OTHER_PROGRAM}, ("Another program",)),
        ({"state": DownloadState.PAUSED}, ("500 MB of 2.0 GB", "Paused.")),
        ({"state": DownloadState.SCHEDULED}, ("hours set for downloads",)),
        ({"state": DownloadState.QUEUED}, ("Waits for the one before it.",)),
        ({"state": DownloadState.VERIFYING}, ("Checking",)),
        ({"state": DownloadState.DONE, "path": "/models/a.gguf"}, ("Complete and checked, 2.0 GB.",)),
        ({"state": DownloadState.FAILED, "error": FULL}, ("1.0 GB",)),
    ],
)
def test_how_it_stands_is_said_in_words(
    panel: DownloadsPanel, changes: dict[str, object], told: tuple[str, ...]
) -> None:
    row = row_of(panel, replace(download("a"), **changes))  # type: ignore[arg-type]  # any field by its name
    assert all(words in row.status for words in told), row.status


def test_every_reason_to_wait_has_words(panel: DownloadsPanel) -> None:
    for reason in WaitReason:
        row = row_of(panel, download("a", DownloadState.WAITING, wait_reason=reason))
        assert len(row.status.partition(" · ")[2]) > 5


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        (DownloadState.RUNNING, {"Pause", "Cancel"}),
        (DownloadState.QUEUED, {"Pause", "Cancel"}),
        (DownloadState.WAITING, {"Pause", "Cancel"}),
        (DownloadState.PAUSED, {"Resume", "Cancel"}),
        (DownloadState.SCHEDULED, {"Resume", "Cancel"}),
        (DownloadState.FAILED, {"Try again", "Cancel"}),
        (DownloadState.DONE, {"Chat now", "Show in folder"}),
    ],
)
def test_only_what_makes_sense_can_be_pressed(panel: DownloadsPanel, state: DownloadState, offered: set[str]) -> None:
    row = row_of(panel, download("a", state, path="/models/a.gguf"))
    all_words = {"Pause", "Resume", "Try again", "Cancel", "Chat now", "Show in folder", "Sooner", "Later"}
    assert {words for words in all_words if row.button(words) is not None} == offered


def test_what_is_pressed_is_told_with_the_download(qtbot: QtBot, panel: DownloadsPanel) -> None:
    panel.set_downloads(
        [download("a"), download("b", DownloadState.PAUSED), download("c", DownloadState.DONE, path="/c.gguf")]
    )
    first, second, third = panel.rows
    for row, words, signal, args in (
        (first, "Pause", panel.pause_requested, ["a"]),
        (first, "Later", panel.move_requested, ["a", 1]),
        (second, "Sooner", panel.move_requested, ["b", -1]),
        (second, "Resume", panel.resume_requested, ["b"]),
        (second, "Cancel", panel.cancel_requested, ["b"]),
        (third, "Chat now", panel.use_requested, ["/c.gguf"]),
        (third, "Show in folder", panel.show_in_folder_requested, ["/c.gguf"]),
    ):
        button = row.button(words)
        assert button is not None, words
        with qtbot.waitSignal(signal) as told:
            qtbot.keyClick(button, Qt.Key.Key_Space)
        assert told.args == args


def test_the_first_cannot_come_sooner(panel: DownloadsPanel) -> None:
    panel.set_downloads([download("a"), download("b")])
    first, second = panel.rows
    assert not first.button("Sooner").isEnabled()  # type: ignore[union-attr]  # there is such a button
    assert not second.button("Later").isEnabled()  # type: ignore[union-attr]  # there is such a button


def test_rows_follow_the_order_and_keep_the_keyboard(panel: DownloadsPanel) -> None:
    downloads = [download(name) for name in "abc"]
    panel.set_downloads(downloads)
    settle()
    row = panel.rows[0]
    button = row.button("Pause")
    assert button is not None
    button.setFocus()
    panel.set_downloads([downloads[1], downloads[0], downloads[2]])
    settle()
    assert panel.rows[1] is row
    assert panel.rows[0].y() < row.y() < panel.rows[2].y()
    assert button.hasFocus()
    panel.set_download(replace(downloads[0], done_bytes=GB))
    assert "1.0 GB of 2.0 GB" in row.status
    panel.set_download(download("unknown"))


@pytest.mark.parametrize(
    ("before", "pressed", "after", "next_one"),
    [
        (DownloadState.RUNNING, "Pause", DownloadState.PAUSED, "Resume"),
        (DownloadState.PAUSED, "Resume", DownloadState.QUEUED, "Pause"),
        (DownloadState.RUNNING, "Pause", DownloadState.DONE, "Chat now"),
        (DownloadState.RUNNING, "Pause", DownloadState.FAILED, "Try again"),
    ],
)
def test_the_keyboard_goes_to_what_takes_the_place_of_its_button(
    panel: DownloadsPanel, before: DownloadState, pressed: str, after: DownloadState, next_one: str
) -> None:
    panel.set_downloads([download("a", before)])
    (row,) = panel.rows
    button = row.button(pressed)
    assert button is not None
    button.setFocus()
    panel.set_download(download("a", after))
    settle()
    focused = QApplication.focusWidget()
    assert isinstance(focused, Button)
    assert focused.text() == next_one


def test_finished_ones_are_cleared(qtbot: QtBot, panel: DownloadsPanel) -> None:
    panel.set_downloads([download("a", DownloadState.DONE)])
    settle()
    clear = next(b for b in panel.findChildren(type(panel.rows[0].button("Chat now"))) if "Clear" in b.text())
    assert clear.isVisible()
    with qtbot.waitSignal(panel.clear_requested):
        clear.click()
    panel.set_downloads([download("a")])
    assert not clear.isVisible()


def test_many_with_long_names_fit_a_narrow_window(show: Callable[..., DownloadsPanel]) -> None:
    panel = show(DownloadsPanel(), 480, 400)
    panel.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    many = [download(f"{LONG}{place}", DownloadState.FAILED, error=FULL) for place in range(20)]
    panel.set_downloads(many)
    panel.resize(480, 400)
    settle()
    assert not panel.grab().isNull()
    assert panel.width() == 480
    assert panel.height() <= 400
    assert all(row.width() <= 480 for row in panel.rows)


@pytest.mark.parametrize("width", [480, 1200])
def test_the_strip_takes_no_more_room_than_a_few_rows(show: Callable[..., QWidget], width: int) -> None:
    """A sentence that wraps made every row as tall as the sentence would be in a narrow column."""
    page = QWidget()
    layout = QVBoxLayout(page)
    layout.addStretch(1)
    panel = DownloadsPanel(page)
    layout.addWidget(panel)
    show(page, width, 800)
    panel.set_downloads([download("a")])
    settle()
    one_px = panel.height()
    assert one_px < 8 * panel.fontMetrics().height()
    panel.set_downloads([download(name, DownloadState.FAILED, error=FULL) for name in "abcdefgh"])
    settle()
    assert one_px < panel.height() < 14 * panel.fontMetrics().height()
    panel.set_downloads([download("a")])
    settle()
    assert panel.height() == one_px


def test_the_rows_can_be_folded_away_until_another_download_begins(panel: DownloadsPanel) -> None:
    panel.set_downloads([download("a")])
    settle()
    tall_px = panel.sizeHint().height()
    fold = next(each for each in panel.findChildren(Button) if each.toolTip() == "Hide the downloads")
    fold.click()
    settle()
    assert not panel.rows[0].isVisible()
    assert panel.sizeHint().height() < tall_px
    assert fold.accessibleName() == fold.toolTip() == "Show the downloads"
    panel.set_download(download("a", DownloadState.PAUSED))
    panel.set_downloads([download("a", DownloadState.PAUSED)])
    assert not panel.rows[0].isVisible()
    panel.set_downloads([download("a", DownloadState.PAUSED), download("b")])
    settle()
    assert all(row.isVisible() for row in panel.rows)


def test_bars_end_at_the_same_place(panel: DownloadsPanel) -> None:
    panel.set_downloads([download("a", DownloadState.RUNNING), download("b", DownloadState.PAUSED)])
    settle()
    ends = {row.findChild(QProgressBar).width() for row in panel.rows}  # type: ignore[union-attr]  # each has one
    assert len(ends) == 1
