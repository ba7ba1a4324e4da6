"""What is recommended on a computer whose speed nobody has measured yet."""

from __future__ import annotations

from app.ui.models.page import ModelsPage
from tests.ui.window.conftest import OpenWindow


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
