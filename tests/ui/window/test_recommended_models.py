"""What the window says before and beside the models page: what is recommended, and how far downloads are."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.downloads import DownloadFile
from app.ui import models_controller
from app.ui.buttons import Button
from app.ui.models.page import ModelsPage
from tests.hub.conftest import hub
from tests.hub.hub_server import HubServer
from tests.ui.window.conftest import OpenWindow

__all__ = ["hub"]


def test_nothing_is_recommended_before_the_speed_is_known(open_window: OpenWindow) -> None:
    person = open_window()
    assert not person.profile.fits.speed().bandwidths
    person.click("Models")
    page = person.page("models")
    assert isinstance(page, ModelsPage)
    rows = page.recommended.list.model()
    speeds: list[float] = []

    def look() -> None:
        speeds.extend(card.best.row.words_per_second for card in page.recommended.best.cards)

    rows.modelReset.connect(look)
    rows.dataChanged.connect(look)
    person.wait(lambda: bool(page.recommended.best.cards))
    look()
    assert speeds
    assert all(speeds)


def test_nothing_is_judged_while_nobody_looks(open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of another thread, at every load of a model, is felt where one chats."""
    judged: list[None] = []
    judge = models_controller.judge_rows

    def count(*arguments: Any) -> Any:
        judged.append(None)
        return judge(*arguments)

    monkeypatch.setattr(models_controller, "judge_rows", count)
    person = open_window()
    fits = person.profile.fits
    person.click("Models")
    page = person.page("models")
    assert isinstance(page, ModelsPage)
    person.wait(lambda: bool(page.recommended.list.rows))
    person.window.show_page("chat")
    known = len(judged)
    fits.changed.emit()
    person.qtbot.wait(300)
    assert len(judged) == known
    person.window.show_page("models")
    person.wait(lambda: len(judged) > known)


def test_a_download_is_seen_from_every_page(open_window: OpenWindow, hub: HubServer) -> None:
    repo, name, content = "maker/tiny", "tiny-Q8_0.gguf", bytes(400_000)
    commit = hub.add_repo(repo, {name: content})
    hub.cdn.bytes_per_second = 100_000
    person = open_window(settings={"hub.endpoint": hub.url})
    button = next(each for each in person.window.sidebar.findChildren(Button) if each.text() == "Models")
    file = DownloadFile(repo, name, commit, hub.file(repo, name).sha256, len(content))
    person.profile.downloads.add((file,), "Tiny", quantization="Q8_0")
    person.wait(lambda: button.accessibleDescription().startswith("Downloads: "))
    person.wait(lambda: button.accessibleDescription() not in ("", "Downloads: 0 %"))
    hub.cdn.bytes_per_second = None
    person.wait(lambda: button.accessibleDescription() == "")
