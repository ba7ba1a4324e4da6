"""The curated catalogue: what fits this computer best, then every model, by family."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.core.catalog import Catalog, CatalogModel, CommercialUse, ModelKind
from app.services.wording import size
from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import hint
from app.ui.models.catalogue_sheets import file_choices, sheet_of_row
from app.ui.models.details import ModelDetails
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


@dataclass(frozen=True, slots=True)
class RowVerdict:
    """What a list says of a model on this computer. `runs_well`: it may be recommended."""

    words: str
    runs_here: bool
    runs_well: bool


class RecommendedView(QWidget):
    """`judge` says in a moment, without looking at a file, how a model would run here."""

    tree_requested = Signal()

    def __init__(
        self, judge: Callable[[CatalogModel, FileChoice | None], RowVerdict], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._judge = judge
        self._catalog: Catalog | None = None
        self._search = ""
        self._filters: set[Filter] = set()
        self._suggestions: dict[str, FileChoice | None] = {}
        self.details = ModelDetails(self)
        self.list = RowList(self.tr("Recommended models"), self)
        self.list.chosen.connect(self._on_chosen)
        self.list.opened.connect(self._on_opened)
        self._message = hint(self.tr("Loading the list of models…"), self)
        left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._chips())
        column.addWidget(self._message)
        column.addWidget(self.list, 1)
        left.setFocusProxy(self.list)
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

    def set_catalog(self, catalog: Catalog) -> None:
        """Show another catalogue."""
        self._catalog = catalog
        self._suggestions = {}
        for model in catalog.models:
            choices = file_choices(model.files)
            self._suggestions[model.id] = next((choice for choice in choices if choice.is_suggested), None)
        self.refresh()

    def set_search(self, text: str) -> None:
        """Show only models in whose texts all these words are."""
        self._search = text
        self.refresh()

    def set_failure(self, text: str) -> None:
        """Say why there is no list."""
        self._message.setText(text)
        self._message.show()

    def refresh(self) -> None:
        """Judge all rows anew, e.g. when the free memory has changed."""
        catalog = self._catalog
        if catalog is None:
            return
        verdicts = {model.id: self._judge(model, self._suggestions[model.id]) for model in catalog.models}
        shown = [model for model in catalog.models if self._matches(model, verdicts[model.id])]
        best = [] if self._search or self._filters else best_for(catalog.models, verdicts, self._suggestions)
        rows = [*self._group(self.tr("Best for this computer"), best, verdicts, "best:")]
        for family, models in by_family(shown):
            rows += self._group(family, models, verdicts)
        self.list.set_rows(rows)
        self._message.setVisible(not rows)
        self._message.setText(self.tr("Nothing in the list fits. Other words or fewer filters may find it."))
        if self._panes.is_wide and not self.list.current_key:
            self.list.choose_first()

    def show_model(self, key: str) -> None:
        """Show the details of a row, whether the list shows it or not."""
        if self._catalog is None or (model := self._catalog.model(key)) is None:
            return
        self.list.choose(key)
        self.details.set_sheet(sheet_of_row(model, self._catalog))
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

    def _group(
        self, title: str, models: Sequence[CatalogModel], verdicts: dict[str, RowVerdict], prefix: str = ""
    ) -> Iterable[ListRow]:
        if models:
            yield ListRow("", title)
        for model in models:
            suggested = self._suggestions[model.id]
            note = size(suggested.size_bytes) if suggested is not None and suggested.size_bytes else ""
            yield ListRow(prefix + model.id, model.name, model.summary, note, verdicts[model.id].words)

    def _matches(self, model: CatalogModel, verdict: RowVerdict) -> bool:
        words = self._search.lower().split()
        text = " ".join((model.name, model.family, model.organisation, model.summary, model.licence)).lower()
        if not all(word in text for word in words):
            return False
        tests = {
            Filter.RUNS_HERE: verdict.runs_here,
            Filter.CHAT: model.kind in (ModelKind.CHAT, ModelKind.VISION),
            Filter.CODE: model.kind is ModelKind.CODE,
            Filter.SMALL: 0 < (model.parameters or 0) <= SMALL_PARAMETERS,
            Filter.COMMERCIAL: model.commercial_use is CommercialUse.YES,
        }
        return all(tests[which] for which in self._filters)

    def _on_filters_changed(self) -> None:
        self._filters = {which for which, button in self._buttons.items() if button.isChecked()}
        self.refresh()

    def _on_chosen(self, key: str) -> None:
        if self._panes.is_wide:
            self._show(key)

    def _on_opened(self, key: str) -> None:
        self._show(key)
        self._panes.open_details()

    def _show(self, key: str) -> None:
        if self._catalog is not None and (model := self._catalog.model(key.removeprefix("best:"))) is not None:
            self.details.set_sheet(sheet_of_row(model, self._catalog))


def by_family(models: Iterable[CatalogModel]) -> list[tuple[str, list[CatalogModel]]]:
    """Families with models that run come first, the newest foremost; within a family the newest and smallest."""
    families: dict[str, list[CatalogModel]] = {}
    for model in models:
        families.setdefault(model.family, []).append(model)
    for members in families.values():
        members.sort(key=lambda model: (not model.runs, -model.year, model.parameters or 0))
    newest = {family: max((m.year for m in members if m.runs), default=0) for family, members in families.items()}
    return sorted(families.items(), key=lambda item: -newest[item[0]])


def best_for(
    models: Sequence[CatalogModel], verdicts: dict[str, RowVerdict], files: dict[str, FileChoice | None]
) -> list[CatalogModel]:
    """Up to three of the recommended rows: the largest that runs well, a small fast one, and one for code."""
    fitting = [
        model
        for model in models
        if model.recommended and verdicts[model.id].runs_well and (file := files[model.id]) is not None and file.parts
    ]
    by_size = sorted(fitting, key=lambda model: model.parameters or 0)
    chats = [model for model in by_size if model.kind in (ModelKind.CHAT, ModelKind.VISION)]
    codes = [model for model in by_size if model.kind is ModelKind.CODE]
    best = [*chats[-1:], *chats[:1], *codes[-1:]]
    return list({model.id: model for model in best}.values())
