"""The details beside the list of models on this computer: of one of them, of the built-in one, or the folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from PySide6.QtCore import QLocale, Qt, Signal
from PySide6.QtWidgets import QApplication, QGridLayout, QVBoxLayout, QWidget

from app.core.library import LibraryModel, Owner
from app.services.explain_template import state_words
from app.services.library import DUPLICATES
from app.services.wording import day_words, file_size, number
from app.ui.buttons import Button, ButtonKind
from app.ui.flow_layout import FlowLayout
from app.ui.labels import Label, PathLabel, heading, hint
from app.ui.model_rows import builtin_model_name
from app.ui.models.folders_panel import FoldersPanel
from app.ui.models.library_actions import MENU_ONLY, ModelAction, offers_for
from app.ui.models.progress_line import ProgressLine
from app.ui.scroll_column import ScrollColumn

BUILTIN = ":builtin:"
"""In place of a path: the model that came with Hearth."""
FOLDERS = DUPLICATES
"""In place of a path: the folders, and the search for duplicates in them."""


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


class LibraryDetails(ScrollColumn):
    """Built anew when what it shows has changed; the keyboard stays on the button where it was."""

    action_requested = Signal(object)  # ModelAction, for what is shown
    cancel_requested = Signal(str)  # path, or FOLDERS for the search for duplicates
    duplicates_requested = Signal()
    add_folder_requested = Signal(str)
    remove_folder_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, width_in_chars=90)
        self.setAccessibleName(self.tr("Details"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._shown: tuple[object, ...] = ()
        self._body: QWidget | None = None
        self._kept: str | None = None  # the words of the button that had the keyboard, while all is built anew
        self._template: Label | None = None  # where what was found of the chat template stands
        self._bar: ProgressLine | None = None
        self._template_words: dict[str, str] = {}
        self._progress: Mapping[str, float] = {}

    def show_folders(self, folders: Sequence[str], progress: Mapping[str, float]) -> None:
        """Show the folders, Hearth's own first."""
        if self._begin((FOLDERS, tuple(folders)), progress):
            panel = FoldersPanel(folders, progress.get(FOLDERS), self._body)
            panel.add_requested.connect(self.add_folder_requested)
            panel.remove_requested.connect(self.remove_folder_requested)
            panel.duplicates_requested.connect(self.duplicates_requested)
            panel.cancel_requested.connect(partial(self.cancel_requested.emit, FOLDERS))
            self._bar = panel.bar
            self._end([panel])

    def show_builtin(self) -> None:
        """Show the model that came with Hearth."""
        if self._begin((BUILTIN,), {}):
            words = self.tr(
                "Tiny. It knows how to use Hearth, and little else. It comes with Hearth and is always there."
            )
            use = self._button(ModelAction.USE, self.tr("Chat now"), builtin_model_name())
            self._end([heading(builtin_model_name(), self._inner), Label(words, self._inner, wraps=True), use])

    def show_model(self, model: LibraryModel, progress: Mapping[str, float]) -> None:
        """Show a model; while it is moved or hashed, how far that is."""
        if not self._begin((model.path, model), progress):
            return
        title = heading(model.name, self._inner)
        title.setWordWrap(True)
        parts: list[QWidget] = [title]
        if model.is_missing:
            words = self.tr("The file is not where it was. If its drive is not connected, connect it.")
            parts.append(Label(words, self._inner, bold=True, wraps=True))
        if model.is_read_only:
            words = self.tr("This file belongs to {program}. Hearth uses it where it is and never changes it.")
            parts.append(hint(words.format(program=owner_words(model.owner)), self._inner))
        self._end([*parts, self._actions(model), self._facts(model)])

    def set_template_words(self, path: str, words: str) -> None:
        """What was found of a model's chat template."""
        self._template_words[path] = words
        if self._shown[:1] == (path,) and self._template is not None:
            self._template.setText(words)

    def set_fraction(self, fraction: float) -> None:
        """How far the work on what is shown has come."""
        if self._bar is not None:
            self._bar.set_fraction(fraction)

    def button(self, text: str) -> Button | None:
        """A button by its words, if it is there."""
        found = self._body.findChildren(Button) if self._body is not None else []
        return next((button for button in found if button.text() == text), None)

    @property
    def _inner(self) -> QWidget:
        assert self._body is not None
        return self._body

    def _begin(self, shown: tuple[object, ...], progress: Mapping[str, float]) -> bool:
        """Make room for something else; False if it is shown already."""
        self._progress = progress
        state = (*shown, shown[0] in progress)
        if state == self._shown:
            return False
        self._kept = self._focused_words() if shown[0] in self._shown[:1] else None
        is_other = self._shown[:1] != shown[:1]
        self._shown = state
        if self._body is not None:
            if self._kept is not None:
                self.setFocus(Qt.FocusReason.OtherFocusReason)  # before its button goes, and the keyboard with it
            self.column.removeWidget(self._body)
            self._body.hide()
            self._body.deleteLater()
        self._template = self._bar = None
        self._body = QWidget(self.inside)
        if is_other:
            self.verticalScrollBar().setValue(0)
        return True

    def _end(self, parts: Sequence[QWidget]) -> None:
        layout = QVBoxLayout(self._inner)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for part in parts:
            if isinstance(part, Button):
                layout.addWidget(part, 0, Qt.AlignmentFlag.AlignLeading)
            else:
                layout.addWidget(part)
        layout.addStretch(1)
        self.column.addWidget(self._inner)
        if self._kept and (button := self.button(self._kept)) is not None and button.isEnabled():
            button.setFocus(Qt.FocusReason.OtherFocusReason)

    def _focused_words(self) -> str | None:
        """The words of the button that has the keyboard; empty: something else in here has it; None: nothing has."""
        focused = QApplication.focusWidget()
        if focused is None or self._body is None or not self._body.isAncestorOf(focused):
            return None
        return focused.text() if isinstance(focused, Button) else ""

    def _button(self, action: ModelAction, words: str, name: str) -> Button:
        kind = ButtonKind.PRIMARY if action is ModelAction.USE else ButtonKind.PLAIN
        button = Button(words, self._inner, kind=kind)
        button.setAccessibleName(f"{words} {name}")
        button.clicked.connect(partial(self._on_action, action))
        return button

    def _on_action(self, action: ModelAction, _is_checked: bool = False) -> None:
        self.action_requested.emit(action)

    def _actions(self, model: LibraryModel) -> QWidget:
        if model.path in self._progress:
            self._bar = ProgressLine(self._progress[model.path], self._inner)
            self._bar.cancel_requested.connect(partial(self.cancel_requested.emit, model.path))
            return self._bar
        box = QWidget(self._inner)
        flow = FlowLayout(box, spacing_px=8)
        for offer in offers_for(model):
            if offer.action not in MENU_ONLY:
                button = self._button(offer.action, offer.words, model.name)
                button.setEnabled(offer.is_enabled)
                flow.addWidget(button)
        return box

    def _facts(self, model: LibraryModel) -> QWidget:
        box = QWidget(self._inner)
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 8, 0, 8)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        known = self.tr("In the file") if model.has_template else self.tr("None in the file; Hearth uses its own")
        if words := state_words(model):
            known = words[0].upper() + words[1:]
        self._template = Label(self._template_words.get(model.path, known), box, wraps=True)
        facts: list[tuple[str, Label | str]] = [(self.tr("File"), PathLabel(model.path, box))]
        if len(model.parts) > 1:
            facts.append((self.tr("Parts"), number(len(model.parts))))
        facts.append((self.tr("Size"), file_size(model.size_bytes)))
        used_at = model.last_used_at
        used = day_words(used_at, QLocale.FormatType.LongFormat) if used_at is not None else self.tr("Never")
        facts.append((self.tr("Last used"), used))
        if model.context_length:
            facts.append((self.tr("Context"), self.tr("{0} tokens").format(number(model.context_length))))
        facts.append((self.tr("Chat template"), self._template))
        if model.licence:
            facts.append((self.tr("Licence"), model.licence))
        if model.repo:
            facts.append((self.tr("From"), PathLabel(model.repo, box)))
        facts.append(
            (self.tr("SHA-256"), PathLabel(model.sha256, box) if model.sha256 else self.tr("Not computed yet"))
        )
        if model.same_as:
            facts.append((self.tr("Same content"), PathLabel("\n".join(model.same_as), box)))
        for row, (words, value) in enumerate(facts):
            grid.addWidget(Label(words, box, muted=True), row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(Label(value, box, wraps=True) if isinstance(value, str) else value, row, 1)
        if not model.sha256 and not model.is_missing and model.path not in self._progress:
            compute = Button(self.tr("Compute SHA-256"), box, kind=ButtonKind.QUIET)
            compute.setAccessibleName(f"{compute.text()} {model.name}")
            compute.clicked.connect(partial(self._on_action, ModelAction.HASH))
            grid.addWidget(compute, len(facts), 0, 1, 2, Qt.AlignmentFlag.AlignLeading)
        return box
