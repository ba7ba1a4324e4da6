"""The curated catalogue: what fits this computer best, then every model, by family."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from app.core.catalog import Catalog, CommercialUse, ModelKind
from app.core.downloads import Download
from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label, hint
from app.ui.models.best_cards import BestCards
from app.ui.models.best_models import best_models, judged_anew
from app.ui.models.catalogue_rows import CatalogueRow, CatalogueRows
from app.ui.models.catalogue_sheets import sheet_of_row
from app.ui.models.details import ModelDetails
from app.ui.models.list_header import ListHeader
from app.ui.models.master_detail import MasterDetail
from app.ui.models.row_list import ListRow, RowList
from app.ui.models.sheet import FileChoice, ModelSheet

SMALL_PARAMETERS = 4_000_000_000


class Filter(Enum):
    """What the list can be narrowed to; several at once."""

    RUNS_HERE = "runs_here"
    CHAT = "chat"
    CODE = "code"
    SMALL = "small"
    COMMERCIAL = "commercial"


_PASSES: Mapping[Filter, Callable[[CatalogueRow], bool]] = {
    Filter.RUNS_HERE: lambda row: row.runs_here,
    Filter.CHAT: lambda row: row.model.kind in (ModelKind.CHAT, ModelKind.VISION),
    Filter.CODE: lambda row: row.model.kind is ModelKind.CODE,
    Filter.SMALL: lambda row: 0 < (row.model.parameters or 0) <= SMALL_PARAMETERS,
    Filter.COMMERCIAL: lambda row: row.model.commercial_use is CommercialUse.YES,
}


class RecommendedView(QWidget):
    """Shows rows that were judged elsewhere."""

    tree_requested = Signal()
    download_requested = Signal(object, str)  # FileChoice, and the name of the model
    use_requested = Signal(object)  # path as str
    offered = Signal()  # other models than before are the best now

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._catalog: Catalog | None = None
        self._rows: tuple[CatalogueRow, ...] = ()
        self._search = ""
        self._filters: set[Filter] = set()
        self._shown_key = ""  # of the details
        self.details = ModelDetails(self)
        self.list = RowList(self.tr("Recommended models"), self)
        self.list.chosen.connect(self._on_chosen)
        self.list.opened.connect(self._on_opened)
        self.best = BestCards()
        self.best.details_requested.connect(self._on_details_wished)
        self.best.download_requested.connect(self.download_requested)
        self.best.use_requested.connect(self.use_requested)
        self.best.hide()
        self._message = hint(self.tr("Loading the list of models…"))
        left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.list)
        left.setFocusProxy(self.list)
        ListHeader(_Top(self._chips(), self._message, self.best), self.list)
        self._panes = MasterDetail(left, self.details, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._panes)
        self.setFocusProxy(self._panes)
        self.details.model_requested.connect(self.show_model)

    @property
    def chips(self) -> dict[Filter, Button]:
        """The filters, which are pressed and released."""
        return self._buttons

    def set_rows(self, catalog: Catalog, rows: CatalogueRows) -> None:
        """Show a catalogue, or the same one judged anew."""
        self._catalog = catalog
        self._rows = rows.rows
        self._refresh()

    def set_search(self, text: str) -> None:
        """Show only models in whose texts all these words are."""
        if text != self._search:
            self._search = text
            self._narrow()

    def set_failure(self, text: str) -> None:
        """Say why there is no list."""
        self._message.setText(text)
        self._message.show()

    def _narrow(self) -> None:
        """Show other rows from the first on: the filters and the name of its family stand above it."""
        self._refresh()
        self.list.scrollToTop()

    def _refresh(self) -> None:
        if self._catalog is None:
            return
        rows: list[ListRow] = []
        for family, members in by_family(self._found()):
            rows += [ListRow("", family), *(member.row for member in members)]
        self.list.set_rows(rows)
        self._show_best()
        self._message.setVisible(not rows)
        self._message.setText(self.tr("Nothing in the list fits. Other words or fewer filters may find it."))
        if self._panes.is_wide and not self.list.current_key:
            self._show_first()

    def _show_best(self) -> None:
        """Offer the best ones, as long as nothing is searched for; others do not come under somebody's finger."""
        is_searching = bool(self._search.strip() or self._filters)
        if not is_searching:
            shown = tuple(card.best for card in self.best.cards)
            kept = judged_anew(shown, self._rows) if self._is_in_use() else ()
            self.best.set_models(kept or best_models(self._rows))
        self.best.setVisible(not is_searching and bool(self.best.cards))

    def _is_in_use(self) -> bool:
        """Whether the mouse is over the view, or the keyboard in a card: what is pressed next must be what was read."""
        focused = QApplication.focusWidget()
        return self.underMouse() or (focused is not None and self.best.isAncestorOf(focused))

    def _show_first(self) -> None:
        """Fill the details: with the first of the best, or else of the list."""
        if self.best.isHidden():
            self.list.choose_first()
        elif not self._shown_key:
            self._show(self.best.cards[0].best.row.model.id)

    def set_here(self, here: Mapping[str, str], downloads: Mapping[str, Download]) -> None:
        """Which files are on this computer (key of the choice → path), and which are on their way."""
        self.best.set_here(here, downloads)
        self.details.set_here(here, downloads)

    @property
    def choices(self) -> tuple[FileChoice, ...]:
        """The files that can be had with one press now."""
        shown = self.details.sheet.files if self.details.sheet is not None else ()
        return (*shown, *(card.choice for card in self.best.cards))

    def show_model(self, key: str) -> None:
        """Show the details of a row, whether the list shows it or not."""
        if self._catalog is None or self._catalog.model(key) is None:
            return
        self.list.choose(key)
        self._show(key)
        self._panes.open_details()

    def sheet(self) -> ModelSheet | None:
        """What the details show."""
        return self.details.sheet

    def _chips(self) -> FlowLayout:
        words = {
            Filter.RUNS_HERE: self.tr("Runs here"),
            Filter.CHAT: self.tr("Chat"),
            Filter.CODE: self.tr("Code"),
            Filter.SMALL: self.tr("Small"),
            Filter.COMMERCIAL: self.tr("Commercial use allowed"),
        }
        self._buttons: dict[Filter, Button] = {}
        flow = FlowLayout(spacing_px=6)
        for which, text in words.items():
            button = Button(text, self)
            button.setCheckable(True)
            button.toggled.connect(self._on_filters_changed)
            self._buttons[which] = button
            flow.addWidget(button)
        tree = Button(self.tr("Family tree"), self, kind=ButtonKind.QUIET)
        tree.clicked.connect(self.tree_requested)
        flow.addWidget(tree)
        return flow

    def _found(self) -> list[CatalogueRow]:
        """What the search and the filters leave."""
        found: Iterable[CatalogueRow] = self._rows
        for word in self._search.lower().split():
            found = [row for row in found if word in row.searched]
        for which in self._filters:
            found = filter(_PASSES[which], found)
        return list(found)

    def _on_filters_changed(self) -> None:
        self._filters = {which for which, button in self._buttons.items() if button.isChecked()}
        self._narrow()

    def _on_chosen(self, key: str) -> None:
        if self._panes.is_wide:
            self._show(key)

    def _on_opened(self, key: str) -> None:
        self._show(key)
        self._panes.open_details(self.list.opened_by)

    def _on_details_wished(self, key: str) -> None:
        reason = Qt.FocusReason.MouseFocusReason  # a card can be clicked anywhere
        pressed = QApplication.focusWidget()
        if isinstance(pressed, Button) and self.best.isAncestorOf(pressed):
            reason = pressed.focus_reason
        self.list.choose_none()
        self._show(key)
        self._panes.open_details(reason)

    def _show(self, key: str) -> None:
        if self._catalog is not None and (model := self._catalog.model(key)) is not None:
            self._shown_key = key
            self.best.set_shown("" if self.list.current_key else key)
            self.details.set_sheet(sheet_of_row(model, self._catalog))

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        shown = [card.best.row.model.id for card in self.best.cards]
        self._show_best()
        if [card.best.row.model.id for card in self.best.cards] != shown:
            self.offered.emit()


class _Top(QWidget):
    """What stands above the first row: the filters, a message where there are no rows, the best models."""

    def __init__(self, chips: FlowLayout, message: Label, best: BestCards) -> None:
        super().__init__()
        self._best = best
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(chips)
        column.addWidget(message)
        column.addWidget(best)

    def heightForWidth(self, width: int) -> int:
        self._best.arrange(width)
        return super().heightForWidth(width)


def by_family(rows: Iterable[CatalogueRow]) -> list[tuple[str, list[CatalogueRow]]]:
    """Families with models that run come first, the newest foremost; within a family the newest and smallest."""
    families: dict[str, list[CatalogueRow]] = {}
    for row in rows:
        families.setdefault(row.model.family, []).append(row)
    for members in families.values():
        members.sort(key=lambda row: (not row.model.runs, -row.model.year, row.model.parameters or 0))
    newest = {
        family: max((row.model.year for row in members if row.model.runs), default=0)
        for family, members in families.items()
    }
    return sorted(families.items(), key=lambda item: -newest[item[0]])
