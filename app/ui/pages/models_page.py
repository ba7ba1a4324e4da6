"""The models page: the built-in model and every file that was opened before."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label, heading, hint
from app.ui.model_rows import ModelRow, builtin_model_name, describe_model
from app.ui.pages.missing_files import MissingFiles
from app.ui.scroll_column import ScrollColumn
from app.ui.theme import colors

RADIUS_PX = 8


class ModelsPage(ScrollColumn):
    """A path of None stands for the built-in model."""

    use_requested = Signal(object)  # path as str, or None
    show_in_folder_requested = Signal(str)
    forget_requested = Signal(str)
    open_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Models"))
        self._cards: list[ModelCard] = []
        self._presence = MissingFiles(self)
        self._presence.found.connect(self._on_missing_found)
        self._open = Button(self.tr("Open a model file…"), self, kind=ButtonKind.PRIMARY, icon="open")
        self._open.clicked.connect(self.open_requested)
        self._list = QVBoxLayout()
        self._list.setSpacing(8)
        self.column.addWidget(heading(self.tr("Models"), self))
        self.column.addWidget(
            hint(
                self.tr(
                    "A model is one file in the GGUF format. Download one with your browser, for example from "
                    "huggingface.co: search for a model with GGUF in its name and take a Q4_K_M file, of about 3 "
                    "billion parameters for 8 GB of memory, 7 or 8 billion for 16 GB. Then open it here, or drop it on "
                    "the window. Hearth 0.1 does not download models itself."
                ),
                self,
            )
        )
        row = QHBoxLayout()
        row.addWidget(self._open)
        row.addStretch(1)
        self.column.addSpacing(8)
        self.column.addLayout(row)
        self.column.addSpacing(16)
        self.column.addLayout(self._list)
        self.column.addStretch(1)
        self.setFocusProxy(self._open)
        self.set_models([], None)

    def set_models(self, models: Sequence[ModelRow], current_path: str | None) -> None:
        """Show the built-in model and these files; `current_path` None means that the built-in one is in use."""
        focused = self._focused_path()
        for card in self._cards:
            self._list.removeWidget(card)
            card.hide()
            card.deleteLater()
        self._cards = [ModelCard(None, current_path is None, self.inside)]
        self._cards += (ModelCard(model, model.path == current_path, self.inside) for model in models)
        for card in self._cards:
            card.use_requested.connect(self.use_requested)
            card.show_in_folder_requested.connect(self.show_in_folder_requested)
            card.forget_requested.connect(self.forget_requested)
            self._list.addWidget(card)
            if focused is not None and card.path == focused[0]:
                card.focus()
        self._presence.check([model.path for model in models])

    def cards(self) -> list[ModelCard]:
        """The rows, from top to bottom; the built-in model is the first."""
        return list(self._cards)

    def _focused_path(self) -> tuple[str | None] | None:
        """The path of the card that has the focus, in a tuple since None is a path here."""
        for card in self._cards:
            focus = card.focusWidget()
            if focus is not None and focus.hasFocus():
                return (card.path,)
        return None

    def _on_missing_found(self, missing: frozenset[str]) -> None:
        for card in self._cards:
            if card.path in missing:
                card.set_missing()


class ModelCard(QWidget):
    """One model."""

    use_requested = Signal(object)
    show_in_folder_requested = Signal(str)
    forget_requested = Signal(str)

    def __init__(self, model: ModelRow | None, in_use: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.path = None if model is None else model.path
        name = builtin_model_name() if model is None else model.name
        self._name = name
        self._state = Label(self.tr("In use") if in_use else "", self, percent=88, bold=True)
        self._state.setVisible(in_use)
        self._in_use = in_use
        title = Label(name, self, bold=True, wraps=True)
        about = Label(self._about(model), self, muted=True, wraps=True)
        self._use = Button(self.tr("Use"), self)
        self._use.setAccessibleName(self.tr("Use {model}").format(model=name))
        self._use.setEnabled(not in_use)
        self._use.clicked.connect(self._on_use_clicked)
        self._buttons = FlowLayout(spacing_px=8)
        self._buttons.addWidget(self._use)
        if model is not None:
            self._add_file_buttons()
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(title, 1)
        top.addWidget(self._state, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 12, 16, 12)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(about)
        if model is not None:
            layout.addWidget(self._path_label(model.path))
        layout.addSpacing(4)
        layout.addLayout(self._buttons)

    def set_missing(self) -> None:
        """Say that the file is gone; it cannot be used until it is back."""
        self._state.setText(self.tr("In use, but the file is gone") if self._in_use else self.tr("File not found"))
        self._state.show()
        self._use.setEnabled(False)
        self._show.setEnabled(False)

    def state_text(self) -> str:
        """What stands at the trailing edge, e.g. "In use"."""
        return "" if self._state.isHidden() else self._state.text()

    def focus(self) -> None:
        """Go to its first button that can be pressed."""
        target = self._use if self._use.isEnabled() else getattr(self, "_show", self._use)
        target.setFocus(Qt.FocusReason.OtherFocusReason)

    def _add_file_buttons(self) -> None:
        self._show = Button(self.tr("Show in folder"), self)
        self._show.setAccessibleName(self.tr("Show {model} in its folder").format(model=self._name))
        self._show.clicked.connect(self._on_show_clicked)
        self._forget = Button(self.tr("Remove from list"), self, kind=ButtonKind.QUIET)
        self._forget.setAccessibleName(self.tr("Remove {model} from the list").format(model=self._name))
        self._forget.setToolTip(self.tr("The file itself is kept."))
        self._forget.clicked.connect(self._on_forget_clicked)
        self._buttons.addWidget(self._show)
        self._buttons.addWidget(self._forget)

    def _about(self, model: ModelRow | None) -> str:
        if model is None:
            return self.tr(
                "Tiny. It knows how to use Hearth, and little else. It comes with Hearth and is always there."
            )
        return describe_model(model)

    def _path_label(self, path: str) -> Label:
        # A zero-width space lets a long path break at its separators.
        label = Label(path.replace("/", "/\u200b").replace("\\", "\\\u200b"), self, percent=88, muted=True, wraps=True)
        label.setAccessibleName(path)
        return label

    def _on_use_clicked(self) -> None:
        self.use_requested.emit(self.path)

    def _on_show_clicked(self) -> None:
        if self.path is not None:
            self.show_in_folder_requested.emit(self.path)

    def _on_forget_clicked(self) -> None:
        if self.path is not None:
            self.forget_requested.emit(self.path)

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme = colors()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(theme.accent if self._in_use else theme.border), 1))
            painter.setBrush(QColor(theme.raised))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS_PX, RADIUS_PX)
