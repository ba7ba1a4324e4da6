from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication, QLocale
from PySide6.QtWidgets import QApplication

from app.ui.application import dress


@pytest.mark.parametrize(("count", "words"), [(0, "0 days left"), (1, "1 day left"), (2, "2 days left")])
def test_english_has_its_plural_forms(count: int, words: str) -> None:
    assert QCoreApplication.translate("TrashPage", "%n day(s) left", "", count) == words


def test_figures_are_for_people_even_without_a_locale(qapp: QApplication) -> None:
    before = QLocale()
    try:
        QLocale.setDefault(QLocale.c())
        dress(qapp)
        assert QLocale().toString(4096) == "4,096"
    finally:
        QLocale.setDefault(before)


def test_the_style_is_the_one_that_the_palettes_are_made_for(qapp: QApplication) -> None:
    assert qapp.style().objectName().lower() == "fusion"
