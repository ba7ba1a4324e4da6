"""The family tree as a nested list, for those who read rather than look."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QTreeWidgetItem, QWidget

from app.core.catalog import Catalog, CatalogModel
from app.ui.models.calm_tree import CalmTree
from app.ui.models.tree_words import matches, spoken

ID_ROLE = int(Qt.ItemDataRole.UserRole) + 1


class TreeList(CalmTree):
    """Every model once, below the first of those that it descends from; Enter opens it."""

    opened = Signal(str)  # id

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Family tree as a list"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.viewport().setAutoFillBackground(False)
        self._catalog: Catalog | None = None
        self._items: dict[str, QTreeWidgetItem] = {}
        self._search = ""
        self.itemDoubleClicked.connect(self._on_double_clicked)

    @property
    def current_id(self) -> str:
        """The model that is current; empty: none."""
        item = self.currentItem()
        return str(item.data(0, ID_ROLE)) if item is not None else ""

    def set_catalog(self, catalog: Catalog) -> None:
        """Show another catalogue, oldest models first."""
        kept = self.current_id
        self._catalog = catalog
        self.clear()
        self._items = {}
        roots = sorted((model for model in catalog.models if not model.parents), key=lambda model: model.year)
        self.addTopLevelItems([self._item(model, catalog) for model in roots])
        self.expandAll()
        self._mark_found()
        if not self.choose(kept) and roots:
            self.choose(roots[0].id)

    def choose(self, model_id: str) -> bool:
        """Make a model current and bring it into view; False when there is none with this id."""
        item = self._items.get(model_id)
        if item is None:
            return False
        self.setCurrentItem(item)
        self.scrollToItem(item)
        return True

    def set_search(self, text: str) -> None:
        """Let models whose names have all these words stand out, and bring the first of them into view."""
        self._search = text
        self._mark_found()
        if found := self._found():
            self.scrollToItem(found[0])

    def choose_found(self) -> None:
        """Make the first model that the search has found current, unless the current one is among them."""
        found = self._found()
        if found and self.currentItem() not in found:
            self.setCurrentItem(found[0])
            self.scrollToItem(found[0])

    def _found(self) -> list[QTreeWidgetItem]:
        return [item for item in self._items.values() if item.font(0).bold()]

    def _item(self, model: CatalogModel, catalog: Catalog) -> QTreeWidgetItem:
        words = spoken(model, catalog)
        item = QTreeWidgetItem([words])
        item.setData(0, ID_ROLE, model.id)
        item.setData(0, int(Qt.ItemDataRole.AccessibleTextRole), words)
        self._items[model.id] = item
        children = [child for child in catalog.children(model.id) if child.parents[0] == model.id]
        for child in sorted(children, key=lambda child: child.year):
            item.addChild(self._item(child, catalog))
        return item

    def _mark_found(self) -> None:
        if self._catalog is None:
            return
        for model in self._catalog.models:
            item = self._items[model.id]
            font = self.font()
            font.setBold(matches(model, self._search))
            if font.bold() != item.font(0).bold():
                item.setFont(0, font)

    def _on_double_clicked(self, item: QTreeWidgetItem) -> None:
        self.opened.emit(str(item.data(0, ID_ROLE)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.current_id:
            self.opened.emit(self.current_id)
            event.accept()
        elif event.key() == Qt.Key.Key_Escape:
            event.ignore()  # whoever shows the list closes it
        else:
            super().keyPressEvent(event)
