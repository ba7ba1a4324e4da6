"""Every control of the models page has a name, is reached by Tab, and shows all of its text in every size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QApplication,
    QComboBox,
    QGraphicsView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QScrollBar,
    QTextBrowser,
    QWidget,
)

from app.core.catalog import Catalog
from app.core.downloads import DownloadState
from app.core.hub_values import Gate, SearchPage
from app.core.library import FoundFile, Owner
from app.services.explanation import Explanation, retry
from app.ui.buttons import Button
from app.ui.models.adopt_dialog import AdoptDialog
from app.ui.models.details import ModelDetails
from app.ui.models.downloads_panel import DownloadsPanel
from app.ui.models.family_tree import FamilyTree
from app.ui.models.hub_view import HubView
from app.ui.models.library_view import LibraryView
from app.ui.models.recommended_view import RecommendedView
from app.ui.models.token_dialog import TokenDialog
from app.ui.models.verdict_box import VerdictView
from app.ui.theme import apply_theme
from tests.ui.models.settling import settle
from tests.ui.models.values import CARD, GB, LONG, download, hub_details, hub_model, library_model, sheet

CONTROLS = (
    QAbstractButton, QAbstractItemView, QAbstractSlider, QComboBox, QGraphicsView, QLineEdit, QProgressBar,
    QTextBrowser,
)  # fmt: skip
Make = Callable[[Catalog], QWidget]


def recommended(_catalog: Catalog) -> QWidget:
    return RecommendedView()


def details(_catalog: Catalog) -> QWidget:
    widget = ModelDetails()
    widget.set_sheet(sheet(card=CARD, is_gated=True, why_not=LONG, nearest_key="x", nearest_name="Qwen3 4B"))
    widget.verdict.set_context_range(32_768, 4_096)
    widget.verdict.set_verdict(VerdictView("Runs well here", (LONG, "Needs 5.8 GB."), (("Weights", "5 GB"),)))
    return widget


def hub(_catalog: Catalog) -> QWidget:
    widget = HubView("mirror.test")
    widget.set_consent(True)
    widget.set_search("x")
    widget.set_page(SearchPage((hub_model(1), hub_model(2))), "From yesterday.")
    return widget


def hub_opened(catalog: Catalog) -> QWidget:
    widget = hub(catalog)
    assert isinstance(widget, HubView)
    widget.set_details(hub_details(hub_model(1, gate=Gate.MANUAL, repo=f"maker/{LONG}")), "https://mirror.test/x")
    return widget


def hub_failed(catalog: Catalog) -> QWidget:
    widget = HubView("mirror.test")
    widget.set_failure(Explanation("The hub cannot be reached", "Check the connection. " * 5, (retry(),)))
    return widget


def library(_catalog: Catalog) -> QWidget:
    widget = LibraryView()
    widget.set_folders(["/models", "/mnt/" + "folder/" * 20])
    model = library_model("/home/" + "folder/" * 20 + "a.gguf", LONG, owner=Owner.OLLAMA, repo="maker/model")
    widget.set_models([model, library_model("/b.gguf", "B")], None)
    return widget


def library_opened(catalog: Catalog) -> QWidget:
    widget = library(catalog)
    assert isinstance(widget, LibraryView)
    widget.list.opened.emit("/b.gguf")
    return widget


def downloads(_catalog: Catalog) -> QWidget:
    widget = DownloadsPanel()
    states = (DownloadState.RUNNING, DownloadState.PAUSED, DownloadState.FAILED, DownloadState.DONE)
    widget.set_downloads([download(f"{state} {LONG}", state, path="/x.gguf") for state in states])
    return widget


def tree(catalog: Catalog) -> QWidget:
    widget = FamilyTree()
    widget.set_catalog(catalog)
    return widget


def tree_as_list(catalog: Catalog) -> QWidget:
    widget = tree(catalog)
    assert isinstance(widget, FamilyTree)
    widget.as_list.click()
    return widget


def adopt(_catalog: Catalog) -> QWidget:
    return AdoptDialog([FoundFile(Owner.JAN, (f"/jan/{LONG}.gguf",), GB)] * 3)


def token(_catalog: Catalog) -> QWidget:
    widget = TokenDialog(f"maker/{LONG}", "https://hub.test/x", "https://hub.test/tokens")
    widget.show_refused("The hub does not know this token. Copy all of it, from the first letter to the last.")
    return widget


MAKERS = [
    recommended, details, hub, hub_opened, hub_failed, library, library_opened, downloads, tree, tree_as_list, adopt,
    token,
]  # fmt: skip
each = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def shown_in(show: Callable[..., QWidget], make: Make, catalog: Catalog, width: int = 520) -> list[QWidget]:
    widget = show(make(catalog), width, 640)
    settle()
    return [part for part in [widget, *widget.findChildren(QWidget)] if part.isVisible()]


def controls(parts: list[QWidget]) -> list[QWidget]:
    """Those that a person uses; inner parts of Qt's own are left out."""
    return [
        part
        for part in parts
        if isinstance(part, CONTROLS)
        and not part.objectName().startswith("qt_")
        and not isinstance(part, QScrollBar)
        and not isinstance(part.parent(), (QLineEdit, QComboBox, QAbstractItemView))
    ]


@pytest.mark.parametrize("width", [520, 1280])
@each
def test_every_control_has_a_name(show: Callable[..., QWidget], make: Make, catalog: Catalog, width: int) -> None:
    nameless = []
    for control in controls(shown_in(show, make, catalog, width)):
        interface = QAccessible.queryAccessibleInterface(control)
        if not interface.text(QAccessible.Text.Name).strip():
            nameless.append((type(control).__name__, control.parent()))
    assert not nameless


@each
def test_no_two_buttons_have_the_same_name(show: Callable[..., QWidget], make: Make, catalog: Catalog) -> None:
    names = [part.accessibleName() for part in shown_in(show, make, catalog, 1280) if isinstance(part, Button)]
    assert sorted(names) == sorted(set(names))


@each
def test_every_control_can_be_reached_by_tab(show: Callable[..., QWidget], make: Make, catalog: Catalog) -> None:
    found = controls(shown_in(show, make, catalog))
    assert found
    for control in found:
        if control.isEnabled() and not isinstance(control, QProgressBar):
            assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, control


@pytest.mark.parametrize("percent", [100, 150, 200])
@each
def test_no_text_is_cut_off(
    show: Callable[..., QWidget], qapp: QApplication, make: Make, catalog: Catalog, percent: int
) -> None:
    apply_theme(qapp, "light", percent)
    cut = []
    for part in shown_in(show, make, catalog):
        if isinstance(part, QLabel) and part.text():
            if part.wordWrap():
                cut += [(part.text(), part.height())] if part.heightForWidth(part.width()) > part.height() else []
            elif part.sizePolicy().horizontalPolicy() != part.sizePolicy().Policy.Ignored:
                cut += [(part.text(), part.width())] if part.sizeHint().width() > part.width() else []
        elif isinstance(part, Button):
            needed = part.sizeHint()
            if needed.width() > part.width() or needed.height() > part.height():
                cut.append((part.accessibleName(), part.width()))
    assert not cut


@each
def test_themes_sizes_and_directions_change_while_shown(
    show: Callable[..., QWidget], qapp: QApplication, make: Make, catalog: Catalog
) -> None:
    widget = show(make(catalog), 520, 640)
    for theme, percent, direction in (
        ("dark", 100, Qt.LayoutDirection.RightToLeft),
        ("dark", 200, Qt.LayoutDirection.LeftToRight),
        ("light", 70, Qt.LayoutDirection.RightToLeft),
    ):
        apply_theme(qapp, theme, percent)
        widget.setLayoutDirection(direction)
        settle()
        assert not widget.grab().isNull()
