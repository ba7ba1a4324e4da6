"""The models on this computer: a list of all, the details of one, and what can be done with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from pathlib import Path

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QInputDialog, QMenu, QVBoxLayout, QWidget

from app.core.library import LibraryModel
from app.services.wording import file_size
from app.ui.buttons import Button
from app.ui.flow_layout import FlowLayout
from app.ui.labels import hint
from app.ui.model_rows import builtin_model_name
from app.ui.models.library_actions import KEYS, ModelAction, offers_for
from app.ui.models.library_details import BUILTIN, FOLDERS, LibraryDetails
from app.ui.models.library_rows import LibraryRow, builtin_row
from app.ui.models.master_detail import MasterDetail
from app.ui.models.row_list import Row, RowList
from app.ui.setting_fields import CalmComboBox

RENAME_CHARS = 60


class Order(Enum):
    """How the list is sorted."""

    LAST_USED = "last_used"
    NAME = "name"
    SIZE = "size"


class LibraryView(QWidget):
    """A list of all, the details of one, and what can be done with it. While hidden it only notes what to show."""

    use_requested = Signal(object)  # path as str, or None for the built-in model
    open_requested = Signal()  # a file by the system's dialog
    show_in_folder_requested = Signal(str)
    rename_requested = Signal(str, str)  # path, name
    move_requested = Signal(str, str)  # path, folder
    trash_requested = Signal(str)
    remove_requested = Signal(str)
    hash_requested = Signal(str)
    cancel_requested = Signal(str)
    update_requested = Signal(str)
    template_requested = Signal(str)
    template_shown = Signal(str)  # its words may be given by `set_template_words`
    duplicates_requested = Signal()
    look_elsewhere_requested = Signal()
    add_folder_requested = Signal(str)
    remove_folder_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._models: tuple[LibraryModel, ...] = ()
        self._folders: tuple[str, ...] = ()
        self._busy: dict[str, float] = {}
        self._current_path: str | None = None
        self._search = ""
        self._key = FOLDERS
        self._is_stale = False  # the list and the details show what was: nobody sees them
        self.list = RowList(self.tr("Models on this computer"), self)
        self.list.chosen.connect(self._on_chosen)
        self.list.opened.connect(self._on_opened)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._on_menu_wanted)
        for action, key in KEYS.items():
            shortcut = QShortcut(QKeySequence(key), self.list)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(partial(self._on_key, action))
        self.details = LibraryDetails(self)
        self.details.action_requested.connect(self._do)
        self.details.cancel_requested.connect(self.cancel_requested)
        self.details.duplicates_requested.connect(self.duplicates_requested)
        self.details.add_folder_requested.connect(self.add_folder_requested)
        self.details.remove_folder_requested.connect(self.remove_folder_requested)
        self._order = CalmComboBox(self)
        self._order.setAccessibleName(self.tr("Order"))
        for order, words in (
            (Order.LAST_USED, self.tr("Last used first")),
            (Order.NAME, self.tr("By name")),
            (Order.SIZE, self.tr("Largest first")),
        ):
            self._order.addItem(words, order)
        self._order.activated.connect(self._refresh)
        self._note = hint("", self)
        self._total = hint("", self)
        left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._top_buttons(left))
        column.addWidget(self._note)
        column.addWidget(self.list, 1)
        column.addWidget(self._total)
        left.setFocusProxy(self.list)
        self._panes = MasterDetail(left, self.details, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._panes)
        self.setFocusProxy(self._panes)
        self._show_details(FOLDERS)

    @property
    def shown_path(self) -> str:
        """The model whose details are shown; empty: the folders."""
        return self._key

    def set_models(self, models: Sequence[LibraryModel], current_path: str | None) -> None:
        """Show these; `current_path` None means that the built-in model answers."""
        self._models = tuple(models)
        self._current_path = current_path
        self._refresh()

    def follow(self, path: str, now: str) -> None:
        """A model has moved: it stays chosen and shown, before the library is read again."""
        is_chosen = self.list.current_key == path
        self._models = tuple(replace(model, path=now) if model.path == path else model for model in self._models)
        if self._key == path:
            self._key = now
        self._refresh()
        if is_chosen:
            self.list.choose(now)

    def set_template_words(self, path: str, words: str) -> None:
        """What was found of a model's chat template."""
        self.details.set_template_words(path, words)

    def set_folders(self, folders: Sequence[str]) -> None:
        """The folders that are watched, Hearth's own first."""
        self._folders = tuple(folders)
        self._refresh_details(FOLDERS)

    def sort_by(self, order: Order) -> None:
        """Sort as if the person had chosen so."""
        self._order.setCurrentIndex(self._order.findData(order))
        self._refresh()

    def set_search(self, text: str) -> None:
        """Show only models in whose texts all these words are."""
        if text != self._search:
            self._search = text
            self._panes.show_list()
            self._refresh()

    def set_progress(self, path: str, fraction: float | None) -> None:
        """A move or a hash is so far; None: it is over."""
        if fraction is None:
            self._busy.pop(path, None)
        else:
            self._busy[path] = fraction
        self._refresh_details(path)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._is_stale:
            self._refresh()

    def button(self, text: str) -> Button | None:
        """A button of the details by its words, if it is there."""
        return self.details.button(text)

    def _top_buttons(self, parent: QWidget) -> FlowLayout:
        flow = FlowLayout(spacing_px=6)
        opened = Button(self.tr("Open a model file…"), parent, icon="open")
        opened.clicked.connect(self.open_requested)
        folders = Button(self.tr("Folders…"), parent, icon="folder")
        folders.clicked.connect(self._on_folders_clicked)
        elsewhere = Button(self.tr("Look in other programs"), parent)
        elsewhere.clicked.connect(self.look_elsewhere_requested)
        for widget in (opened, folders, elsewhere, self._order):
            flow.addWidget(widget)
        return flow

    def _refresh(self, _index: int = 0) -> None:
        """Show what there is now, or once somebody sees it."""
        self._is_stale = not self.isVisible()
        if self._is_stale:
            return
        place, gone = self._place(self.list.current_key), self._key
        self._refill()
        self._show_details(self._key)
        if gone != self._key:
            self._leave(place)

    def _refresh_details(self, key: str) -> None:
        """The same where only the details of one model may be others."""
        if not self.isVisible():
            self._is_stale = True
        elif key == self._key:
            self._show_details(key)

    def _refill(self) -> None:
        """Fill the list: in the chosen order, with what is searched for."""
        rows = self._found_rows()
        self.list.set_rows(rows)
        if not rows:
            self._note.setText(self.tr("No model on this computer has these words in its name or path."))
        elif not self._models:
            self._note.setText(self.tr("Models that you download or open are listed here."))
        self._note.setVisible(not rows or not self._models)
        total = file_size(sum(model.size_bytes for model in self._models if not model.is_missing))
        self._total.setText(self.tr("%n model(s), {size}", "", len(self._models)).format(size=total))
        self._total.setVisible(bool(self._models))

    def _found_rows(self) -> list[Row]:
        keys: Mapping[Order, Callable[[LibraryModel], tuple[int, str]]] = {
            Order.NAME: lambda model: (0, model.name.lower()),
            Order.SIZE: lambda model: (-model.size_bytes, model.name.lower()),
        }
        order = Order(self._order.currentData())
        models = sorted(self._models, key=keys[order]) if order in keys else self._models
        words = self._search.lower().split()
        rows: list[Row] = []
        if all(word in builtin_model_name().lower() for word in words):
            rows.append(builtin_row(is_current=self._current_path is None))
        names = Counter(model.name for model in models)
        found = [LibraryRow(model, model.path == self._current_path, names[model.name] > 1) for model in models]
        for word in words:
            found = [row for row in found if word in row.searched]
        return [*rows, *found]

    def _place(self, key: str) -> int:
        return next((place for place, row in enumerate(self.list.rows) if row.key == key), 0)

    def _leave(self, place: int) -> None:
        """What was shown is gone: the next model in the list takes its place, in the list."""
        had_focus = self.details.isAncestorOf(QApplication.focusWidget() or self)
        self._panes.show_list()
        if self.list.rows:
            self.list.choose(self.list.rows[min(place, len(self.list.rows) - 1)].key)
        if had_focus:
            self.list.setFocus(Qt.FocusReason.OtherFocusReason)

    def _show_details(self, key: str) -> None:
        model = self._model(key)
        self._key = key if model is not None or key == BUILTIN else FOLDERS
        if model is not None:
            self.details.show_model(model, self._busy)
        elif self._key == BUILTIN:
            self.details.show_builtin()
        else:
            self.details.show_folders(self._folders, self._busy)
        if (fraction := self._busy.get(self._key)) is not None:
            self.details.set_fraction(fraction)
        if model is not None and not model.is_missing:
            self.template_shown.emit(model.path)

    def _model(self, path: str) -> LibraryModel | None:
        return next((model for model in self._models if model.path == path), None)

    # -- what is pressed

    def _on_chosen(self, key: str) -> None:
        if self._panes.is_wide:
            self._show_details(key)

    def _on_opened(self, key: str) -> None:
        self._show_details(key)
        self._panes.open_details(self.list.opened_by)

    def _on_folders_clicked(self) -> None:
        self._show_details(FOLDERS)
        self._panes.open_details()

    def _on_menu_wanted(self, place: QPoint) -> None:
        model = self._model(self.list.current_key) if self.list.indexAt(place).isValid() else None
        if model is None:
            return
        self._show_details(model.path)
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for offer in offers_for(model):
            key = QKeySequence(KEYS.get(offer.action, "")).toString(QKeySequence.SequenceFormat.NativeText)
            entry = menu.addAction(f"{offer.words}\t{key}" if key else offer.words)
            entry.setEnabled(offer.is_enabled and model.path not in self._busy)
            entry.triggered.connect(partial(self._on_entry, offer.action))
        menu.popup(self.list.viewport().mapToGlobal(place))

    def _on_entry(self, action: ModelAction, _is_checked: bool = False) -> None:
        self._do(action)

    def _on_key(self, action: ModelAction) -> None:
        """A key pressed in the list does what the menu of the row offers."""
        model = self._model(self.list.current_key)
        if model is None or model.path in self._busy:
            return
        self._show_details(model.path)
        if any(offer.action is action and offer.is_enabled for offer in offers_for(model)):
            self._do(action)

    def _do(self, action: ModelAction) -> None:
        """Do something with the model whose details are shown."""
        simple = {
            ModelAction.SHOW: self.show_in_folder_requested,
            ModelAction.TEMPLATE: self.template_requested,
            ModelAction.TRASH: self.trash_requested,
            ModelAction.UPDATE: self.update_requested,
            ModelAction.HASH: self.hash_requested,
            ModelAction.REMOVE: self.remove_requested,
        }
        if action is ModelAction.USE:
            self.use_requested.emit(None if self._key == BUILTIN else self._key)
        elif action is ModelAction.RENAME:
            self._rename()
        elif action is ModelAction.MOVE:
            self._move()
        elif action is ModelAction.COPY_PATH:
            QGuiApplication.clipboard().setText(self._key)
        else:
            simple[action].emit(self._key)

    def _rename(self) -> None:
        model = self._model(self._key)
        if model is None:
            return
        dialog = QInputDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(self.tr("Rename"))
        dialog.setLabelText(self.tr("Name in Hearth; empty: the name in the file"))
        dialog.setTextValue(model.name)
        dialog.setOkButtonText(self.tr("Rename"))
        dialog.setCancelButtonText(self.tr("Cancel"))
        dialog.textValueSelected.connect(partial(self.rename_requested.emit, model.path))
        dialog.resize(self.fontMetrics().averageCharWidth() * RENAME_CHARS, 0)
        dialog.open()

    def _move(self) -> None:
        path = self._key
        folder = QFileDialog.getExistingDirectory(self, self.tr("Move to"), str(Path(path).parent))
        if folder:
            self.move_requested.emit(path, folder)
