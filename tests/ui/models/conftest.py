"""Parts of the models page, one at a time, in the light theme at the normal text size, with the shipped catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.core.catalog import Catalog
from app.hub.catalog_file import load_catalog
from app.ui.application import dress
from app.ui.theme import apply_theme

W = TypeVar("W", bound=QWidget)
Show = Callable[..., W]


@pytest.fixture(scope="session", autouse=True)
def _dressed(qapp: QApplication) -> None:
    dress(qapp)


@pytest.fixture(autouse=True)
def _plain_looks(qapp: QApplication, _dressed: None) -> Iterator[None]:
    apply_theme(qapp, "light", 100)
    yield
    apply_theme(qapp, "light", 100)


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog(Path(__file__).resolve().parents[3] / "resources" / "catalog.json")


@pytest.fixture
def show(qtbot: QtBot) -> Callable[..., QWidget]:
    """Puts a widget on the screen in a size, and gives it back."""

    kept: list[QWidget] = []  # a test may look at parts alone

    def shown(widget: QWidget, width: int = 1280, height: int = 800) -> QWidget:
        qtbot.addWidget(widget)
        kept.append(widget)
        widget.resize(width, height)
        with qtbot.waitExposed(widget):
            widget.show()
        widget.activateWindow()
        QApplication.processEvents()
        return widget

    return shown
