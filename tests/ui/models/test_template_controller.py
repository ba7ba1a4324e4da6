"""What the models page says of chat templates, over a real profile with a real child."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.core.downloads import Download, DownloadFile, DownloadId, DownloadState
from app.core.library import LibraryModel, Owner
from app.core.template_check import named_template
from app.services.profile import Profile
from app.ui.models.library_view import LibraryView
from app.ui.models.template_editor import TemplateEditor
from app.ui.notices import NoticeArea
from app.ui.template_controller import TemplateController
from tests.fixtures import tiny_gguf as tiny
from tests.fixtures.profiles import WAIT_MS, build, start_profile

__all__ = ["build", "start_profile"]


class Shown:
    """A list of one model, and the controller behind it."""

    def __init__(self, qtbot: QtBot, profile: Profile, path: Path) -> None:
        self._qtbot = qtbot
        self.profile, self.path = profile, str(path)
        self.window = QWidget()
        qtbot.addWidget(self.window)
        self.view = LibraryView(self.window)
        self.notices = NoticeArea(self.window)
        self.controller = TemplateController(profile, self.view, self.notices, self.window)
        profile.library.add_folder(str(path.parent))
        qtbot.waitUntil(lambda: profile.library.model(self.path) is not None, timeout=WAIT_MS)
        self.model = LibraryModel(
            self.path, "Tiny", Owner.HEARTH, (self.path,), path.stat().st_size, added_at=datetime.now(UTC)
        )
        layout = QVBoxLayout(self.window)
        layout.addWidget(self.view)
        self.window.resize(900, 600)
        self.window.show()

    def show_details(self) -> None:
        self.view.set_models([self.model], None)
        self.view.list.opened.emit(self.path)

    def says(self, words: str) -> None:
        self._qtbot.waitUntil(
            lambda: any(words in label.text() for label in self.view.details.findChildren(QLabel)), timeout=WAIT_MS
        )


@pytest.fixture
def shown(qtbot: QtBot, start_profile: Callable[..., Profile], tmp_path: Path) -> Callable[[str | None], Shown]:
    def show(template: str | None) -> Shown:
        path = tiny.write_model(tmp_path / "m.gguf", tiny.bpe_vocabulary(), architecture="qwen2", template=template)
        return Shown(qtbot, start_profile(), path)

    return show


def test_the_details_tell_what_was_found(shown: Callable[[str | None], Shown]) -> None:
    page = shown(None)
    page.show_details()
    page.says("This file carries no chat template. Hearth uses “chatml”")


def test_the_details_follow_another_choice(shown: Callable[[str | None], Shown]) -> None:
    page = shown("{% if %}")
    page.show_details()
    page.says("does not work")
    page.profile.templates.save(page.path, named_template("vicuna"))
    page.says("“vicuna” of Hearth's table")
    page.profile.templates.restore(page.path)
    page.says("does not work")


def test_the_editor_is_opened_from_there(qtbot: QtBot, shown: Callable[[str | None], Shown]) -> None:
    page = shown(tiny.CHATML)
    page.show_details()
    page.view.template_requested.emit(page.path)
    (editor,) = page.window.findChildren(TemplateEditor)
    assert editor.isVisible()
    qtbot.waitUntil(lambda: "works" in editor.summary, timeout=WAIT_MS)
    editor.reject()


def finished(path: str, repo: str = "somebody/tiny-GGUF") -> Download:
    file = DownloadFile(repo, Path(path).name)
    folder = str(Path(path).parent)
    return Download(DownloadId("1"), "Tiny", file.repo, "", (file,), folder, DownloadState.DONE, path=path)


def test_after_a_download_a_template_that_is_missing_is_told(
    qtbot: QtBot, shown: Callable[[str | None], Shown]
) -> None:
    page = shown(None)
    page.profile.downloads.finished.emit(finished(page.path))
    qtbot.waitUntil(lambda: any("no chat template" in text for text in page.notices.texts()), timeout=WAIT_MS)


def test_after_a_download_a_good_template_is_no_news(qtbot: QtBot, shown: Callable[[str | None], Shown]) -> None:
    page = shown(tiny.CHATML)
    with qtbot.waitSignal(page.profile.templates.checked, timeout=WAIT_MS):
        page.profile.downloads.finished.emit(finished(page.path))
    assert not page.notices.texts()


def test_where_the_file_tells_nothing_the_catalogue_is_believed(
    qtbot: QtBot, shown: Callable[[str | None], Shown], tmp_path: Path
) -> None:
    page = shown(None)
    nameless = tiny.write_model(tmp_path / "nameless.gguf", tiny.spm_vocabulary(), template=None)
    with qtbot.waitSignal(page.profile.catalog.loaded, timeout=WAIT_MS):
        page.profile.catalog.open()
    catalog = page.profile.catalog.catalog
    assert catalog is not None
    repo = next(model.files[0].repo for model in catalog.models if model.template == "vicuna" and model.files)
    page.profile.downloads.finished.emit(finished(str(nameless), repo))
    wanted = named_template("vicuna")
    qtbot.waitUntil(lambda: page.profile.templates.template_of(str(nameless)) == wanted, timeout=WAIT_MS)
    assert any("vicuna" in text for text in page.notices.texts())
    with qtbot.waitSignal(page.profile.models.loaded, timeout=WAIT_MS):
        page.profile.models.load(str(nameless))
    assert page.profile.models.info is not None
    assert page.profile.models.info.template == "vicuna"
