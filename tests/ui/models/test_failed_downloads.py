"""What a person can press when a download cannot go on where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.core.downloads import DownloadState, WaitReason
from app.core.errors import ErrorKind, UserError
from app.services.explanation import ActionKind
from app.ui.buttons import Button
from app.ui.models.downloads_panel import DownloadsPanel
from tests.ui.models.settling import settle
from tests.ui.models.values import download


@pytest.fixture
def panel(show: Callable[..., DownloadsPanel]) -> DownloadsPanel:
    return show(DownloadsPanel(), 900, 300)


def fail(panel: DownloadsPanel, kind: ErrorKind) -> None:
    panel.set_downloads([download("a", DownloadState.FAILED, error=UserError(kind, path="/models/a.gguf"))])


def test_a_file_of_the_same_name_may_be_replaced(panel: DownloadsPanel, qtbot: QtBot) -> None:
    fail(panel, ErrorKind.NAME_TAKEN)
    (row,) = panel.rows
    button = row.button("Replace it")
    assert button is not None
    with qtbot.waitSignal(panel.replace_requested) as asked:
        button.click()
    assert asked.args == [download("a").id]
    fail(panel, ErrorKind.HASH_MISMATCH)
    assert row.button("Replace it") is None
    assert row.button("Choose another folder…") is None


@pytest.mark.parametrize(
    ("kind", "offered"),
    [
        (ErrorKind.GATED, ["Open its page", "Make a token", "Enter a token…", "Try again"]),
        (ErrorKind.TOKEN_REJECTED, ["Enter a token…", "Make a token", "Try again"]),
        (ErrorKind.DISK_SPACE, ["Make room…", "Choose another folder…", "Try again"]),
        (ErrorKind.PROXY_FAILED, ["Open the settings", "Try again"]),
        (ErrorKind.CHANGED_ON_HUB, ["Download the newer version", "Try again"]),
        (ErrorKind.HASH_MISMATCH, ["Try again"]),
        (ErrorKind.UNSAFE_NAME, []),
    ],
)
def test_each_reason_comes_with_what_helps(panel: DownloadsPanel, kind: ErrorKind, offered: list[str]) -> None:
    fail(panel, kind)
    settle()
    (row,) = panel.rows
    assert [button.text() for button in row.findChildren(Button) if button.isVisible() and button.text()] == offered
    panel.set_downloads([download("a")])
    settle()
    assert [button.text() for button in row.findChildren(Button) if button.isVisible() and button.text()] == ["Pause"]


def test_what_helps_beyond_the_row_is_told_with_its_figure(panel: DownloadsPanel, qtbot: QtBot) -> None:
    error = UserError(ErrorKind.GATED, repo="maker/model", url="https://hub.test/maker/model")
    panel.set_downloads([download("a", DownloadState.FAILED, error=error)])
    (row,) = panel.rows
    for words, kind, value in (
        ("Open its page", ActionKind.OPEN_LINK, "https://hub.test/maker/model"),
        ("Enter a token…", ActionKind.ENTER_TOKEN, "maker/model"),
    ):
        button = row.button(words)
        assert button is not None
        with qtbot.waitSignal(panel.action_requested) as asked:
            qtbot.keyClick(button, Qt.Key.Key_Space)
        assert (asked.args[0].kind, asked.args[0].value) == (kind, value)


def test_the_keyboard_stays_on_a_button_while_figures_change(panel: DownloadsPanel) -> None:
    waiting = download("a", DownloadState.WAITING, wait_reason=WaitReason.OFFLINE)
    panel.set_downloads([waiting])
    button = panel.rows[0].button("Go online")
    assert button is not None
    button.setFocus()
    panel.set_download(replace(waiting, done_bytes=7))
    settle()
    assert button.hasFocus()


@pytest.mark.parametrize("kind", [ErrorKind.DISK_SPACE, ErrorKind.FILE_TOO_LARGE, ErrorKind.FOLDER_READ_ONLY])
def test_another_folder_may_be_chosen(
    panel: DownloadsPanel, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: ErrorKind
) -> None:
    fail(panel, kind)
    (row,) = panel.rows
    button = row.button("Choose another folder…")
    assert button is not None
    chosen = ["", str(tmp_path)]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: chosen.pop(0))
    with qtbot.assertNotEmitted(panel.folder_requested):
        button.click()  # and the person thinks better of it
    with qtbot.waitSignal(panel.folder_requested) as asked:
        button.click()
    assert asked.args == [download("a").id, str(tmp_path)]
