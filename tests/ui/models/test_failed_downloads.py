"""What a person can press when a download cannot go on where it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.core.downloads import DownloadState
from app.core.errors import ErrorKind, UserError
from app.ui.models.downloads_panel import DownloadsPanel
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
    assert row.button("Another folder…") is None


@pytest.mark.parametrize("kind", [ErrorKind.DISK_SPACE, ErrorKind.FILE_TOO_LARGE, ErrorKind.FOLDER_READ_ONLY])
def test_another_folder_may_be_chosen(
    panel: DownloadsPanel, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: ErrorKind
) -> None:
    fail(panel, kind)
    (row,) = panel.rows
    button = row.button("Another folder…")
    assert button is not None
    chosen = ["", str(tmp_path)]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: chosen.pop(0))
    with qtbot.assertNotEmitted(panel.folder_requested):
        button.click()  # and the person thinks better of it
    with qtbot.waitSignal(panel.folder_requested) as asked:
        button.click()
    assert asked.args == [download("a").id, str(tmp_path)]
