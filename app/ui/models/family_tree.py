"""The family tree of the catalogue: which model came from which, in years. As a picture, or as a list."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from app.core.catalog import Catalog, CommercialUse
from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label
from app.ui.models.catalogue_sheets import commercial_use_words
from app.ui.models.tree_layout import lay_out
from app.ui.models.tree_list import TreeList
from app.ui.models.tree_picture import ZOOM_STEP, TreePicture, YearLine
from app.ui.models.tree_signs import SignView


class FamilyTree(QWidget):
    """One model is current in both forms; they keep it and the search between them."""

    model_requested = Signal(str)  # id: the person wants to see it
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._catalog: Catalog | None = None
        self._search = ""
        self._list_is_filled = False
        self.picture = TreePicture(self)
        self.picture.opened.connect(self.model_requested)
        self.list = TreeList(self)
        self.list.opened.connect(self.model_requested)
        self._years = YearLine(self.picture, self)
        self.as_list = Button(self.tr("As list"), self)
        self.as_list.setCheckable(True)
        self.as_list.toggled.connect(self._on_as_list_toggled)
        drawn = QWidget(self)
        column = QVBoxLayout(drawn)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._years)
        column.addWidget(self.picture, 1)
        self._stack = QStackedWidget(self)
        self._stack.addWidget(drawn)
        self._stack.addWidget(self.list)
        self._legend = self._make_legend()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(self._top_buttons())
        layout.addWidget(self._stack, 1)
        layout.addWidget(self._legend)
        self.setFocusProxy(self.picture)

    @property
    def current_id(self) -> str:
        """The model that keys act upon; empty: there is none."""
        return self.list.current_id if self.as_list.isChecked() else self.picture.current_id

    def set_catalog(self, catalog: Catalog) -> None:
        """Show a catalogue. It is laid out only if it is another one than before."""
        if catalog is self._catalog:
            return
        self._catalog = catalog
        self._list_is_filled = False
        layout = lay_out(catalog)
        self.picture.set_tree(catalog, layout)
        self._years.set_years(layout.years)
        if self.as_list.isChecked():
            self._fill_list()

    def show_model(self, model_id: str) -> None:
        """Make a model current and bring it into view; nothing happens for an unknown one."""
        self.picture.choose(model_id)
        self.list.choose(model_id)

    def enter_found(self) -> None:
        """Bring the keyboard to the first model that the search has found."""
        shown = self.list if self.as_list.isChecked() else self.picture
        shown.choose_found()
        shown.setFocus(Qt.FocusReason.OtherFocusReason)

    def set_search(self, text: str) -> None:
        """Let models whose names have all these words stand out."""
        self._search = text
        self.picture.set_search(text)
        self.list.set_search(text)

    def _top_buttons(self) -> FlowLayout:
        flow = FlowLayout(spacing_px=6)
        back = Button(self.tr("Back"), self, kind=ButtonKind.QUIET, icon="previous")
        back.clicked.connect(self.closed)
        smaller = Button("−", self, name=self.tr("Smaller picture"))
        smaller.clicked.connect(self._on_smaller)
        larger = Button("+", self, name=self.tr("Larger picture"))
        larger.clicked.connect(self._on_larger)
        usual = Button(self.tr("100 %"), self, name=self.tr("Usual size of the picture"))
        usual.clicked.connect(self.picture.reset_zoom)
        whole = Button(self.tr("Whole tree"), self)
        whole.clicked.connect(self.picture.show_all)
        self._zoom_buttons = (smaller, larger, usual, whole)
        for button in (smaller, larger, usual):
            button.setToolTip(button.accessibleName())
        details = Button(self.tr("Details"), self, name=self.tr("Details of the chosen model"), icon="next")
        details.setToolTip(
            self.tr("What the chosen model is, and how to get it. A double click or Enter does the same.")
        )
        details.clicked.connect(self._on_details)
        for button in (back, *self._zoom_buttons, self.as_list, details):
            flow.addWidget(button)
        return flow

    def _make_legend(self) -> QWidget:
        legend = QWidget(self)
        flow = FlowLayout(legend, spacing_px=14)
        signs: list[tuple[bool | CommercialUse, str]] = [
            (True, self.tr("Runs in Hearth")),
            (False, self.tr("Does not run")),
            *((use, commercial_use_words(use)) for use in CommercialUse),
        ]
        for sign, words in signs:
            entry = QWidget(legend)
            row = QHBoxLayout(entry)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(6)
            row.addWidget(SignView(sign, entry))
            row.addWidget(Label(words, entry, percent=88, muted=True))
            flow.addWidget(entry)
        return legend

    def _fill_list(self) -> None:
        if self._catalog is not None and not self._list_is_filled:
            self.list.set_catalog(self._catalog)
            self._list_is_filled = True

    def _on_as_list_toggled(self, is_list: bool) -> None:
        current = self.picture.current_id if is_list else self.list.current_id
        if is_list:
            self._fill_list()
            self.list.choose(current)
        else:
            self.picture.choose(current)
        self._stack.setCurrentIndex(1 if is_list else 0)
        self._legend.setVisible(not is_list)
        for button in self._zoom_buttons:
            button.setEnabled(not is_list)
        self.setFocusProxy(self.list if is_list else self.picture)

    def _on_details(self) -> None:
        if self.current_id:
            self.model_requested.emit(self.current_id)

    def _on_smaller(self) -> None:
        self.picture.zoom_by(1 / ZOOM_STEP)

    def _on_larger(self) -> None:
        self.picture.zoom_by(ZOOM_STEP)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
            event.accept()
        else:
            super().keyPressEvent(event)
