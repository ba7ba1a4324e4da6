"""The models on this computer, and the folders they lie in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path

from PySide6.QtCore import QLocale, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QGridLayout, QInputDialog, QLineEdit, QProgressBar, QVBoxLayout, QWidget

from app.core.library import LibraryModel, Owner
from app.services.explain_fit import FitLevel
from app.services.explain_template import state_words
from app.services.wording import day_words, file_size, number
from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label, heading, hint
from app.ui.model_rows import builtin_model_name, describe_parameters
from app.ui.models.folders_panel import FoldersPanel
from app.ui.models.master_detail import MasterDetail
from app.ui.models.row_list import ListRow, RowList
from app.ui.scroll_column import ScrollColumn
from app.ui.setting_fields import CalmComboBox

BAR_STEPS = 1000
BUILTIN = ":builtin:"
"""In place of a path: the model that came with Hearth."""


class Order(Enum):
    """How the list is sorted."""

    LAST_USED = "last_used"
    NAME = "name"
    SIZE = "size"


def owner_words(owner: Owner) -> str:
    """The program whose file it is, by its own name."""
    return {
        Owner.HEARTH: "Hearth",
        Owner.LM_STUDIO: "LM Studio",
        Owner.OLLAMA: "Ollama",
        Owner.JAN: "Jan",
        Owner.GPT4ALL: "GPT4All",
        Owner.HUB_CACHE: "Hugging Face",
        Owner.TEXT_GENERATION_WEBUI: "text-generation-webui",
        Owner.LLAMA_CPP: "llama.cpp",
    }[owner]


class LibraryView(QWidget):
    """A list of all, the details of one, and what can be done with it."""

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
        self._template_words: dict[str, str] = {}
        self._template: Label | None = None  # where those of the model on screen stand
        self._key = ""
        self.list = RowList(self.tr("Models on this computer"), self)
        self.list.chosen.connect(self._on_chosen)
        self.list.opened.connect(self._on_opened)
        self.details = ScrollColumn(self, width_in_chars=90)
        self.details.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._body: QWidget | None = None
        self._bar: QProgressBar | None = None  # of the details' model, while it is moved or hashed
        self._order = CalmComboBox(self)
        self._order.setAccessibleName(self.tr("Order"))
        for order, words in (
            (Order.LAST_USED, self.tr("Last used first")),
            (Order.NAME, self.tr("By name")),
            (Order.SIZE, self.tr("Largest first")),
        ):
            self._order.addItem(words, order)
        self._order.activated.connect(self._refill)
        self._total = hint("", self)
        left = QWidget(self)
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._top_buttons(left))
        column.addWidget(self.list, 1)
        column.addWidget(self._total)
        left.setFocusProxy(self.list)
        self._panes = MasterDetail(left, self.details, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._panes)
        self.setFocusProxy(self._panes)
        self._show_details("")

    @property
    def shown_path(self) -> str:
        """The model whose details are shown; empty: the folders."""
        return self._key

    def set_models(self, models: Sequence[LibraryModel], current_path: str | None) -> None:
        """Show these; `current_path` None means that the built-in model answers."""
        self._models = tuple(models)
        self._current_path = current_path
        self._refill()
        self._show_details(self._key)

    def set_template_words(self, path: str, words: str) -> None:
        """What was found of a model's chat template."""
        self._template_words[path] = words
        if path == self._key and self._template is not None:
            self._template.setText(words)

    def set_folders(self, folders: Sequence[str]) -> None:
        """The folders that are watched, Hearth's own first."""
        self._folders = tuple(folders)
        if not self._key:
            self._show_details("")

    def sort_by(self, order: Order) -> None:
        """Sort as if the person had chosen so."""
        self._order.setCurrentIndex(self._order.findData(order))
        self._refill()

    def set_search(self, text: str) -> None:
        """Show only models in whose texts all these words are."""
        self._search = text
        self._refill()

    def set_progress(self, path: str, fraction: float | None) -> None:
        """A move or a hash is so far; None: it is over."""
        was = path in self._busy
        if fraction is None:
            self._busy.pop(path, None)
        else:
            self._busy[path] = fraction
        if path == self._key and was != (path in self._busy):
            self._show_details(path)
        elif path == self._key and self._bar is not None and fraction is not None:
            self._bar.setValue(round(fraction * BAR_STEPS))

    def button(self, text: str) -> Button | None:
        """A button of the details by its words, if it is there."""
        found = self._body.findChildren(Button) if self._body is not None else []
        return next((button for button in found if button.text() == text), None)

    def _top_buttons(self, parent: QWidget) -> FlowLayout:
        flow = FlowLayout(spacing_px=6)
        opened = Button(self.tr("Open a model file…"), parent, kind=ButtonKind.PRIMARY, icon="open")
        opened.clicked.connect(self.open_requested)
        folders = Button(self.tr("Folders…"), parent, icon="folder")
        folders.clicked.connect(self._on_folders_clicked)
        elsewhere = Button(self.tr("Look in other programs"), parent)
        elsewhere.clicked.connect(self.look_elsewhere_requested)
        for widget in (opened, folders, elsewhere, self._order):
            flow.addWidget(widget)
        return flow

    def _refill(self) -> None:
        rows = [self._builtin_row()] if self._matches(builtin_model_name()) else []
        keys: Mapping[Order, Callable[[LibraryModel], object]] = {
            Order.NAME: lambda model: model.name.lower(),
            Order.SIZE: lambda model: -model.size_bytes,
        }
        order = Order(self._order.currentData())
        models = list(self._models)
        if order in keys:
            models.sort(key=keys[order])  # type: ignore[arg-type]  # both are comparable with themselves
        rows += [self._row(model) for model in models if self._matches(model.name, model.path, model.architecture)]
        self.list.set_rows(rows)
        total = sum(model.size_bytes for model in self._models if not model.is_missing)
        words = self.tr("{count} models, {size}").format(count=number(len(self._models)), size=file_size(total))
        self._total.setText(words)
        self._total.setVisible(bool(self._models))

    def _matches(self, *texts: str) -> bool:
        together = " ".join(texts).lower()
        return all(word in together for word in self._search.lower().split())

    def _builtin_row(self) -> ListRow:
        state = self.tr("In use") if self._current_path is None else ""
        return ListRow(BUILTIN, builtin_model_name(), self.tr("Comes with Hearth"), "", state)

    def _row(self, model: LibraryModel) -> ListRow:
        if model.is_missing:
            state = self.tr("File not found")
        elif model.path == self._current_path:
            state = self.tr("In use")
        else:
            state = "" if model.last_used_at is None else day_words(model.last_used_at, QLocale.FormatType.ShortFormat)
        parts = [describe_parameters(model.parameters)] if model.parameters else []
        parts += [text for text in (model.quantization, model.architecture) if text]
        if model.is_read_only:
            parts.append(owner_words(model.owner))
        if words := state_words(model):
            parts.append(words)
        level = FitLevel.POOR if model.is_missing else FitLevel.UNKNOWN
        return ListRow(model.path, model.name, " · ".join(parts), file_size(model.size_bytes), state, level)

    # -- details

    def _show_details(self, key: str) -> None:
        model = next((model for model in self._models if model.path == key), None)
        self._key = key if model is not None or key == BUILTIN else ""
        if self._body is not None:
            self.details.column.removeWidget(self._body)
            self._body.hide()
            self._body.deleteLater()
            self._template = None
        self._bar = None
        body = QWidget(self.details.inside)
        layout = QVBoxLayout(body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        if model is not None:
            self._fill_model(layout, body, model)
        elif self._key == BUILTIN:
            self._fill_builtin(layout, body)
        else:
            self._fill_folders(layout, body)
        layout.addStretch(1)
        self._body = body
        self.details.column.addWidget(body)
        if model is not None and not model.is_missing:
            self.template_shown.emit(model.path)

    def _fill_builtin(self, layout: QVBoxLayout, body: QWidget) -> None:
        layout.addWidget(heading(builtin_model_name(), body))
        words = self.tr("Tiny. It knows how to use Hearth, and little else. It comes with Hearth and is always there.")
        layout.addWidget(Label(words, body, wraps=True))
        use = Button(self.tr("Chat now"), body, kind=ButtonKind.PRIMARY)
        use.setAccessibleName(self.tr("Use {model}").format(model=builtin_model_name()))
        use.clicked.connect(self._on_use)
        layout.addWidget(use, 0, Qt.AlignmentFlag.AlignLeading)

    def _fill_model(self, layout: QVBoxLayout, body: QWidget, model: LibraryModel) -> None:
        title = heading(model.name, body)
        title.setWordWrap(True)
        layout.addWidget(title)
        if model.is_missing:
            words = self.tr("The file is not where it was. If its drive is not connected, connect it.")
            layout.addWidget(Label(words, body, bold=True, wraps=True))
        if model.is_read_only:
            words = self.tr("This file belongs to {program}. Hearth uses it where it is and never changes it.")
            layout.addWidget(hint(words.format(program=owner_words(model.owner)), body))
        layout.addLayout(self._model_buttons(body, model))
        layout.addWidget(self._facts(body, model))

    def _template_text(self, model: LibraryModel) -> str:
        known = self.tr("In the file") if model.has_template else self.tr("None in the file; Hearth uses its own")
        if words := state_words(model):
            known = words[0].upper() + words[1:]
        return self._template_words.get(model.path, known)

    def _model_buttons(self, body: QWidget, model: LibraryModel) -> FlowLayout:
        flow = FlowLayout(spacing_px=8)
        if model.path in self._busy:
            self._bar = QProgressBar(body)
            self._bar.setRange(0, BAR_STEPS)
            self._bar.setValue(round(self._busy[model.path] * BAR_STEPS))
            self._bar.setTextVisible(False)
            self._bar.setFixedSize(self.fontMetrics().averageCharWidth() * 30, 8)
            self._bar.setAccessibleName(self.tr("Progress"))
            flow.addWidget(self._bar)
            cancel = Button(self.tr("Cancel"), body)
            cancel.clicked.connect(self._on_cancel)
            flow.addWidget(cancel)
            return flow
        use = Button(self.tr("Chat now"), body, kind=ButtonKind.PRIMARY)
        use.setAccessibleName(self.tr("Use {model}").format(model=model.name))
        use.setEnabled(not model.is_missing)
        use.clicked.connect(self._on_use)
        flow.addWidget(use)
        actions: list[tuple[str, Callable[[], None], bool]] = [
            (self.tr("Show in folder"), self._on_show, not model.is_missing),
            (self.tr("Rename…"), self._on_rename, True),
            (self.tr("Chat template…"), self._on_template, not model.is_missing),
        ]
        if not model.is_read_only:
            actions.append((self.tr("Move…"), self._on_move, not model.is_missing))
            actions.append((self.tr("Delete"), self._on_trash, not model.is_missing))
        if model.repo:
            actions.append((self.tr("Look for an update"), self._on_update, True))
        actions.append((self.tr("Remove from list"), self._on_remove, True))
        for text, slot, is_enabled in actions:
            button = Button(text, body)
            button.setAccessibleName(f"{text} {model.name}")
            button.setEnabled(is_enabled)
            button.clicked.connect(slot)
            flow.addWidget(button)
        return flow

    def _facts(self, body: QWidget, model: LibraryModel) -> QWidget:
        box = QWidget(body)
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 8, 0, 8)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        facts = [(self.tr("File"), model.path.replace("/", "/\u200b").replace("\\", "\\\u200b"))]
        if len(model.parts) > 1:
            facts.append((self.tr("Parts"), number(len(model.parts))))
        facts.append((self.tr("Size"), file_size(model.size_bytes)))
        if model.context_length:
            facts.append((self.tr("Context"), self.tr("{0} tokens").format(number(model.context_length))))
        template_row = len(facts)
        facts.append((self.tr("Chat template"), self._template_text(model)))
        if model.licence:
            facts.append((self.tr("Licence"), model.licence))
        if model.repo:
            facts.append((self.tr("From"), model.repo))
        facts.append((self.tr("SHA-256"), model.sha256 or self.tr("Not computed yet")))
        if model.same_as:
            facts.append((self.tr("Same content"), "\n".join(model.same_as)))
        for row, (label, text) in enumerate(facts):
            grid.addWidget(Label(label, box, muted=True), row, 0, Qt.AlignmentFlag.AlignTop)
            value = Label(text, box, wraps=True)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            grid.addWidget(value, row, 1)
            if row == template_row:
                self._template = value
        if not model.sha256 and not model.is_missing and model.path not in self._busy:
            compute = Button(self.tr("Compute SHA-256"), box, kind=ButtonKind.QUIET)
            compute.clicked.connect(self._on_hash)
            grid.addWidget(compute, len(facts), 0, 1, 2, Qt.AlignmentFlag.AlignLeading)
        return box

    def _fill_folders(self, layout: QVBoxLayout, body: QWidget) -> None:
        panel = FoldersPanel(self._folders, body)
        panel.add_requested.connect(self.add_folder_requested)
        panel.remove_requested.connect(self.remove_folder_requested)
        panel.duplicates_requested.connect(self.duplicates_requested)
        layout.addWidget(panel)

    # -- what is pressed

    def _on_chosen(self, key: str) -> None:
        if self._panes.is_wide:
            self._show_details(key)

    def _on_opened(self, key: str) -> None:
        self._show_details(key)
        self._panes.open_details()

    def _on_folders_clicked(self) -> None:
        self._show_details("")
        self._panes.open_details()

    def _on_use(self) -> None:
        self.use_requested.emit(None if self._key == BUILTIN else self._key)

    def _on_show(self) -> None:
        self.show_in_folder_requested.emit(self._key)

    def _on_rename(self) -> None:
        path = self._key
        known = next((model.name for model in self._models if model.path == path), "")
        name, is_done = QInputDialog.getText(
            self, self.tr("Rename"), self.tr("Name in Hearth:"), QLineEdit.EchoMode.Normal, known
        )
        if is_done:
            self.rename_requested.emit(path, name)

    def _on_move(self) -> None:
        path = self._key
        folder = QFileDialog.getExistingDirectory(self, self.tr("Move to"), str(Path(path).parent))
        if folder:
            self.move_requested.emit(path, folder)

    def _on_trash(self) -> None:
        self.trash_requested.emit(self._key)

    def _on_remove(self) -> None:
        self.remove_requested.emit(self._key)

    def _on_hash(self) -> None:
        self.hash_requested.emit(self._key)

    def _on_cancel(self) -> None:
        self.cancel_requested.emit(self._key)

    def _on_update(self) -> None:
        self.update_requested.emit(self._key)

    def _on_template(self) -> None:
        self.template_requested.emit(self._key)
