"""The models page: three views under one search field, downloads below them."""

from __future__ import annotations

from enum import StrEnum
from functools import partial

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import heading
from app.ui.models.downloads_panel import DownloadsPanel
from app.ui.models.hub_view import HubView
from app.ui.models.library_view import LibraryView
from app.ui.models.recommended_view import RecommendedView
from app.ui.search_field import SearchField

MARGIN_PX = 24
TYPING_MS = 400  # a pause in typing that ends a question to the hub


class ModelsView(StrEnum):
    """The views, in order."""

    RECOMMENDED = "recommended"
    HUB = "hub"
    LIBRARY = "library"


class ModelsPage(QWidget):
    """Puts the views together; what they ask for is the controller's matter."""

    shown = Signal()  # it came on screen
    overlay_wished = Signal()  # the person wants what the search has found in what is shown over the views

    def __init__(
        self, recommended: RecommendedView, hub: HubView, library: LibraryView, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Models"))
        self.recommended, self.hub, self.library = recommended, hub, library
        self.downloads = DownloadsPanel(self)
        self.search = SearchField(self.tr("Search models"), self.tr("Search models"), self)
        self.search.textChanged.connect(self._on_typed)
        self.search.results_wished.connect(self._on_results_wished)
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self._search_hub)
        self._views: dict[ModelsView, QWidget] = {
            ModelsView.RECOMMENDED: recommended,
            ModelsView.HUB: hub,
            ModelsView.LIBRARY: library,
        }
        self._stack = QStackedWidget(self)
        for view in self._views.values():
            self._stack.addWidget(view)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN_PX, MARGIN_PX, MARGIN_PX, MARGIN_PX // 2)
        layout.setSpacing(10)
        top = QHBoxLayout()
        top.setSpacing(16)
        top.addWidget(heading(self.tr("Models"), self))
        top.addWidget(self.search, 1)
        layout.addLayout(top)
        layout.addLayout(self._tabs())
        layout.addWidget(self._stack, 1)
        layout.addWidget(self.downloads)
        self.setFocusProxy(self.search)
        self._current = ModelsView.RECOMMENDED
        self._borrowed = ("", "")  # what was typed before `search_hub`, and what that put in its place

    @property
    def current(self) -> ModelsView:
        """The view on screen."""
        return self._current

    @property
    def tabs(self) -> dict[ModelsView, Button]:
        """The buttons that lead to the views."""
        return self._buttons

    def show_view(self, view: ModelsView, _is_checked: bool = True) -> None:
        """Bring a view on screen, with the words that are being searched for."""
        if view is not ModelsView.HUB:
            typed, borrowed = self._borrowed
            self._borrowed = ("", "")
            if borrowed and self.search.text() == borrowed:
                self._set_text(typed)
        self._current = view
        for each, button in self._buttons.items():
            button.setChecked(each == view)
        self._stack.setCurrentWidget(self._views[view])
        if view is ModelsView.HUB:
            self.hub.open(self.search.text())
        else:
            self._pass_search_on()

    def add_overlay(self, widget: QWidget) -> None:
        """Know a widget that takes the place of the views for a while."""
        self._stack.addWidget(widget)

    def show_overlay(self, widget: QWidget) -> None:
        """Show it; `show_view` brings a view back."""
        self._stack.setCurrentWidget(widget)
        widget.setFocus(Qt.FocusReason.OtherFocusReason)

    def search_hub(self, text: str) -> None:
        """Search the hub for words that the person has not typed; they go when another view is shown."""
        self._borrowed = (self.search.text(), text)
        self._set_text(text)
        self.show_view(ModelsView.HUB)

    def _set_text(self, text: str) -> None:
        with QSignalBlocker(self.search):
            self.search.setText(text)

    def _tabs(self) -> FlowLayout:
        words = {
            ModelsView.RECOMMENDED: self.tr("Recommended"),
            ModelsView.HUB: self.tr("Search the hub"),
            ModelsView.LIBRARY: self.tr("On this computer"),
        }
        self._buttons: dict[ModelsView, Button] = {}
        flow = FlowLayout(spacing_px=6)
        for view, text in words.items():
            button = Button(text, self, kind=ButtonKind.QUIET)  # framed are the filters below
            button.setCheckable(True)
            button.setChecked(view is ModelsView.RECOMMENDED)
            button.clicked.connect(partial(self.show_view, view))
            self._buttons[view] = button
            flow.addWidget(button)
        return flow

    def _pass_search_on(self) -> None:
        text = self.search.text()
        if self._current is ModelsView.RECOMMENDED:
            self.recommended.set_search(text)
        elif self._current is ModelsView.LIBRARY:
            self.library.set_search(text)
        else:
            self.hub.expect_words()
            self._typing.start()

    def _search_hub(self) -> None:
        self._typing.stop()
        if self._current is ModelsView.HUB:
            self.hub.set_search(self.search.text())

    def _on_typed(self, _text: str) -> None:
        self._pass_search_on()

    def _on_results_wished(self) -> None:
        self._typing.stop()
        shown = self._stack.currentWidget()
        if shown is self.hub:
            self.hub.show_answers(self.search.text())
        elif shown not in self._views.values():
            self.overlay_wished.emit()
        elif shown is not None:
            shown.setFocus(Qt.FocusReason.OtherFocusReason)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.shown.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        places = {Qt.Key.Key_1: 0, Qt.Key.Key_2: 1, Qt.Key.Key_3: 2}
        place = places.get(Qt.Key(event.key()))
        if place is not None and event.modifiers() == Qt.KeyboardModifier.AltModifier:
            self.show_view(list(self._views)[place])
            event.accept()
        else:
            super().keyPressEvent(event)
